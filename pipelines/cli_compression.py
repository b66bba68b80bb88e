"""``equipoise compress``: a smaller form of a study's model, through the whole audit again."""

from typing import Annotated

import typer

from models.compression.registry import FORMS
from pipelines.cli_options import StudyName, require_known

app = typer.Typer()

FormName = Annotated[str, typer.Option("--form", help=f"One of {', '.join(FORMS)}.")]
Release = Annotated[
    bool, typer.Option("--release", help="Release it on a pass, or ask people, as after training.")
]


@app.command()
def compress(study: StudyName, form: FormName, release: Release = False) -> None:
    """Make a study's newest audited model smaller, predict, audit, and tell the verdict."""
    require_known(study)
    if form not in FORMS:
        raise typer.BadParameter(f"expected one of {', '.join(FORMS)}", param_hint="--form")
    from pipelines.approvals.people import local_account, local_person
    from pipelines.approvals.requests import note_trainer
    from pipelines.compression import newest_trained
    from pipelines.stage import store
    from pipelines.stages.audit_model import audit_model
    from pipelines.stages.compress_model import compress_model
    from pipelines.stages.predict_holdout import predict_holdout
    from validation.disclosure.view import for_readers
    from validation.evidence import load_evidence

    was = newest_trained(study)
    model = compress_model(study, was.sequences, was.model, was.predictions, form)
    note_trainer(study, model, local_person(), local_account())
    predictions = predict_holdout(study, was.sequences, model)
    audit = audit_model(study, was.events, was.checks, was.sequences, model, predictions)
    folder = store().open(audit)
    gate = for_readers(load_evidence(folder / "evidence.json")).gate
    counts = store().manifest(model)["counts"]
    print(f"{form}: {FORMS[form].words}")
    print(f"{counts['networks']:,} networks, {counts['network_bytes']:,} bytes: {model}")
    if gate is not None:
        print(f"verdict: {gate.verdict.replace('_', ' ')}; what follows: {gate.decision}")
        for reason in gate.reasons:
            print(f"  {reason}")
    print(f"report: {folder / 'report.html'}")
    if release:
        _release(study, audit)


def _release(study: str, audit: str) -> None:
    """As after a training: people are asked where the study says so, else the gate decides."""
    from pipelines.stages.release_model import release_model
    from pipelines.stages.request_approval import request_approval

    asked = request_approval(study, audit)
    if asked:
        print(f"people are asked: {asked}")
    else:
        print(f"released: {release_model(study, audit)}")

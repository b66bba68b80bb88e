"""``equipoise``: parse, call, print. What a command needs is imported when it is called."""

import sys
import webbrowser
from datetime import UTC, datetime
from typing import Annotated

import typer

from pipelines import (
    cli_comparison,
    cli_compression,
    cli_explanations,
    cli_keys,
    cli_operations,
    cli_people,
    cli_reads,
    cli_store,
    cli_tuning,
)
from pipelines.cli_options import Person, Reason, StudyName, require_known
from pipelines.errors import EquipoiseError

app = typer.Typer(
    name="equipoise",
    help="Audited predictions from sequences of events.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(cli_comparison.app)
app.add_typer(cli_compression.app)
app.add_typer(cli_people.app)
app.add_typer(cli_explanations.app)
app.add_typer(cli_operations.app)
app.add_typer(cli_keys.app)
app.add_typer(cli_reads.app)
app.add_typer(cli_store.app)
app.add_typer(cli_tuning.app)
app.add_typer(cli_store.database, name="database")


def main() -> None:
    """The entry point: an error of ours is words and an exit code, never a traceback."""
    try:
        app()
    except EquipoiseError as error:
        sys.stdout.flush()
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


@app.command()
def run(
    study: StudyName,
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Score who is eligible on this day (UTC)."),
    ] = None,
) -> None:
    """Train, audit, release, score and publish a study; what is unchanged is reused."""
    from pipelines.console import print_table
    from pipelines.journal import read_entries
    from pipelines.publication.store import open_store
    from pipelines.run_summary import COLUMNS, paths_of, stage_rows
    from pipelines.runs import new_run_id, run_study
    from pipelines.settings import settings
    from pipelines.study import load_study

    load_study(study)
    # Hours before the stage that would refuse, where this process has no login to publish with.
    open_store(settings())
    name = new_run_id()
    code = run_study(study, name, as_of.date() if as_of else None)
    entries = list(read_entries(study, name))
    if entries:
        print()
        print_table(COLUMNS, stage_rows(entries))
        for label, path in paths_of(entries).items():
            print(f"{label}: {path}")
    raise typer.Exit(code)


@app.command()
def show(
    study: StudyName,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Releases, the newest audit with its metrics, published generations, and where they are."""
    require_known(study)
    from pipelines.study_summary import summarise

    summary = summarise(study)
    if as_json:
        print(summary.model_dump_json(indent=1))
        return
    from pipelines.study_tables import print_summary

    print_summary(summary)


@app.command()
def explain(study: StudyName) -> None:
    """What each stage would do now: reuse its artefact, or run, and why."""
    require_known(study)
    from pipelines.console import print_table
    from pipelines.explain import explain_study

    rows = [(line.stage, line.state, line.reason) for line in explain_study(study)]
    print_table(("stage", "state", "reason"), rows)


@app.command()
def report(
    study: StudyName,
    show_it: Annotated[bool, typer.Option("--open/--no-open", help="Open a browser.")] = True,
    as_pdf: Annotated[bool, typer.Option("--pdf", help="Print it as PDF.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Name the one for programs.")] = False,
) -> None:
    """Open the newest audit report, be it of a smaller model; its path is printed."""
    require_known(study)
    from pipelines.compression import smaller_model_of
    from pipelines.errors import SourceMissing
    from pipelines.journal import read_entries
    from pipelines.settings import settings
    from pipelines.stage import store

    entries = [entry for entry in read_entries(study) if entry.stage == "audit_model"]
    there = bool(entries) and store().has(entries[-1].key)
    name = "report.json" if as_json else "report.html"
    path = store().open(entries[-1].key) / name if there else settings().artefacts_dir
    if not path.is_file():
        raise SourceMissing(
            f"{study} has no audit report yet.",
            where=str(settings().artefacts_dir / "audit_model"),
            remedy=f"Train and audit it: equipoise run {study}",
        )
    from pipelines.approvals.answered_report import pdf_with_answers, report_with_answers

    if not as_json:
        path = (pdf_with_answers if as_pdf else report_with_answers)(entries[-1].key)
    print(path)
    if smaller := smaller_model_of(entries[-1].key):
        # Not among the output, which is the path and nothing else.
        print(f"This is the audit of a smaller form: {smaller}", file=sys.stderr)
    if show_it and not as_json:
        webbrowser.open(path.as_uri())


@app.command()
def withdraw(study: StudyName, reason: Reason, person: Person) -> None:
    """Withdraw a study's release and its published predictions; nothing stands until people act."""
    from pipelines.errors import NoRelease
    from pipelines.publication.store import open_store
    from pipelines.releases import withdraw_release
    from pipelines.settings import settings

    # Before the release goes: without the login of its predictions only half would be withdrawn.
    predictions = open_store(settings())
    missing: list[NoRelease] = []
    # The release first: a scoring run that is under way can then publish no more.
    try:
        print(f"withdrawn: release {withdraw_release(study, reason, person).release_id}")
    except NoRelease as error:
        missing.append(error)
    try:
        for generation in predictions.withdraw(study, reason, person):
            print(f"withdrawn: predictions {generation}")
    except NoRelease as error:
        missing.append(error)
    if len(missing) == 2:
        require_known(study)
        raise missing[0]


@app.command()
def reinstate(
    study: StudyName,
    name: Annotated[str, typer.Argument(help="A release or a generation, as `show` names it.")],
    reason: Reason,
    person: Person,
) -> None:
    """Bring back a release, or one generation of predictions, that people had withdrawn."""
    from pipelines.publication.store import open_store
    from pipelines.releases import list_releases, reinstate_release
    from pipelines.settings import settings

    if any(listed.release.release_id == name for listed in list_releases(study)):
        reinstate_release(study, name, reason, person)
        print(f"reinstated: release {name}")
        return
    for generation in open_store(settings()).reinstate(study, name, reason, person):
        print(f"reinstated: predictions {generation}")


@app.command()
def studies() -> None:
    """The studies of this installation and what stands of each."""
    from pipelines.console import print_table
    from pipelines.study import study_names

    columns = ("study", "title", "scored (UTC)", "release")
    print_table(columns, [_study_row(name) for name in study_names()])


def _study_row(name: str) -> tuple[str, str, str, str]:
    from pipelines.errors import NoRelease, StudyInvalid
    from pipelines.releases import current_release
    from pipelines.study import load_study

    try:
        study = load_study(name)
        released = f"{current_release(name).created_at.astimezone(UTC):%Y-%m-%d %H:%M}"
    except StudyInvalid:
        return (name, "cannot be read: equipoise run says why", "", "")
    except NoRelease:
        released = "none"
    return (name, study.title, study.schedule.when_scored, released)

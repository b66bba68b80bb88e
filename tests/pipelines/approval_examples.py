"""A small audited study: real artefacts with real evidence that the gate cannot decide."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipelines.artefacts import Counts, Recipe
from pipelines.declaration import own_words
from pipelines.errors import NoRelease, SourceMissing
from pipelines.incumbents import incumbent_of
from pipelines.manifests import hash_file
from pipelines.publication.duckdb import publish
from pipelines.publication.store import open_store
from pipelines.releases import current_release
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.study import Study, load_study
from tests.dags.installations import study_text
from tests.pipelines.publication_examples import predictions, publication
from tests.validation.audit_examples import CHALLENGERS, gating_line, section, simulated, sound_data
from validation.audit import audit_predictions_table
from validation.evidence import (
    Evidence,
    LineageEntry,
    PopulationEvidence,
    PredictionSource,
    dump_evidence,
)
from validation.gate import judge
from validation.tasks import MetricName

# Its interval on the holdout is .773 to .834: the first is shown, the second cannot be told,
# and the third is shown not to hold.
SHOWN, UNDECIDABLE, OUT_OF_REACH = 0.6, 0.795, 0.95


def asking_study(at_least: float = UNDECIDABLE, **approval: Any) -> str:
    """A study whose gate asks where it cannot tell; further words of its section `approval`."""
    audit = section(gating=[*_lines(at_least)], crossings=[], bootstrap_draws=100)
    asked = {"approval": {"when_cannot_tell": "ask"} | approval}
    return study_text(audit=audit | asked, tuning=None, schedule=None)


def _lines(at_least: float) -> list[dict[str, Any]]:
    return [
        gating_line(line="Ranks well enough", at_least=at_least),
        gating_line(line="No worse", against="best_challenger", at_least=-0.02),
    ]


def study_by_sex(**approval: Any) -> str:
    """A study whose gate cannot tell whether its model finds women as often as men."""
    by_sex = gating_line(line="Alike", metric="tpr", group="sex", between=[-0.01, 0.01])
    gating = [by_sex, _lines(SHOWN)[1]]
    audit = section(gating=gating, crossings=[], bootstrap_draws=100)
    asked = {"approval": {"when_cannot_tell": "ask"} | approval}
    return study_text(audit=audit | asked, schedule=None)


def audited_study(
    study: str, weights: bytes = b"the weights", withheld: tuple[MetricName, ...] = ()
) -> str:
    """All artefacts up to the audit; its key. Other weights are another model and another audit.

    Args:
        withheld: metrics of every group that only the auditor's role may read.
    """
    spec = load_study(study)
    events = _made(spec, "ingest_events", {}, {"events.txt": b"what happened"})
    checks = _made(spec, "check_events", {"events": events}, {"checks.json": b"[]"})
    sequences = _made(spec, "build_sequences", {"events": events}, {"steps.txt": b"in order"})
    trained_on = {"sequences": sequences}
    model = _made(spec, "train_model", trained_on, {"weights.txt": weights}, weights.decode())
    predictions = _predictions(spec, {"sequences": sequences, "model": model})
    keys = {"events": events, "checks": checks, "sequences": sequences, "model": model}
    keys |= {"predictions": predictions} | _compared(study, model)
    return _audit(spec, keys, withheld)


def _compared(study: str, model: str) -> dict[str, str]:
    """The artefacts of the release that stands, which an audit reads beside its own."""
    found = incumbent_of(study, model)
    keys = (found.predictions, found.audit) if found else (None, None)
    named = zip(("incumbent", "previous_audit"), keys, strict=True)
    return {name: key for name, key in named if key is not None}


def _made(
    spec: Study, stage: str, inputs: Mapping[str, str], files: Mapping[str, bytes], said: str = ""
) -> str:
    def write(draft: Path) -> Counts:
        for name, text in files.items():
            (draft / name).write_bytes(text)
        return {}

    return store().make(_recipe(spec, stage, inputs, said), write).key


def _recipe(spec: Study, stage: str, inputs: Mapping[str, str], said: str = "") -> Recipe:
    config = {
        "records": spec.records.model_dump(mode="json"),
        "words": own_words(spec),
        "audit": spec.audit.model_dump(mode="json"),
        "incumbent": inputs.get("incumbent"),
        "mitigation": spec.mitigation and spec.mitigation.model_dump(mode="json"),
        "limits_order": None,
        "said": said,
    }
    return Recipe(stage, sources={}, libraries={}, config=config, inputs=inputs, files={})


def _predictions(spec: Study, inputs: Mapping[str, str]) -> str:
    def write(draft: Path) -> Counts:
        simulated().write_parquet(draft / "predictions.parquet")
        return {}

    return store().make(_recipe(spec, "predict_holdout", inputs), write).key


def _audit(spec: Study, keys: Mapping[str, str], withheld: tuple[MetricName, ...]) -> str:
    def write(draft: Path) -> Counts:
        table = store().path(keys["predictions"]) / "predictions.parquet"
        evidence = Evidence(
            study=spec.title,
            intended_use="a test",
            policy=spec.audit,
            populations=_populations(spec, withheld),
            data=sound_data(),
            lineage=tuple(
                LineageEntry(stage=name, key=key, sha256=store().content_sha256(key))
                for name, key in keys.items()
            ),
            prediction_source=PredictionSource(key=keys["predictions"], sha256=hash_file(table)),
        )
        evidence = evidence.model_copy(update={"gate": judge(evidence, spec.audit)})
        dump_evidence(evidence, draft / "evidence.json")
        (draft / "report.html").write_text("<html>\n<main>\n</main>\n</html>\n")
        return {}

    return store().make(_recipe(spec, "audit_model", keys), write).key


def _populations(spec: Study, withheld: tuple[MetricName, ...]) -> tuple[PopulationEvidence, ...]:
    measured = audit_predictions_table(simulated(), spec.audit, challengers=CHALLENGERS)
    return tuple(
        one.model_copy(
            update={
                "groups": tuple(
                    group.model_copy(update={"withheld": withheld}) for group in one.groups
                )
            }
        )
        for one in measured
    )


def rewrite(file: Path, text: bytes) -> None:
    """Edit a file of an artefact, and its manifest with it, as somebody would who knows how."""
    old = hash_file(file)
    file.chmod(0o600)
    file.write_bytes(text)
    manifest = file.parent / "manifest.json"
    manifest.write_text(manifest.read_text().replace(old, hash_file(file)))


def publish_standing(study: str) -> str:
    """Publish four rows with the release that stands; their generation.

    Raises:
        NoRelease: none stands.
    """
    receipt = publish(publication(1, of=current_release(study)), predictions(1), settings())
    return f"publications/{receipt.generation_id}"


def rows_published(study: str) -> int:
    """Score and publish with the release that stands; how many rows a reader then sees."""
    with suppress(NoRelease):
        publish_standing(study)
    return rows_read(study)


def rows_read(study: str) -> int:
    """How many rows a reader sees."""
    with suppress(SourceMissing):
        return open_store(settings()).read_current(study).height
    return 0

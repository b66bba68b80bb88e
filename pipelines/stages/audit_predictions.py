"""audit_predictions: is this generation like the data its release was audited on?"""

from pathlib import Path

import polars as pl

from pipelines.artefacts import Counts
from pipelines.errors import ArtefactCorrupt, PublicationGateClosed
from pipelines.evidence import lineage, unknown_events
from pipelines.manifests import hash_file
from pipelines.provenance import release_of
from pipelines.releases import Release
from pipelines.source_code import data_hashes
from pipelines.stage import open_inputs, recipe_of, run_stage, store
from pipelines.study import Study, load_study
from validation.evidence import dump_evidence, load_evidence
from validation.mitigation.records import THRESHOLD
from validation.mitigation.table import thresholds_of
from validation.prediction_audit import audit_scores
from validation.prediction_readers import predictions_for_readers
from validation.report.render import render_prediction_report


def audit_predictions(study: str, sequences: str, scores: str) -> str:
    """Compare the scores with those of the release that made them; write evidence and report.

    Raises:
        PublicationGateClosed: that release was withdrawn meanwhile.
    """
    spec = load_study(study)
    release = release_of(study, store().open(scores))
    if release is None:
        raise PublicationGateClosed(
            "The release that made these scores was withdrawn.",
            where=scores,
            remedy="Score again with the release that stands, or train a new one.",
        )
    audited = store().manifest(release.audit_key)["recipe"]["inputs"]
    keys = {
        "sequences": sequences,
        "scores": scores,
        "reference": audited["predictions"],
        "audit": release.audit_key,
    }
    recipe = recipe_of(
        "audit_predictions",
        config={"audit": spec.audit.model_dump(mode="json"), "title": spec.title},
        inputs=keys,
        files=data_hashes("validation/report"),
    )
    return run_stage(study, recipe, lambda draft: _write(spec, release, keys, draft)).key


def _write(spec: Study, release: Release, keys: dict[str, str], draft: Path) -> Counts:
    inputs = open_inputs(keys)
    scores = pl.read_parquet(inputs["scores"] / "scores.parquet")
    audited = pl.read_parquet(inputs["reference"] / "predictions.parquet")
    evidence = audit_scores(
        scores,
        _decided(audited.filter(pl.col("split") == "test"), inputs["audit"], release),
        unknown_events(inputs["sequences"]),
        spec.audit,
        study=f"{spec.name}: {spec.title}",
        lineage=lineage(keys),
    )
    dump_evidence(evidence, draft / "evidence.json")
    page = render_prediction_report(predictions_for_readers(evidence))
    (draft / "report.html").write_text(page, encoding="utf-8")
    lines = [line.verdict for line in evidence.gate.lines] if evidence.gate else []
    return {"lines": len(lines), "passed": lines.count("pass")}


def _decided(reference: pl.DataFrame, audit: Path, release: Release) -> pl.DataFrame:
    """The reference with each row's own threshold, where the release has a table of them.

    Raises ArtefactCorrupt where the evidence is not the one that was released.
    """
    file = audit / "evidence.json"
    if hash_file(file) != release.audit_sha256:
        raise ArtefactCorrupt(
            "The evidence is not the one that was released.",
            where=str(file),
            remedy="Restore it from the backup, or train and audit anew: then score again.",
        )
    told = load_evidence(file).mitigation
    if told is None or told.table is None:
        return reference
    limits = thresholds_of(reference[told.table.attribute], told.table)
    return reference.with_columns(pl.Series(THRESHOLD, limits))

"""publish_predictions: one generation becomes visible, whole, or the last one stands."""

import json
import time
from datetime import datetime
from pathlib import Path

import polars as pl

from pipelines.artefacts import hash_file
from pipelines.errors import PublicationGateClosed
from pipelines.journal import JournalEntry, append_entry
from pipelines.publication.contract import AuditReference, Publication
from pipelines.publication.duckdb import publish
from pipelines.releases import Release, list_releases
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.study import load_study
from validation.evidence import GateVerdict, load_prediction_evidence
from validation.gate import closed
from validation.prediction_gate import judge_predictions


def publish_predictions(study: str, scores: str, audit: str) -> str:
    """Publish the scores under their audit; never skipped, never half done.

    Raises:
        PublicationGateClosed: the audit did not pass, or is of other scores, or the release was
            withdrawn meanwhile. The generation before stands untouched.
    """
    started = time.monotonic()
    folder = store().open(scores)
    evidence_file = store().open(audit) / "evidence.json"
    verdict = _verdict(study, scores, audit)
    inputs = store().manifest(scores)["recipe"]["inputs"]
    sequences = store().manifest(inputs["sequences"])["recipe"]
    publication = Publication(
        study=study,
        as_of=datetime.fromisoformat(sequences["config"]["as_of"]),
        release=_release(study, folder),
        audit=AuditReference(
            audit_id=audit, verdict=verdict.verdict, evidence_sha256=hash_file(evidence_file)
        ),
        scores_key=scores,
        events_key=sequences["inputs"]["events"],
        sequences_key=inputs["sequences"],
    )
    try:
        receipt = publish(publication, _rows(folder), settings())
    except PublicationGateClosed as refused:
        raise _with_reasons(refused, verdict, evidence_file.with_name("report.html")) from None
    key = f"publications/{receipt.generation_id}"
    append_entry(
        JournalEntry(
            study,
            "publish_predictions",
            key,
            made=receipt.made,
            seconds=round(time.monotonic() - started, 3),
            counts={"rows": receipt.row_count},
        )
    )
    return key


def _rows(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "scores.parquet").select(
        "subject_id",
        "index_time",
        pl.col("score_raw").alias("score"),
        pl.col("score").alias("score_calibrated"),
        "score_low",
        "score_high",
        "sequence_length",
        "share_missing",
        "split",
    )


def _verdict(study: str, scores: str, audit: str) -> GateVerdict:
    """The gate's verdict on the evidence, judged once more; the one in the file is not believed."""
    audited = store().manifest(audit)["recipe"]["inputs"]["scores"]
    evidence = load_prediction_evidence(store().path(audit) / "evidence.json")
    if audited != scores:
        return closed("the audit is of other scores")
    if evidence.gate != (verdict := judge_predictions(evidence, load_study(study).audit)):
        return closed("the verdict in the evidence is not the gate's")
    return verdict


def _with_reasons(
    refused: PublicationGateClosed, verdict: GateVerdict, report: Path
) -> PublicationGateClosed:
    """The store's refusal, with what the audit found where that is the cause."""
    if verdict.is_open:
        return refused
    return PublicationGateClosed(
        "The audit of this generation did not pass, so nothing is published:\n"
        + "\n".join(f"  {reason}" for reason in verdict.reasons),
        where=str(report),
        remedy="The previous generation stands. Read the report; train again if the people or the "
        "data have changed.",
    )


def _release(study: str, scores: Path) -> Release:
    """The release that made the scores, if it still may be used."""
    wanted = json.loads((scores / "release.json").read_text())["release_id"]
    for listed in list_releases(study):
        if listed.release.release_id == wanted and listed.state != "withdrawn":
            return listed.release
    raise PublicationGateClosed(
        "The release that made these scores was withdrawn.",
        where=str(scores),
        remedy="Score again with the release that stands, or train a new one.",
    )

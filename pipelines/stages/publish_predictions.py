"""publish_predictions: one generation becomes visible, whole, or the last one stands."""

import json
import time
from datetime import datetime
from pathlib import Path

import polars as pl

from pipelines.domains import load_domain
from pipelines.errors import PublicationGateClosed
from pipelines.evidence import is_point_in_time
from pipelines.journal import JournalEntry, append_entry
from pipelines.manifests import hash_file
from pipelines.provenance import release_of
from pipelines.publication.contract import COLUMNS, THRESHOLD, AuditReference, Publication
from pipelines.publication.crosswalk import read_crosswalk
from pipelines.publication.reasons import with_reasons
from pipelines.publication.rules import ONLY_QUANTILES
from pipelines.publication.store import open_store
from pipelines.reason_table import REASONS
from pipelines.releases import Release
from pipelines.settings import settings
from pipelines.stage import store
from pipelines.study import Study, load_study
from validation.evidence import GateVerdict, load_prediction_evidence
from validation.faithfulness import judge_faithfulness
from validation.prediction_gate import judge_predictions

# The group of an instrument whose source names none.
UNKNOWN = "unknown"


def publish_predictions(
    study: str, checks: str, scores: str, audit: str, reasons: str | None = None
) -> str:
    """Publish the scores under their audit; never skipped, never half done.

    Args:
        checks: the check of the very events that were scored.
        reasons: why each of these scores is what it is; they are published with it where their
            explanation was found faithful, else the columns of reasons stay null.

    Raises:
        PublicationGateClosed: the audit did not pass, or is of other scores, or the release was
            withdrawn meanwhile. The generation before stands untouched.
    """
    started = time.monotonic()
    folder = store().open(scores)
    evidence_file = store().open(audit) / "evidence.json"
    inputs = store().manifest(scores)["recipe"]["inputs"]
    sequences = store().manifest(inputs["sequences"])["recipe"]
    _require_checked(checks, sequences["inputs"]["events"])
    verdict = _verdict(study, scores, audit)
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
        rows = _rows(load_study(study), folder, store().open(inputs["sequences"]))
        if reasons is not None:
            rows = with_reasons(rows, _reasons(scores, reasons))
        receipt = open_store(settings()).publish(publication, rows)
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
            # Who was erased is counted, never named.
            counts={"rows": receipt.row_count}
            | ({"left_out": receipt.left_out} if receipt.left_out else {}),
        )
    )
    return key


def _rows(spec: Study, scored: Path, sequences: Path) -> pl.DataFrame:
    """The columns of the contract; what the study's task does not have is null.

    Whether the universe is point in time is what was said when the sequences were built.
    """
    scores = pl.read_parquet(scored / "scores.parquet").with_columns(
        task=pl.lit(load_domain(spec.domain).task(spec.records)[0]),
        is_point_in_time=pl.lit(is_point_in_time(sequences)),
        score=pl.col("score_raw"),
    )
    scores = _with_names(spec, scores)
    absent = [name for name in ONLY_QUANTILES if name not in scores.columns]
    return scores.with_columns(pl.lit(None, pl.Float64).alias(name) for name in absent).select(
        [*COLUMNS, *(name for name in (THRESHOLD,) if name in scores.columns)]
    )


def _reasons(scores: str, reasons: str) -> pl.DataFrame:
    """The reasons that may be published; none where the explanation was not found faithful."""
    if store().manifest(reasons)["recipe"]["inputs"]["scores"] != scores:
        raise PublicationGateClosed(
            "The reasons are those of other scores, so nothing is published.",
            where=str(store().path(reasons)),
            remedy="The previous generation stands. Run the scoring flow again.",
        )
    folder = store().open(reasons)
    told = pl.read_parquet(folder / "reasons.parquet").select(*REASONS)
    measured = json.loads((folder / "faithfulness.json").read_text())["measured"]
    # Judged anew: limits of today hold, whatever was written.
    return told if judge_faithfulness(measured).is_faithful else told.clear()


def _with_names(spec: Study, scores: pl.DataFrame) -> pl.DataFrame:
    """Add ``instrument`` and ``instrument_group``; the crosswalk of persons is not even read."""
    if not load_domain(spec.domain).names_are_public(spec.records):
        nobody = pl.lit(None, pl.String)
        return scores.with_columns(instrument=nobody, instrument_group=nobody)
    group = pl.col("sector") if "sector" in scores.columns else pl.lit(None, pl.String)
    names = read_crosswalk(spec.name, settings()).rename({"source_id": "instrument"})
    return scores.join(names, on="subject_id", how="left", maintain_order="left").with_columns(
        instrument_group=group.cast(pl.String).fill_null(UNKNOWN)
    )


def _require_checked(checks: str, events: str) -> None:
    """The events must have met their contract: a task can be skipped by hand."""
    folder = store().open(checks)
    found = json.loads((folder / "checks.json").read_text())["checks"]
    judged = store().manifest(checks)["recipe"]["inputs"]["events"]
    if judged == events and found and all(check["passed"] for check in found):
        return
    raise PublicationGateClosed(
        "The events that were scored have not met their contract.",
        where=str(folder / "checks.json"),
        remedy="Run the scoring flow again, from its first stage.",
    )


def _verdict(study: str, scores: str, audit: str) -> GateVerdict:
    """The gate's verdict on the evidence, judged once more.

    A mismatch is refused here, before the store hears of it: what the store records of an audit
    stays.
    """
    audited = store().manifest(audit)["recipe"]["inputs"]["scores"]
    evidence = load_prediction_evidence(store().path(audit) / "evidence.json")
    verdict = judge_predictions(evidence, load_study(study).audit)
    if audited == scores and evidence.gate == verdict:
        return verdict
    why = "is of other scores" if audited != scores else "was judged under another policy"
    raise PublicationGateClosed(
        f"The audit {why}, so nothing is published.",
        where=str(store().path(audit)),
        remedy="The previous generation stands. Run the scoring flow again: the audit is made "
        "for these scores and the study's limits of today.",
    )


def _with_reasons(
    refused: PublicationGateClosed, verdict: GateVerdict, report: Path
) -> PublicationGateClosed:
    """The store's refusal, with what the audit found where that is the cause."""
    if verdict.is_open:
        return refused
    return PublicationGateClosed(
        f"{refused.cause}\nThe audit of this generation says:\n"
        + "\n".join(f"  {reason}" for reason in verdict.reasons),
        where=str(report),
        remedy="The previous generation stands. Read the report; train again if the people or the "
        "data have changed.",
    )


def _release(study: str, scores: Path) -> Release:
    """The release that made the scores, if it still may be used."""
    release = release_of(study, scores)
    if release is not None:
        return release
    raise PublicationGateClosed(
        "The release that made these scores was withdrawn.",
        where=str(scores),
        remedy="Score again with the release that stands, or train a new one.",
    )

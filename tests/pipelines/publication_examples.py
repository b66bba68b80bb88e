"""Small publications with numbers that a reader can check in the head."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from pipelines.approvals.record import ApprovalRecord, Decision
from pipelines.identity import Verdict
from pipelines.publication.contract import AuditReference, Publication
from pipelines.publication.duckdb import publish
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.rules import DECIDED_TASKS, NAMES, ONLY_QUANTILES
from pipelines.publication.schema import QUANTILE_COLUMNS
from pipelines.releases import Release, record_release
from pipelines.settings import Settings

STUDY = "toy_study"
FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)
# Releases are made now, while an approval by people still holds.
DECIDED_AT = datetime.now(UTC)
PASSED = AuditReference(audit_id="audit_predictions/00aa", verdict="pass", evidence_sha256="b" * 64)


def release(
    study: str = STUDY,
    *,
    model: str = "train_model/0001",
    verdict: Verdict = "pass",
    threshold: float | None = 0.5,
) -> Release:
    """A release of the toy study; the model's key, and weights after it, tell two apart.

    A pass was released by the gate; whatever else was put before people and approved.
    """
    approval = approval_of(study, model=model, verdict=verdict)
    return Release.of(
        study=study,
        model_key=model,
        model_sha256=approval.model_sha256,
        audit_key=approval.audit_key,
        audit_sha256=approval.evidence_sha256,
        verdict=verdict,
        events_key="ingest_events/0001",
        sequences_key="build_sequences/0001",
        records_sha256="2" * 64,
        policy_sha256="3" * 64,
        threshold=threshold,
        approval=approval,
    )


def approval_of(
    study: str = STUDY,
    *,
    model: str = "train_model/0001",
    verdict: Verdict = "pass",
    decision: Decision = "approved",
    audit_key: str | None = None,
    evidence_sha256: str = "a" * 64,
) -> ApprovalRecord:
    """The approval of the toy study's model: by the gate where it passed, else by a person."""
    bound: dict[str, Any] = {
        "study": study,
        "audit_key": audit_key or f"audit_model/of-{model[-4:]}",
        "evidence_sha256": evidence_sha256,
        "model_sha256": model[-4:].rjust(64, "1"),
        "data_sha256": "4" * 64,
        "policy_sha256": "3" * 64,
    }
    if (verdict, decision) == ("pass", "approved"):
        return ApprovalRecord.by_gate(**bound)
    return ApprovalRecord.by_people(
        **bound,
        verdict=verdict,
        request_id="request-1",
        decision=decision,
        decided_by=("a person",),
        reason="looked at by a person",
        decided_at=DECIDED_AT,
        expires_at=DECIDED_AT + timedelta(days=14),
    )


def audited_anew(known: Release) -> Release:
    """The same model under another audit: another release of the same weights."""
    anew: dict[str, Any] = {"audit_key": "audit_model/anew", "evidence_sha256": "c" * 64}
    bound = known.approval.model_dump(
        include={"study", "model_sha256", "data_sha256", "policy_sha256"}
    )
    content = known.model_dump(exclude={"release_id", "created_at", "audit_key", "audit_sha256"})
    audited = {
        "audit_key": anew["audit_key"],
        "audit_sha256": anew["evidence_sha256"],
        "approval": ApprovalRecord.by_gate(**bound, **anew),
    }
    return Release.of(**content | audited)


def recorded_release(
    study: str = STUDY, *, model: str = "train_model/0001", threshold: float | None = 0.5
) -> Release:
    """A release that stands in the record of the installation that the environment names."""
    return record_release(study, release(study, model=model, threshold=threshold))


def recorded_release_of(task: str) -> Release:
    """A standing release of the study ``toy_TASK``: a threshold where the task decides."""
    decides = task in DECIDED_TASKS
    return recorded_release(f"toy_{task}", threshold=0.5 if decides else None)


def publication(
    number: int = 1,
    *,
    of: Release | None = None,
    day: int | None = None,
    audit: AuditReference = PASSED,
) -> Publication:
    """Generation ``number``; its as-of date is that many days after 1 January 2020."""
    standing = of or recorded_release()
    return Publication(
        study=standing.study,
        as_of=FIRST_DAY + timedelta(days=number if day is None else day),
        release=standing,
        audit=audit,
        scores_key=f"score_subjects/{number:04d}",
        events_key=f"ingest_events/{number:04d}",
        sequences_key=f"build_sequences/{number:04d}",
    )


def predictions(number: int = 1, *, rows: int = 4) -> pl.DataFrame:
    """Subjects 1..rows; subject s has the calibrated score (s % 4) / 4, and score = number."""
    subject = pl.int_range(1, rows + 1, eager=True, dtype=pl.Int64).alias("subject_id")
    calibrated = (pl.col("subject_id") % 4) / 4
    return subject.to_frame().with_columns(
        task=pl.lit("risk"),
        is_point_in_time=pl.lit(value=True),
        **{name: pl.lit(None, pl.String) for name in NAMES},
        index_time=pl.lit(FIRST_DAY).dt.cast_time_unit("us"),
        score=pl.lit(float(number)),
        score_calibrated=calibrated,
        score_low=calibrated / 2,
        score_high=(1 + calibrated) / 2,
        sequence_length=pl.lit(number, pl.Int32),
        share_missing=pl.lit(0.25),
        split=pl.lit("none"),
        **{name: pl.lit(None, pl.Float64) for name in ONLY_QUANTILES},
    )


def directions(number: int = 1, *, rows: int = 4) -> pl.DataFrame:
    """As ``predictions``, of instruments I1.. whose universe lacks those that were delisted."""
    return predictions(number, rows=rows).with_columns(
        task=pl.lit("direction"),
        is_point_in_time=pl.lit(value=False),
        instrument=pl.format("I{}", "subject_id"),
        instrument_group=pl.lit("energy"),
    )


def volatilities(number: int = 1, *, rows: int = 4) -> pl.DataFrame:
    """Instrument s has the volatility s / 2, thus above 1 from the third on, within s/4 and s."""
    volatility = pl.col("subject_id") / 2
    return directions(number, rows=rows).with_columns(
        task=pl.lit("volatility"),
        score_calibrated=volatility,
        score_low=volatility / 2,
        score_high=volatility * 2,
    )


def quantiles(number: int = 1, *, rows: int = 4) -> pl.DataFrame:
    """Instrument s was last at 100 s; its log returns are -.2, -.1, 0, .1, .2, its price 100 s."""
    last_price = pl.col("subject_id") * 100.0
    log_returns = dict(zip(QUANTILE_COLUMNS, (-0.2, -0.1, 0.0, 0.1, 0.2), strict=True))
    return directions(number, rows=rows).with_columns(
        task=pl.lit("quantiles"),
        score_calibrated=last_price,
        score_low=last_price * math.exp(-0.2),
        score_high=last_price * math.exp(0.2),
        last_price=last_price,
        **{name: pl.lit(value) for name, value in log_returns.items()},
    )


# A builder for each task.
PREDICTIONS_OF: dict[str, Callable[..., pl.DataFrame]] = {
    "risk": predictions,
    "direction": directions,
    "volatility": volatilities,
    "quantiles": quantiles,
}


def folders(home: Settings) -> PublicationFolders:
    return PublicationFolders(home.publication_dir)


def publish_number(home: Settings, number: int, *, day: int | None = None, rows: int = 4) -> str:
    receipt = publish(publication(number, day=day), predictions(number, rows=rows), home)
    return receipt.generation_id


def numbers(frame: pl.DataFrame) -> list[float]:
    """The generations that a table shows: ``score`` is the number of its generation."""
    return frame["score"].unique().sort().to_list()

"""What is published: a generation of predictions, the audit it passed, the rows it must hold."""

import hashlib
from pathlib import Path
from typing import Self

import polars as pl
from pydantic import BaseModel, ConfigDict, model_validator

from pipelines.errors import PublicationGateClosed
from pipelines.releases import Key, Release, Sha256, StudyName, UtcMoment, Verdict

COLUMNS: dict[str, pl.DataType] = {
    "subject_id": pl.Int64(),
    "index_time": pl.Datetime("us", "UTC"),
    "score": pl.Float64(),
    "score_calibrated": pl.Float64(),
    "score_low": pl.Float64(),
    "score_high": pl.Float64(),
    "sequence_length": pl.Int32(),
    "share_missing": pl.Float64(),
    "split": pl.String(),
}
SPLITS = ("train", "validation", "test", "none")


class AuditReference(BaseModel):
    """An audit's key, what it came to, and the sha256 of its evidence.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    audit_id: Key
    verdict: Verdict
    evidence_sha256: Sha256


class Publication(BaseModel):
    """All that names one generation; ``events_key`` and ``sequences_key`` are of the data scored.

    The release carries the model, its audit and the threshold.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: StudyName
    as_of: UtcMoment
    release: Release
    audit: AuditReference
    scores_key: Key
    events_key: Key
    sequences_key: Key

    @model_validator(mode="after")
    def _belongs_to_one_study(self) -> Self:
        if self.release.study != self.study:
            raise ValueError("the release is another study's")
        return self

    @property
    def model_audit(self) -> AuditReference:
        """The audit that the release rests on."""
        return AuditReference(
            audit_id=self.release.audit_key,
            verdict=self.release.verdict,
            evidence_sha256=self.release.audit_sha256,
        )

    @property
    def generation_id(self) -> str:
        """16 hex digits: the same scores under the same audit are the same generation."""
        parts = (self.study, self.release.release_id, self.scores_key, self.audit.audit_id)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


class GenerationReceipt(BaseModel):
    """What a publication came to; ``made`` is false when the generation was there already."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: str
    generation_id: str
    release_id: str
    row_count: int
    made: bool
    published_at: UtcMoment
    snapshot: Path
    parquet: Path


def published_rows(publication: Publication, predictions: pl.DataFrame) -> pl.DataFrame:
    """The rows as the table holds them: cast, checked, decided at the release's threshold.

    Args:
        predictions: one row per subject with exactly the columns of ``COLUMNS``; the scores and
            ``share_missing`` are shares of one, ``sequence_length`` counts time steps.

    Raises:
        PublicationGateClosed: a column is missing, unknown or of another type, or rows break a
            rule; the message says which rule and how many rows, never a value.
    """
    rows = _typed(publication, predictions)
    for rule, broken in _broken_rows(rows, publication).items():
        if broken:
            raise rows_refused(publication, f"{broken:,} of {rows.height:,} rows break: {rule}")
    if rows.is_empty():
        raise rows_refused(publication, "there is no row: an empty table would hide the last one")
    return rows.with_columns(
        threshold=pl.lit(publication.release.threshold),
        decision=pl.col("score_calibrated") >= publication.release.threshold,
    )


def rows_refused(publication: Publication, why: str) -> PublicationGateClosed:
    """The error for rows that cannot be published."""
    return PublicationGateClosed(
        f"The predictions of {publication.study} cannot be published: {why}.",
        where=publication.scores_key,
        remedy="The previous generation stands untouched. Correct the scoring and run again.",
    )


def _typed(publication: Publication, predictions: pl.DataFrame) -> pl.DataFrame:
    missing = sorted(set(COLUMNS) - set(predictions.columns))
    unknown = sorted(set(predictions.columns) - set(COLUMNS))
    if missing or unknown:
        raise rows_refused(publication, f"columns missing {missing}, unknown {unknown}")
    try:
        return predictions.select(pl.col(name).cast(dtype) for name, dtype in COLUMNS.items())
    except pl.exceptions.PolarsError:
        # The library's own message shows the value that would not fit.
        raise rows_refused(publication, "a column has another type") from None


def _broken_rows(rows: pl.DataFrame, publication: Publication) -> dict[str, int]:
    """Rule -> the number of rows that break it, or do not say."""
    shares = ("score_calibrated", "score_low", "score_high", "share_missing")
    rules: dict[str, pl.Expr] = {f"{name} is known": pl.col(name).is_not_null() for name in COLUMNS}
    rules |= {f"{name} is within 0 and 1": pl.col(name).is_between(0, 1) for name in shares}
    rules |= {
        "score is a finite number": pl.col("score").is_finite(),
        "score_low is not above score_high": pl.col("score_low") <= pl.col("score_high"),
        "sequence_length is not negative": pl.col("sequence_length") >= 0,
        "split is one of " + ", ".join(SPLITS): pl.col("split").is_in(SPLITS),
        "index_time is not after the day of as_of": pl.col("index_time").dt.date()
        <= publication.as_of.date(),
        "one row per subject": pl.col("subject_id").is_first_distinct(),
    }
    counts = rows.select(
        (~rule.fill_null(value=False)).sum().alias(name) for name, rule in rules.items()
    )
    return {} if rows.is_empty() else counts.row(0, named=True)

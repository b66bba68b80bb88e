"""What is published: a generation of predictions, the audit it passed, the rows it must hold."""

import hashlib
from pathlib import Path
from typing import Literal, Self

import polars as pl
from pydantic import BaseModel, ConfigDict, model_validator

from pipelines.errors import PublicationGateClosed
from pipelines.identity import Key, Sha256, StudyName, UtcMoment, Verdict
from pipelines.publication.rules import row_rules
from pipelines.publication.schema import QUANTILE_COLUMNS, REASON_COLUMNS, TEXT
from pipelines.releases import Release

COLUMNS: dict[str, pl.DataType] = {
    "task": pl.String(),
    "is_point_in_time": pl.Boolean(),
    "subject_id": pl.Int64(),
    "instrument": pl.String(),
    "instrument_group": pl.String(),
    "index_time": pl.Datetime("us", "UTC"),
    "score": pl.Float64(),
    "score_calibrated": pl.Float64(),
    "score_low": pl.Float64(),
    "score_high": pl.Float64(),
    **{name: pl.Float64() for name in QUANTILE_COLUMNS},
    "last_price": pl.Float64(),
    "sequence_length": pl.Int32(),
    "share_missing": pl.Float64(),
    "split": pl.String(),
}
# A further column, where the audit gave groups thresholds of their own.
THRESHOLD = "threshold"
# Further columns, where the scores were explained and the explanation passed its check.
REASONS: dict[str, pl.DataType] = {
    name: pl.String() if kind == TEXT else pl.Float64() for name, kind in REASON_COLUMNS.items()
}


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
    """What a publication came to; ``made`` is false when the generation was there already.

    left_out: rows of subjects who were erased, and are not published.
    snapshot, parquet: the readers' files; None where a server is read.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: str
    generation_id: str
    release_id: str
    row_count: int
    made: bool
    left_out: int = 0
    published_at: UtcMoment
    snapshot: Path | None = None
    parquet: Path | None = None


class ListedGeneration(BaseModel):
    """One generation of a study and how it stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generation_id: str
    release_id: str
    audit_id: str
    as_of: UtcMoment
    published_at: UtcMoment
    row_count: int
    state: Literal["published", "withdrawn", "reinstated"]
    is_current: bool


def published_rows(publication: Publication, predictions: pl.DataFrame) -> pl.DataFrame:
    """The rows as the table holds them: cast, checked, decided at the release's threshold, or at
    each row's own where its audit gave groups thresholds of their own.

    Args:
        predictions: one row per subject (patient or instrument) with exactly the columns of
            ``COLUMNS``, all of one task. ``score_calibrated``, ``score_low`` and ``score_high``
            are probabilities for risk and direction, annualised volatilities (> 0) for
            volatility, prices (> 0) for quantiles; ``score`` is any finite number.
            ``quantile_*`` (ascending, prices) and ``last_price``
            (> 0, the last close known) are given for quantiles and null for every other task.
            ``instrument`` and ``instrument_group`` (not empty) name what is traded; for risk they
            are null: a patient's id of the source is never published.
            ``is_point_in_time`` is false where the universe lacks those who left it.
            ``share_missing`` is a share of one, ``sequence_length`` counts time steps.
            Beside them there may be ``threshold``, each row's own, above 0 and below 1, and the
            columns of ``REASONS``, all of them, null where a row has none.

    Returns:
        The rows with ``threshold`` and ``decision``, null where the release decides nothing.

    Raises:
        PublicationGateClosed: a column is missing, unknown or of another type, or rows break a
            rule; the message says which rule and how many rows, never a value.
    """
    threshold = _thresholds(publication, predictions)
    rows = _typed(publication, _with_reasons(predictions).drop(THRESHOLD, strict=False))
    for rule, broken in _broken_rows(rows, publication).items():
        if broken:
            raise rows_refused(publication, f"{broken:,} of {rows.height:,} rows break: {rule}")
    if rows.is_empty():
        raise rows_refused(publication, "there is no row: an empty table would hide the last one")
    decided = rows.with_columns(threshold)
    return decided.with_columns(decision=pl.col("score_calibrated") >= pl.col(THRESHOLD))


def _with_reasons(predictions: pl.DataFrame) -> pl.DataFrame:
    """The columns of reasons, all null where none is given."""
    if any(name in predictions.columns for name in REASONS):
        return predictions
    return predictions.with_columns(pl.lit(None, t).alias(name) for name, t in REASONS.items())


def _thresholds(publication: Publication, predictions: pl.DataFrame) -> pl.Series | pl.Expr:
    if THRESHOLD not in predictions.columns:
        return pl.lit(publication.release.threshold, pl.Float64).alias(THRESHOLD)
    own = predictions[THRESHOLD]
    if publication.release.threshold is None:
        raise rows_refused(publication, "rows have a threshold and the release decides nothing")
    if own.dtype != pl.Float64 or not own.is_between(0, 1, closed="none").fill_null(False).all():
        raise rows_refused(publication, "a row's own threshold is not between 0 and 1")
    return own


def rows_refused(publication: Publication, why: str) -> PublicationGateClosed:
    """The error for rows that cannot be published."""
    return PublicationGateClosed(
        f"The predictions of {publication.study} cannot be published: {why}.",
        where=publication.scores_key,
        remedy="The previous generation stands untouched. Correct the scoring and run again.",
    )


def _typed(publication: Publication, predictions: pl.DataFrame) -> pl.DataFrame:
    wanted = COLUMNS | REASONS
    missing = sorted(set(wanted) - set(predictions.columns))
    unknown = sorted(set(predictions.columns) - set(wanted))
    if missing or unknown:
        raise rows_refused(publication, f"columns missing {missing}, unknown {unknown}")
    try:
        return predictions.select(pl.col(name).cast(dtype) for name, dtype in wanted.items())
    except pl.exceptions.PolarsError:
        # The library's own message shows the value that would not fit.
        raise rows_refused(publication, "a column has another type") from None


def _broken_rows(rows: pl.DataFrame, publication: Publication) -> dict[str, int]:
    """Rule -> the number of rows that break it, or do not say."""
    rules = row_rules(
        COLUMNS,
        as_of_day=publication.as_of.date(),
        has_threshold=publication.release.threshold is not None,
    )
    counts = rows.select(
        (~rule.fill_null(value=False)).sum().alias(name) for name, rule in rules.items()
    )
    return {} if rows.is_empty() else counts.row(0, named=True)

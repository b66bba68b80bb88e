"""The attributes by which the audit groups patients."""

from collections.abc import Sequence
from itertools import pairwise

import polars as pl

from pipelines.ehr.config import EhrConfig

GROUPS = ("sex", "age_band")
DAYS_PER_YEAR = 365.25


def group_names(config: EhrConfig) -> tuple[str, ...]:
    """Sex, age band, and what else the study's source tells of a subject."""
    return GROUPS + tuple(config.source.subjects.attributes)


def with_age(frame: pl.DataFrame, bands_from_years: Sequence[int]) -> pl.DataFrame:
    """Add ``age_years`` at ``index_time`` and ``age_band`` to rows that have a ``birth``.

    A band is named by its whole years, the last one is open: 18-44, 45-64, 65+.
    """
    days = (pl.col("index_time").dt.date() - pl.col("birth")).dt.total_days()
    aged = frame.with_columns(age_years=(days / DAYS_PER_YEAR).cast(pl.Float64))
    return aged.with_columns(age_band=_band(list(bands_from_years)))


def _band(starts: list[int]) -> pl.Expr:
    names = [f"{low}-{high - 1}" for low, high in pairwise(starts)]
    names.append(f"{starts[-1]}+")
    # A birth known to the year makes an age of exactly 45 come out up to a day short of it.
    age = pl.col("age_years") + 1 / DAYS_PER_YEAR
    band = pl.lit(f"under {starts[0]}")
    for start, name in zip(starts, names, strict=True):
        band = pl.when(age >= start).then(pl.lit(name)).otherwise(band)
    return pl.when(pl.col("age_years").is_null()).then(pl.lit("unknown")).otherwise(band)

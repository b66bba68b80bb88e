"""The table of thresholds, applied. Light: whoever scores has no use for what fitted it."""

import polars as pl

from validation.mitigation.records import ThresholdTable
from validation.ranking import FloatArray

UNKNOWN_LEVEL = "unknown"


def thresholds_of(levels: pl.Series, table: ThresholdTable) -> FloatArray:
    """[n] the threshold of each row; unknown levels and nulls have the overall one."""
    known = {group.level: float(group.threshold) for group in table.groups}
    found: FloatArray = (
        levels.cast(pl.String)
        .fill_null(UNKNOWN_LEVEL)
        .replace_strict(known, default=float(table.overall), return_dtype=pl.Float64)
        .to_numpy()
    )
    return found

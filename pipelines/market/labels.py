"""What became of the sessions after an index time, as it was first known in full."""

import numpy as np
import polars as pl

from pipelines.market.config import Label
from pipelines.market.features import LEAST_VOLATILITY, SESSIONS_PER_YEAR
from pipelines.market.returns import BAR


def with_labels(
    rows: pl.DataFrame, stated: pl.DataFrame, sessions: pl.DataFrame, label: Label
) -> pl.DataFrame:
    """Add label (f32) and label_end_time to rows of subject_id and session.

    label_end_time is when the last of the next ``horizon_sessions`` returns was known, in time or
    late; the label is of the versions known then, and no later restatement changes it. Both are
    null where one of the returns is missing. For a direction also forward_return (f64), the sum of
    which the label is the sign: what a forecast would have earned or cost, never a feature.

    realised_volatility: sqrt(252 / n * sum r^2), at least .02, annualised; return_quantiles: the
    sum of the log returns; direction: 1 if that sum is above 0, else 0.
    """
    steps = label.horizon_sessions
    keys = rows.select(BAR)
    first = _in_time_or_first(stated, sessions)
    end = _end_time(keys, first, steps)
    revised = _revised(stated, first)
    values = [_values_after(keys, first, step) for step in range(1, steps + 1)]
    if not revised.is_empty():
        values = [_as_known(keys, end, stated, value, step) for step, value in enumerate(values, 1)]
    after = np.column_stack(values)
    labelled = rows.with_columns(label=_label(after, label.kind), label_end_time=end)
    if label.kind != "direction":
        return labelled
    return labelled.with_columns(forward_return=pl.Series(after.sum(axis=1)).fill_nan(None))


def _in_time_or_first(stated: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Of each return when it was known (the deadline, or later) and what it then was."""
    deadline = sessions.select("session", "deadline")
    known = stated.join(deadline, on="session", maintain_order="left").with_columns(
        known_time=pl.max_horizontal("known_time", "deadline")
    )
    # The first to be known; of those known by the deadline, the newest.
    return (
        known.filter(pl.col("known_time") == pl.col("known_time").min().over(BAR))
        .unique(BAR, keep="last", maintain_order=True)
        .select(*BAR, "known_time", "value")
    )


def _revised(stated: pl.DataFrame, first: pl.DataFrame) -> pl.DataFrame:
    """Versions known after a return was first known."""
    return stated.join(first.select(*BAR, since="known_time"), on=BAR).filter(
        pl.col("known_time") > pl.col("since")
    )


def _after(keys: pl.DataFrame, table: pl.DataFrame, step: int) -> pl.DataFrame:
    """``table`` at ``step`` sessions after each row; null where it has nothing."""
    shifted = table.with_columns(pl.col("session") - step)
    return keys.join(shifted, on=BAR, how="left", maintain_order="left")


def _values_after(keys: pl.DataFrame, first: pl.DataFrame, step: int) -> pl.Series:
    return _after(keys, first.select(*BAR, "value"), step)["value"]


def _end_time(keys: pl.DataFrame, first: pl.DataFrame, steps: int) -> pl.Series:
    """When the last of the returns is known; null if one never is."""
    times = [
        _after(keys, first.select(*BAR, "known_time"), step)["known_time"].alias(str(step))
        for step in range(1, steps + 1)
    ]
    known = pl.all_horizontal(pl.all().is_not_null())
    return pl.DataFrame(times).select(
        label_end_time=pl.when(known).then(pl.max_horizontal(pl.all()))
    )["label_end_time"]


def _as_known(
    keys: pl.DataFrame, end: pl.Series, stated: pl.DataFrame, value: pl.Series, step: int
) -> pl.Series:
    """The newest version, known at the label's end, of the return ``step`` sessions ahead."""
    wanted = keys.with_columns(pl.col("session") + step, end, value, place=pl.int_range(pl.len()))
    known = (
        wanted.drop_nulls("label_end_time")
        .sort("label_end_time")
        .join_asof(
            stated.select(*BAR, "known_time", newest="value").sort("known_time"),
            left_on="label_end_time",
            right_on="known_time",
            by=list(BAR),
            check_sortedness=False,
        )
    )
    return wanted.join(
        known.select("place", "newest"), on="place", how="left", maintain_order="left"
    ).select(value=pl.coalesce("newest", "value"))["value"]


def _label(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]], kind: str) -> pl.Series:
    """The label [E] of the next returns [E, n]."""
    if kind == "realised_volatility":
        mean = np.square(values).sum(axis=1) / values.shape[1]
        found = np.maximum(np.sqrt(SESSIONS_PER_YEAR * mean), LEAST_VOLATILITY)
    else:
        found = values.sum(axis=1)
        if kind == "direction":
            found = np.where(np.isnan(found), np.nan, found > 0)
    return pl.Series("label", found).fill_nan(None).cast(pl.Float32)

"""What was known of an instrument's returns at each session, as dense series to roll over."""

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.market.returns import BAR, newest_in_time

SERIES = ("subject_id", "vintage")
Float = npt.NDArray[np.float64]


def histories(stated: pl.DataFrame, bars: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Series of returns, one per instrument and vintage, without a gap in sessions.

    A vintage is what was known from one late statement to the next; an instrument whose returns
    were all known in time has one. Truncating the events leaves every row in force as it was.

    Args:
        stated: versions of returns (``returns``).
        bars: subject_id, session: the bars known in time, from whose first to last a series runs.
        sessions: ``trading_sessions``.

    Returns:
        subject_id, vintage, session, value (null: missing), place (0-based, within the series) and
        in_force: whether the row's vintage is what was known at the row's own deadline. Sorted.
    """
    vintages = _vintages(stated, bars, sessions)
    return (
        _dense(vintages, stated, bars, sessions)
        .join(_values(vintages, stated, sessions), on=[*SERIES, "session"], how="left")
        .sort(*SERIES, "session")
        .with_columns(
            place=pl.int_range(pl.len()).over(SERIES),
            in_force=(pl.col("deadline") >= pl.col("since")).fill_null(value=True),
        )
        .select(*SERIES, "session", "value", "place", "in_force")
    )


def window_sums(values: Float, place: npt.NDArray[np.int64], length: int) -> Float:
    """Sum of the last ``length`` values [R] of each row's series; NaN if any is missing.

    Each window is added up on its own, in one order: no rounding is handed on from the past, so
    that a truncated series gives the very same bits.
    """
    sums = np.zeros_like(values)
    for lag in range(min(length, values.size)):
        sums[lag:] += values[: values.size - lag]
    return np.where(place >= length - 1, sums, np.nan)


def _vintages(stated: pl.DataFrame, bars: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """subject_id, vintage, since, until: null since the beginning, null without an end."""
    late = (
        stated.join(sessions.select("session", "deadline"), on="session")
        .filter(pl.col("known_time") > pl.col("deadline"))
        .select("subject_id", since="known_time")
        .unique()
    )
    first = bars.select("subject_id", since=pl.lit(None, pl.Datetime("us", "UTC"))).unique()
    return (
        pl.concat([first, late.join(first, on="subject_id", how="semi")])
        .sort("subject_id", "since", nulls_last=False)
        .with_columns(
            vintage=pl.int_range(pl.len()).over("subject_id"),
            until=pl.col("since").shift(-1).over("subject_id"),
        )
    )


def _dense(
    vintages: pl.DataFrame, stated: pl.DataFrame, bars: pl.DataFrame, sessions: pl.DataFrame
) -> pl.DataFrame:
    """A row for every session of a series, up to where its vintage ends."""
    span = (
        pl.concat([stated.select(BAR), bars.select(BAR)])
        .group_by("subject_id")
        .agg(first=pl.col("session").min(), last=pl.col("session").max())
    )
    return (
        vintages.join(span, on="subject_id")
        .with_columns(session=pl.int_ranges("first", pl.col("last") + 1))
        .explode("session")
        .join(sessions.select("session", "deadline"), on="session")
        .filter(pl.col("until").is_null() | (pl.col("deadline") < pl.col("until")))
    )


def _values(vintages: pl.DataFrame, stated: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """The return of each session as a vintage knows it: in time, or late but by its beginning."""
    base = newest_in_time(stated, sessions).select(*BAR, "value")
    several = vintages.filter(pl.len().over("subject_id") > 1)
    alone = vintages.join(several, on="subject_id", how="anti").select(SERIES)
    known = (pl.col("known_time") <= pl.col("deadline")) | (
        pl.col("known_time") <= pl.col("since")
    ).fill_null(value=False)
    restated = (
        stated.join(several, on="subject_id")
        .join(sessions.select("session", "deadline"), on="session")
        .filter(known)
        .sort(*SERIES, "session", "known_time")
        .unique([*SERIES, "session"], keep="last", maintain_order=True)
    )
    columns = [*SERIES, "session", "value"]
    return pl.concat([base.join(alone, on="subject_id").select(columns), restated.select(columns)])

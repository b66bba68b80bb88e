"""What was known of an instrument's returns at each session, as dense series to roll over."""

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.market.returns import BAR, newest_in_time

SERIES = ("subject_id", "vintage")
# A later vintage begins this long before it comes into force: by then the exponential mean has
# forgotten its beginning (.94 to this power is 1e-20), and many restatements stay affordable.
WARM_UP_SESSIONS = 756
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
    late = stated.join(sessions.select("session", "deadline"), on="session").filter(
        pl.col("known_time") > pl.col("deadline")
    )
    vintages = _vintages(late, bars)
    in_time = newest_in_time(stated, sessions).select(*BAR, "value")
    return (
        _dense(vintages, stated, bars, sessions)
        .join(in_time, on=BAR, how="left")
        .join(_late_values(vintages, late), on=[*SERIES, "session"], how="left")
        .sort(*SERIES, "session")
        .with_columns(
            value=pl.coalesce("late_value", "value"),
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


def window_largest(values: Float, place: npt.NDArray[np.int64], lags: range) -> tuple[Float, Float]:
    """The largest of the values [R] that lie ``lags`` sessions back, and how many sessions back.

    Missing values are passed over; of equal ones the newest counts. NaN where the first known value
    of the series is not that far back.
    """
    largest, ago = np.full_like(values, np.nan), np.full_like(values, np.nan)
    for lag in lags:
        if lag >= values.size:
            break
        shifted = np.full_like(values, np.nan)
        shifted[lag:] = values[: values.size - lag]
        better = (shifted > largest) | (np.isnan(largest) & ~np.isnan(shifted))
        largest, ago = np.where(better, shifted, largest), np.where(better, lag, ago)
    reaches = place - _first_known(values, place) >= lags[-1]
    return np.where(reaches, largest, np.nan), np.where(reaches, ago, np.nan)


def _first_known(values: Float, place: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Of each row [R] the place at which its series first holds a value."""
    if not values.size:
        return place
    starts = np.flatnonzero(place == 0)
    never = np.iinfo(np.int64).max // 2
    first = np.minimum.reduceat(np.where(np.isnan(values), never, place), starts)
    return np.repeat(first, np.diff(np.append(starts, place.size)))


def _vintages(late: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """subject_id, vintage, since, until: null since the beginning, null without an end."""
    first = bars.select("subject_id", since=pl.lit(None, pl.Datetime("us", "UTC"))).unique()
    moments = late.select("subject_id", since="known_time").unique()
    return (
        pl.concat([first, moments.join(first, on="subject_id", how="semi")])
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
    in_force_from = sessions.select("deadline", from_session="session")
    return (
        vintages.join(span, on="subject_id")
        .sort("since", nulls_last=False)
        .join_asof(in_force_from, left_on="since", right_on="deadline", strategy="forward")
        .with_columns(
            first=pl.max_horizontal("first", pl.col("from_session") - WARM_UP_SESSIONS),
            last=pl.col("last") + 1,
        )
        .filter(pl.col("first") < pl.col("last"))
        .select(*SERIES, "since", "until", session=pl.int_ranges("first", "last"))
        .explode("session")
        .join(sessions.select("session", "deadline"), on="session")
        .filter(pl.col("until").is_null() | (pl.col("deadline") < pl.col("until")))
    )


def _late_values(vintages: pl.DataFrame, late: pl.DataFrame) -> pl.DataFrame:
    """The late versions that a vintage knows, of each session the newest; they go before."""
    return (
        late.join(vintages.select(*SERIES, "since"), on="subject_id")
        .filter(pl.col("known_time") <= pl.col("since"))
        .sort(*SERIES, "session", "known_time")
        .unique([*SERIES, "session"], keep="last", maintain_order=True)
        .select(*SERIES, "session", late_value="value")
    )

"""Features of a market: channels per session, and static columns at an index time."""

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.market.config import MarketConfig
from pipelines.market.histories import SERIES, Float, window_largest, window_sums
from pipelines.market.returns import BAR, as_seen, newest_in_time, returns, trading_sessions

SESSIONS_PER_YEAR = 252
# Annualised: below it a price that hardly moved would make a ratio of volatilities explode.
LEAST_VOLATILITY = 0.02
LEAST_ABSOLUTE_RETURN = 1e-3
# RiskMetrics (1996) has .06 for daily data: the weight of the newest squared return.
EWMA_ALPHA = 0.06
VOLATILITY_SESSIONS = (1, 5, 22, 66)
RETURN_SESSIONS = (5, 22)
VOLUME_SESSIONS = 22
# Companies report once a quarter, on about the same sessions: there the large moves come back.
QUARTER_SESSIONS = 63
QUARTERS = (1, 2, 3, 4)
# The week that is predicted, with two sessions of doubt at both ends.
SAME_WEEK = range(-1, 8)
LARGEST_WITHIN_SESSIONS = 66
LARGEST_DUE = (55, 62)
CHANNELS = ("log_return", "log_absolute_return", "market_return", "market_log_absolute_return")
AVERAGED = (
    *[f"log_volatility_{length}" for length in VOLATILITY_SESSIONS[1:]],
    "log_ewma_volatility",
)
STATICS = (
    *[f"log_volatility_{length}" for length in VOLATILITY_SESSIONS],
    "log_ewma_volatility",
    *[f"market_{name}" for name in AVERAGED],
    "downside_ratio_22",
    *[f"return_{length}" for length in RETURN_SESSIONS],
    "largest_move",
    "largest_move_sessions_ago",
    "largest_move_is_due",
    "same_week_quarter_ago",
    "same_week_year_ago",
    "same_week_mean",
    "same_week_mean_above_usual",
)


def channels(events: pl.DataFrame) -> list[str]:
    """The channels that events can fill: two more where there are highs and lows, or volumes."""
    codes = set(events["code"].cast(pl.String).unique())
    more = []
    if {"high", "low"} <= codes:
        more.append("log_range")
    if "volume" in codes:
        more.append("log_volume_change")
    return [*CHANNELS, *more]


def feature_events(config: MarketConfig, events: pl.DataFrame) -> pl.DataFrame:
    """The channels as events: subject_id, time, known_time, code, numeric_value (f32).

    A restated return is a second event of the same time. The market's mean of a session is over
    the returns known by its deadline, and range and volume are those seen by then: a later
    restatement leaves them as they were seen.
    """
    sessions = trading_sessions(config)
    stated = returns(config, events, sessions)
    found = [
        stated,
        stated.with_columns(value=log_absolute_return(pl.col("value"))),
        *_market_channels(stated, sessions),
    ]
    names = channels(events)
    tables = dict(zip(CHANNELS, found, strict=True))
    if "log_range" in names:
        tables["log_range"] = _ranges(events, sessions)
    if "log_volume_change" in names:
        tables["log_volume_change"] = _volume_changes(events, sessions)
    return pl.concat([_as_events(name, tables[name], sessions) for name in names])


def log_absolute_return(value: pl.Expr) -> pl.Expr:
    """log(max(|r|, .001))."""
    return value.abs().clip(LEAST_ABSOLUTE_RETURN).log()


def static_columns(series: pl.DataFrame, bars: pl.DataFrame) -> pl.DataFrame:
    """Static features of every bar known in time, from the versions known at its deadline.

    Args:
        series: ``histories``.
        bars: subject_id and session of the bars known in time.

    Returns:
        subject_id, session, STATICS (f64; null where the history is missing) and
        ewma_volatility (annualised, at least .02; null before the first return). Sorted.
    """
    own = (
        series.hstack(_own_columns(series))
        .filter("in_force")
        .join(bars.select(BAR), on=BAR, how="semi")
        .sort(BAR)
    )
    return own.hstack(
        [session_means(own, name).alias(f"market_{name}") for name in AVERAGED]
    ).select(*BAR, *STATICS, ewma_volatility=pl.col("log_ewma_volatility").exp())


def session_means(rows: pl.DataFrame, column: str) -> pl.Series:
    """Of each row the mean of ``column`` over the instruments of its session; null without any.

    Added up in the order of the rows, so that equal rows give equal bits.
    """
    session = rows["session"].to_numpy()
    if not session.size:
        return pl.Series(dtype=pl.Float64)
    place = session - session.min()
    values = rows[column].to_numpy()
    there = np.isfinite(values)
    sums = np.bincount(place[there], values[there], minlength=place.max() + 1)
    counts = np.bincount(place[there], minlength=place.max() + 1)
    with np.errstate(invalid="ignore"):
        return pl.Series((sums / counts)[place]).fill_nan(None)


def _own_columns(series: pl.DataFrame) -> pl.DataFrame:
    """Static columns of an instrument's own returns [R]."""
    values = series["value"].to_numpy().astype(np.float64)
    place = series["place"].to_numpy()

    def sums(of: Float, length: int) -> Float:
        return window_sums(of, place, length)

    def volatility(of: Float, length: int) -> Float:
        raw: Float = np.sqrt(SESSIONS_PER_YEAR / length * sums(of, length))
        return raw

    squares = values**2
    columns = {
        f"log_volatility_{length}": _log(volatility(squares, length))
        for length in VOLATILITY_SESSIONS
    }
    downside = volatility(np.minimum(values, 0) ** 2, 22)
    ratio = np.log(downside + LEAST_VOLATILITY) - np.log(
        np.maximum(volatility(squares, 22), LEAST_VOLATILITY) + LEAST_VOLATILITY
    )
    columns["log_ewma_volatility"] = _log(_ewma_volatility(series))
    columns["downside_ratio_22"] = ratio
    columns |= {f"return_{length}": sums(values, length) for length in RETURN_SESSIONS}
    usual = np.maximum(volatility(squares, 66), LEAST_VOLATILITY) / np.sqrt(SESSIONS_PER_YEAR)
    columns |= _recurring_moves(np.abs(values), place, usual)
    return pl.DataFrame(columns).fill_nan(None)


def _recurring_moves(size: Float, place: npt.NDArray[np.int64], usual: Float) -> dict[str, Float]:
    """When the largest move was, and how the coming week was in the quarters before.

    Args:
        size: |return| [R].
        usual: daily volatility [R] over 66 sessions; moves are logs of multiples of it.
    """
    largest, ago = window_largest(size, place, range(LARGEST_WITHIN_SESSIONS))
    weeks = {
        quarter: _multiple(
            window_largest(
                size,
                place,
                range(
                    quarter * QUARTER_SESSIONS - SAME_WEEK[-1],
                    quarter * QUARTER_SESSIONS - SAME_WEEK[0] + 1,
                ),
            )[0],
            usual,
        )
        for quarter in QUARTERS
    }
    every = np.stack([*weeks.values()])
    first, last = LARGEST_DUE
    due = np.where(np.isnan(ago), np.nan, (ago >= first) & (ago <= last))
    return {
        "largest_move": _multiple(largest, usual),
        "largest_move_sessions_ago": ago,
        "largest_move_is_due": due,
        "same_week_quarter_ago": weeks[QUARTERS[0]],
        "same_week_year_ago": weeks[QUARTERS[-1]],
        "same_week_mean": every.mean(axis=0),
        "same_week_mean_above_usual": np.maximum(every, 0).mean(axis=0),
    }


def _multiple(size: Float, usual: Float) -> Float:
    """log((|r| + .001) / usual)."""
    logged: Float = np.log((size + LEAST_ABSOLUTE_RETURN) / usual)
    return logged


def _ewma_volatility(series: pl.DataFrame) -> Float:
    """Root of the annualised exponential mean of r^2; a missing return leaves it as it was."""
    mean = (pl.col("value") ** 2).ewm_mean(
        alpha=EWMA_ALPHA, adjust=True, ignore_nulls=True, min_samples=1
    )
    annualised = (SESSIONS_PER_YEAR * mean).sqrt().forward_fill().over(SERIES)
    found: Float = series.select(annualised.alias("ewma"))["ewma"].to_numpy().astype(np.float64)
    return found


def _log(volatility: Float) -> Float:
    logged: Float = np.log(np.maximum(volatility, LEAST_VOLATILITY))
    return logged


def _market_channels(stated: pl.DataFrame, sessions: pl.DataFrame) -> list[pl.DataFrame]:
    """The market's mean return and log mean absolute return, per instrument and session.

    An instrument's row is known at the session's deadline, or with its own return if that is late.
    """
    in_time = newest_in_time(stated, sessions).with_columns(size=pl.col("value").abs())
    means = in_time.select(
        "session", mean=session_means(in_time, "value"), size=session_means(in_time, "size")
    ).unique("session")
    rows = (
        stated.unique(BAR, keep="first", maintain_order=True)
        .join(sessions.select("session", "deadline"), on="session", maintain_order="left")
        .join(means, on="session", maintain_order="left")
        .with_columns(known_time=pl.max_horizontal("known_time", "deadline"))
    )
    return [
        rows.select(*BAR, "known_time", value="mean"),
        rows.select(*BAR, "known_time", value=log_absolute_return(pl.col("size"))),
    ]


def _ranges(events: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """log(high / low) as seen in time."""
    high, low = (as_seen(events, sessions, code) for code in ("high", "low"))
    return high.join(low, on=BAR, suffix="_low", maintain_order="left").select(
        *BAR, value=(pl.col("value") / pl.col("value_low")).log()
    )


def _volume_changes(events: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """log(volume / mean volume of the 22 sessions before), as seen in time."""
    seen = as_seen(events, sessions, "volume")
    span = seen.group_by("subject_id").agg(
        first=pl.col("session").min(), last=pl.col("session").max()
    )
    dense = (
        span.select("subject_id", session=pl.int_ranges("first", pl.col("last") + 1))
        .explode("session")
        .join(seen, on=BAR, how="left")
        .sort(BAR)
    )
    values = dense["value"].to_numpy().astype(np.float64)
    place = dense.select(pl.int_range(pl.len()).over("subject_id"))["literal"].to_numpy()
    before = np.append(np.nan, values[:-1]) if values.size else values
    mean = window_sums(before, place - 1, VOLUME_SESSIONS) / VOLUME_SESSIONS
    possible = (values > 0) & (mean > 0)
    change: npt.NDArray[np.float64] = np.full(values.size, np.nan)
    np.log(values / np.where(possible, mean, 1), out=change, where=possible)
    return dense.select(BAR).with_columns(value=pl.Series(change)).drop_nans()


def _as_events(name: str, rows: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Rows without a known time of their own are known at their session's deadline."""
    known = "known_time" if "known_time" in rows.columns else "deadline"
    return rows.join(sessions, on="session", maintain_order="left").select(
        "subject_id",
        "time",
        known_time=known,
        code=pl.lit(name).cast(pl.Categorical),
        numeric_value=pl.col("value").cast(pl.Float32),
    )

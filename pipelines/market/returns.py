"""Closes and returns as they could be known: every version with its known time."""

from datetime import timedelta

import polars as pl

from pipelines.market.config import MarketConfig
from pipelines.market.sessions import calendar

BAR = ("subject_id", "session")


def trading_sessions(config: MarketConfig) -> pl.DataFrame:
    """session (ordinal, i64), time (its close, UTC) and deadline (until when a bar is in time)."""
    delay = timedelta(minutes=config.source.known_delay_minutes)
    return calendar(config.source.exchange).sessions.select(
        session="session_ordinal", time="close", deadline=pl.col("close") + delay
    )


def versions(events: pl.DataFrame, sessions: pl.DataFrame, code: str) -> pl.DataFrame:
    """All that was ever stated of one code: subject_id, session, known_time, value (f64), sorted.

    An event whose time is no session's close states nothing. Of two values known at one moment the
    larger counts, so that the order of a file decides nothing.
    """
    return (
        events.filter(
            (pl.col("code").cast(pl.String) == code) & pl.col("numeric_value").is_not_null()
        )
        .join(sessions.select("session", "time"), on="time")
        .group_by(*BAR, "known_time")
        .agg(value=pl.col("numeric_value").max().cast(pl.Float64))
        .sort(*BAR, "known_time")
    )


def as_seen(events: pl.DataFrame, sessions: pl.DataFrame, code: str) -> pl.DataFrame:
    """subject_id, session, value: the newest version known in time for the session itself."""
    return newest_in_time(versions(events, sessions, code), sessions).select(*BAR, "value")


def closes(events: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """The price that a row shows, per version: the close, else the adjusted close."""
    return prefer(versions(events, sessions, "close"), versions(events, sessions, "adjusted_close"))


def returns(config: MarketConfig, events: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Log returns between adjacent sessions: subject_id, session, known_time, value (f64), sorted.

    One row per version: each pair of closes, with the splits and dividends, that is the newest at
    some moment; known_time is when the last of its parts was known. With a split of s new shares
    per old one and a dividend d per new share, r = log(s (c + d) / previous c). An adjusted close
    carries both already, and is used as soon as a return of it is known.
    """
    adjusted = _pairs(versions(events, sessions, "adjusted_close"), [])
    raw = versions(events, sessions, "close")
    if config.source.closes_are_adjusted:
        return prefer(adjusted, _pairs(raw, []))
    return prefer(adjusted, _pairs(raw, [_actions(events, sessions, kind) for kind in ACTIONS]))


def prefer(first: pl.DataFrame, second: pl.DataFrame) -> pl.DataFrame:
    """Versions of ``first``, and those of ``second`` known before it said anything of the bar."""
    if first.is_empty() or second.is_empty():
        return second if first.is_empty() else first
    since = first.group_by(BAR).agg(since=pl.col("known_time").min())
    earlier = second.join(since, on=BAR, how="left", maintain_order="left").filter(
        pl.col("since").is_null() | (pl.col("known_time") < pl.col("since"))
    )
    return pl.concat([first, earlier.drop("since")]).sort(*BAR, "known_time")


def newest_in_time(stated: pl.DataFrame, sessions: pl.DataFrame) -> pl.DataFrame:
    """Of each bar the newest version known by its session's deadline; ``stated`` is sorted."""
    return (
        stated.join(sessions.select("session", "deadline"), on="session", maintain_order="left")
        .filter(pl.col("known_time") <= pl.col("deadline"))
        .unique(BAR, keep="last", maintain_order=True)
    )


ACTIONS = ("split", "dividend")


def _actions(events: pl.DataFrame, sessions: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Versions of a session's split or dividend; several known at once add up."""
    value = pl.col("numeric_value").cast(pl.Float64).sort()
    return (
        events.filter(
            (pl.col("code").cast(pl.String) == kind) & pl.col("numeric_value").is_not_null()
        )
        .join(sessions.select("session", "time"), on="time")
        .group_by(*BAR, "known_time")
        .agg((value.product() if kind == "split" else value.sum()).alias(kind))
        .sort(*BAR, "known_time")
    )


def _pairs(prices: pl.DataFrame, actions: list[pl.DataFrame]) -> pl.DataFrame:
    """Versions of the return of each two adjacent sessions."""
    restated = prices.filter(pl.struct(BAR).is_duplicated()).select(BAR).unique()
    touched = pl.concat(
        [
            restated,
            restated.with_columns(pl.col("session") + 1),
            *[stated.select(BAR) for stated in actions],
        ]
    ).unique()
    if touched.is_empty():
        return _plain_pairs(prices)
    plain = _plain_pairs(prices.join(restated, on=BAR, how="anti", maintain_order="left"))
    return pl.concat(
        [
            plain.join(touched, on=BAR, how="anti", maintain_order="left"),
            _versioned_pairs(prices, actions, touched),
        ]
    ).sort(*BAR, "known_time")


def _plain_pairs(prices: pl.DataFrame) -> pl.DataFrame:
    """Where nothing was restated: a bar and the bar before it, if that is the session before."""
    before = prices.select(pl.all().shift(1).name.prefix("before_"))
    adjacent = (pl.col("before_subject_id") == pl.col("subject_id")) & (
        pl.col("before_session") == pl.col("session") - 1
    )
    return (
        prices.hstack(before)
        .filter(adjacent)
        .select(
            *BAR,
            known_time=pl.max_horizontal("known_time", "before_known_time"),
            value=(pl.col("value") / pl.col("before_value")).log(),
        )
    )


def _versioned_pairs(
    prices: pl.DataFrame, actions: list[pl.DataFrame], touched: pl.DataFrame
) -> pl.DataFrame:
    """The exact path: at each moment at which a part was stated, what all parts then said."""
    before = prices.with_columns(pl.col("session") + 1).rename({"value": "before"})
    parts = [prices, before, *actions]
    rows = (
        pl.concat([part.select(*BAR, "known_time") for part in parts])
        .unique()
        .join(touched, on=BAR, how="semi")
        .sort("known_time")
    )
    for part in parts:
        rows = rows.join_asof(
            part.sort("known_time"), on="known_time", by=list(BAR), check_sortedness=False
        )
    split = pl.col("split").fill_null(1.0) if "split" in rows.columns else pl.lit(1.0)
    dividend = pl.col("dividend").fill_null(0.0) if "dividend" in rows.columns else pl.lit(0.0)
    return (
        rows.filter(pl.col("value").is_not_null() & pl.col("before").is_not_null())
        .sort(*BAR, "known_time")
        .select(
            *BAR,
            "known_time",
            value=((pl.col("value") + dividend) * split / pl.col("before")).log(),
        )
        # Said again is no version of its own.
        .filter(pl.col("value").ne_missing(pl.col("value").shift(1).over(BAR)))
    )

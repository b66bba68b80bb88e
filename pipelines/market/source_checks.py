"""What is to be said of a market's tables as a whole: lives that end in silence, halts, repeats."""

from typing import Any

import polars as pl

from pipelines.market.config import MarketConfig
from pipelines.market.sessions import calendar
from pipelines.market.universe import UNKNOWN_SECTOR

TABLE = "events"
CLOSES = ("close", "adjusted_close")
DAYS_PER_YEAR = 365.25


def source_checks(
    config: MarketConfig, events: pl.DataFrame, subjects: pl.DataFrame
) -> list[dict[str, Any]]:
    """Whether the universe is what the study declares: name, table, passed, words, unexpected.

    Args:
        events, subjects: the accepted rows, as `ingest_events` writes them.
    """
    lives = _lives(config, events, subjects)
    hidden = lives.filter(pl.col("ends_in_silence") & pl.col("delisted").is_null()).height
    delisted, years = _delistings(config, events, subjects)
    wrongly_declared = config.source.universe.is_point_in_time and delisted == 0
    return [
        {
            "name": "no_hidden_delisting",
            "table": "subjects",
            "passed": hidden == 0,
            "words": "an instrument whose bars end before those of the others has a delisting "
            f"date; {hidden:,} of {lives.height:,} end {config.plausible.missing_sessions:,} "
            "sessions or more before the last one and have none",
            "unexpected": hidden,
        },
        {
            "name": "universe_declaration_is_true",
            "table": "subjects",
            "passed": not wrongly_declared,
            "words": "a universe declared as that of its time holds instruments that were "
            f"delisted while the data lasts; this one is declared `is_point_in_time: "
            f"{str(config.source.universe.is_point_in_time).lower()}` and holds {delisted:,} in "
            f"{years:.1f} years of data{_per_year(delisted, years)}",
            "unexpected": subjects.height if wrongly_declared else 0,
        },
    ]


def source_findings(
    config: MarketConfig, events: pl.DataFrame, subjects: pl.DataFrame
) -> list[dict[str, Any]]:
    """What a reader must know and no rule refuses: kind, where, words, count, share.

    Args:
        events, subjects: the accepted rows, as `ingest_events` writes them.
    """
    lives = _lives(config, events, subjects)
    found = [
        _stale(config, events),
        _missing(lives),
        _without_bars(lives, subjects),
        _undated_sectors(config, subjects),
    ]
    if not config.source.universe.is_point_in_time:
        found.append(_survivors(subjects))
    return [finding for finding in found if finding["count"]]


def _closes(config: MarketConfig, events: pl.DataFrame) -> pl.DataFrame:
    """The newest close of each instrument and session: subject_id, session_ordinal, price.

    Raw closes where there are any: their repeats and gaps are the market's.
    """
    sessions = calendar(config.source.exchange).sessions
    closes = events.filter(pl.col("code").cast(pl.String).is_in(CLOSES)).with_columns(
        adjusted=pl.col("code").cast(pl.String) == "adjusted_close"
    )
    return (
        closes.sort("subject_id", "time", "adjusted", "known_time", descending=False)
        .with_columns(first_adjusted=pl.col("adjusted").min().over("subject_id", "time"))
        .filter(pl.col("adjusted") == pl.col("first_adjusted"))
        .unique(["subject_id", "time"], keep="last", maintain_order=True)
        .join(sessions, left_on="time", right_on="close", maintain_order="left")
        .select("subject_id", "session_ordinal", price="numeric_value")
    )


def _lives(config: MarketConfig, events: pl.DataFrame, subjects: pl.DataFrame) -> pl.DataFrame:
    """Of each instrument with bars: first and last session, sessions with a bar, delisted."""
    last_of_all = pl.col("last").max()
    silence = config.plausible.missing_sessions
    return (
        _closes(config, events)
        .group_by("subject_id")
        .agg(
            first=pl.col("session_ordinal").min(),
            last=pl.col("session_ordinal").max(),
            bars=pl.len(),
        )
        .join(subjects.select("subject_id", "delisted"), on="subject_id")
        .with_columns(ends_in_silence=last_of_all - pl.col("last") >= silence)
    )


def _delistings(
    config: MarketConfig, events: pl.DataFrame, subjects: pl.DataFrame
) -> tuple[int, float]:
    """How many instruments were delisted by the last session with a close, and years of closes.

    A date that lies after the data was foretold, not seen: it is no delisting yet.
    """
    times = events.filter(pl.col("code").cast(pl.String).is_in(CLOSES))["time"]
    if times.is_empty():
        return 0, 0.0
    days = times.dt.convert_time_zone(calendar(config.source.exchange).time_zone).dt.date()
    first, last = days.min(), days.max()
    years = (pl.Series([last]) - pl.Series([first])).dt.total_days()[0] / DAYS_PER_YEAR
    return int((subjects["delisted"] <= last).sum()), years


def _per_year(delisted: int, years: float) -> str:
    return f", {delisted / years:.2g} a year" if years else ""


def _stale(config: MarketConfig, events: pl.DataFrame) -> dict[str, Any]:
    closes = _closes(config, events)
    changed = pl.col("price") != pl.col("price").shift(1)
    runs = (
        closes.with_columns(run=changed.fill_null(True).cum_sum().over("subject_id"))
        .group_by("subject_id", "run")
        .len()
        .filter(pl.col("len") >= config.plausible.stale_sessions)
    )
    count = int(runs["len"].sum())
    return {
        "kind": "stale_closes",
        "where": TABLE,
        "words": f"the close repeats itself for {config.plausible.stale_sessions:,} sessions or "
        f"more, {runs.height:,} times: no trade, or a copied price",
        "count": count,
        "share": count / closes.height if closes.height else None,
    }


def _missing(lives: pl.DataFrame) -> dict[str, Any]:
    expected = lives.select((pl.col("last") - pl.col("first") + 1).sum()).item()
    count = int(expected - lives["bars"].sum())
    halted = lives.filter(pl.col("last") - pl.col("first") + 1 > pl.col("bars")).height
    return {
        "kind": "missing_sessions",
        "where": TABLE,
        "words": f"sessions of the exchange between an instrument's first and last bar have none, "
        f"in {halted:,} instruments: halted, missing or quarantined; no return is taken over them",
        "count": count,
        "share": count / expected if expected else None,
    }


def _without_bars(lives: pl.DataFrame, subjects: pl.DataFrame) -> dict[str, Any]:
    count = subjects.height - lives.height
    return {
        "kind": "instruments_without_bars",
        "where": "subjects",
        "words": "instruments of the universe have no bar that could be accepted",
        "count": count,
        "share": count / subjects.height if subjects.height else None,
    }


def _undated_sectors(config: MarketConfig, subjects: pl.DataFrame) -> dict[str, Any]:
    start = calendar(config.source.exchange).sessions["close"][0]
    undated = (pl.col("known_time") == start) & (pl.col("sector") != UNKNOWN_SECTOR)
    count = subjects.filter(undated).height
    return {
        "kind": "sectors_without_known_time",
        "where": "subjects",
        "words": "the source does not say since when the sector of these instruments was known: "
        "it is taken as known from the beginning",
        "count": count,
        "share": count / subjects.height if subjects.height else None,
    }


def _survivors(subjects: pl.DataFrame) -> dict[str, Any]:
    count = subjects.height - subjects["delisted"].count()
    return {
        "kind": "survivorship",
        "where": "subjects",
        "words": "the universe is not that of its time (`is_point_in_time: false`): instruments "
        "that survived were chosen afterwards, and every figure may be too good",
        "count": count,
        "share": count / subjects.height if subjects.height else None,
    }

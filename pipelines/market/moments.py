"""What a source writes of a time: a date, which names a session, or a clock time with its zone."""

from typing import Literal

import polars as pl

from pipelines.errors import SourceInvalid
from pipelines.market.sessions import Calendar

ZONE = r"\s*(Z|[+-]\d{2}:?\d{2})$"
CLOCK = r"^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)"


def read_moments(texts: pl.Series, time_zone: str | None) -> pl.DataFrame:
    """Read each text once.

    Returns:
        text; ``day`` (a date alone: 2020-01-02 or 20200102); ``instant`` (UTC, us; a clock time
        with its offset, or one in ``time_zone``); ``naive`` (a clock time of no known zone);
        ``written`` (the date that the text itself holds, whatever its clock says).
        ``day`` and ``instant`` are both null where the text is no time.
    """
    text = pl.col("text")
    clock = _clock(text)
    offset = _offset_minutes(text.str.extract(ZONE))
    zoned = pl.when(text.str.contains(ZONE)).then(
        (clock - pl.duration(minutes=offset)).dt.replace_time_zone("UTC")
    )
    local = pl.lit(None, pl.Datetime("us", "UTC"))
    if time_zone is not None:
        # Of an hour that comes twice in autumn the later one: nothing is known too early.
        local = clock.dt.replace_time_zone(
            time_zone, ambiguous="latest", non_existent="null"
        ).dt.convert_time_zone("UTC")
    instant = pl.when(text.str.contains(ZONE)).then(zoned).otherwise(local)
    return (
        texts.drop_nulls()
        .unique()
        .sort()
        .alias("text")
        .to_frame()
        .select(
            "text",
            day=_day(text),
            instant=instant,
            written=pl.coalesce(_day(text), clock.dt.date()),
            naive=clock.is_not_null() & ~text.str.contains(ZONE) & (time_zone is None),
        )
    )


def sessions_of(moments: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """Add to moments the session each names: its day, or its day in the exchange's zone.

    Returns:
        moments with session (date, null if that day is none), session_ordinal and close.
    """
    own_day = pl.col("instant").dt.convert_time_zone(calendar.time_zone).dt.date()
    return moments.with_columns(session=pl.coalesce("day", own_day)).join(
        calendar.sessions,
        on="session",
        how="left",
        maintain_order="left",
    )


def require_own_days(
    shown: str, texts: pl.Series, time_zone: str | None, calendar: Calendar
) -> None:
    """Refuse a file of days that were stamped with midnight in Greenwich.

    West of it such a stamp lies on the day before: the bar would count one session too early, and
    be known a day before its session closed.

    Raises:
        SourceInvalid: over half of the clock times are so.
    """
    instants = read_moments(texts, time_zone)["instant"].drop_nulls()
    is_midnight = instants.dt.truncate("1d") == instants
    is_moved = instants.dt.convert_time_zone(calendar.time_zone).dt.date() != instants.dt.date()
    count = int((is_midnight & is_moved).sum())
    if 2 * count > instants.len():
        raise SourceInvalid(
            f"{count:,} of {instants.len():,} clock times are midnight in UTC, which is the day "
            f"before in {calendar.time_zone}: they look like days, and would name the wrong ones.",
            where=shown,
            remedy="Write days as dates alone (2020-01-07), or times with the exchange's offset.",
        )


def close_of(days: pl.Series, calendar: Calendar, side: Literal["since", "until"]) -> pl.Series:
    """The close (UTC) of the first session on or after each date, or of the last until it."""
    sessions = calendar.since(days) if side == "since" else calendar.until(days)
    return (
        sessions.alias("session")
        .to_frame()
        .join(calendar.sessions, on="session", how="left", maintain_order="left")["close"]
    )


def known_times(texts: pl.Series, time_zone: str | None, calendar: Calendar) -> pl.DataFrame:
    """When each text says that a row could be known: known (UTC, null if unreadable) and naive.

    A date alone is known at the close of its session, or of the next one.
    """
    moments = read_moments(texts, time_zone)
    known = moments.with_columns(
        known=pl.coalesce("instant", close_of(moments["day"], calendar, "since"))
    )
    return (
        texts.alias("text")
        .to_frame()
        .join(known, on="text", how="left", maintain_order="left")
        .select("known", pl.col("naive").fill_null(False))
    )


def _day(text: pl.Expr) -> pl.Expr:
    dashed = pl.when(text.str.contains(r"^\d{4}-\d{2}-\d{2}$")).then(text)
    plain = pl.when(text.str.contains(r"^\d{8}$")).then(text)
    return pl.coalesce(
        dashed.str.to_date("%Y-%m-%d", strict=False), plain.str.to_date("%Y%m%d", strict=False)
    )


def _clock(text: pl.Expr) -> pl.Expr:
    """The clock time as written, without its zone (us); null if the text is none."""
    bare = text.str.replace(ZONE, "")
    whole = pl.when(bare.str.contains(CLOCK + "$")).then(bare.str.replace("T", " "))
    with_seconds = pl.when(whole.str.count_matches(":") == 1).then(whole + ":00").otherwise(whole)
    return with_seconds.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)


def _offset_minutes(zone: pl.Expr) -> pl.Expr:
    """Minutes east of Greenwich of Z, +hh:mm or -hhmm."""
    sign = pl.when(zone.str.starts_with("-")).then(-1).otherwise(1)
    hours = zone.str.slice(1, 2).cast(pl.Int64, strict=False)
    minutes = zone.str.slice(-2).cast(pl.Int64, strict=False)
    return pl.when(zone == "Z").then(0).otherwise(sign * (60 * hours + minutes))

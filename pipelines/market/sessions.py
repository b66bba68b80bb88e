"""The sessions of an exchange: what its days are called, when they close, how they are counted."""

import importlib
import warnings
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

import polars as pl

from pipelines.errors import SourceInvalid

# Fixed ends: a session keeps its ordinal whatever data a study holds and whenever it runs.
FIRST_DAY = "1950-01-01"
LAST_DAY = "2035-12-31"


@dataclass(frozen=True)
class Calendar:
    """An exchange's sessions.

    ``sessions``: session (date), session_ordinal (i64, from 0, a step of one per session) and
    close (UTC, us; early closes are early), one row per session in order of time.
    ``time_zone``: the exchange's own, in which a moment belongs to a day.
    """

    exchange: str
    time_zone: str
    sessions: pl.DataFrame

    def since(self, days: pl.Series) -> pl.Series:
        """Of each date the first session on or after it; null beyond the calendar."""
        return _nearest(self.sessions, days, "forward")

    def until(self, days: pl.Series) -> pl.Series:
        """Of each date the last session on or before it; null before the calendar."""
        return _nearest(self.sessions, days, "backward")

    def between(self, first: date, last: date) -> pl.DataFrame:
        """The sessions from one date to another, both ends included."""
        return self.sessions.filter(pl.col("session").is_between(first, last))


@cache
def calendar(exchange: str) -> Calendar:
    """The calendar of an exchange by its code, as XNYS; built once per process.

    Raises:
        SourceInvalid: exchange_calendars knows no such exchange, or not over these years.
    """
    built = _build(exchange)
    sessions = pl.DataFrame(
        {"session": built.sessions_nanos, "close": built.closes_nanos},
        schema={"session": pl.Int64, "close": pl.Int64},
    ).select(
        pl.from_epoch("session", time_unit="ns").cast(pl.Date),
        session_ordinal=pl.int_range(pl.len(), dtype=pl.Int64),
        close=pl.from_epoch("close", time_unit="ns")
        .dt.cast_time_unit("us")
        .dt.replace_time_zone("UTC"),
    )
    return Calendar(exchange, str(built.tz), sessions)


def _build(exchange: str) -> Any:
    """An exchange_calendars calendar as wide as the exchange is known.

    Imported here: with pandas it takes a second and a half, and few commands need it.
    """
    library = importlib.import_module("exchange_calendars")
    errors = importlib.import_module("exchange_calendars.errors")
    utilities = importlib.import_module("exchange_calendars.calendar_utils")
    try:
        name = library.resolve_alias(exchange)
        factory = utilities._default_calendar_factories[name]
        earliest, latest = factory.bound_min(), factory.bound_max()
        with warnings.catch_warnings():
            # exchange_calendars 4.13 uses what pandas 3.1 will drop; the zone is UTC all the same.
            warnings.filterwarnings("ignore", "Series.values returning an ndarray")
            return library.get_calendar(
                name,
                start=FIRST_DAY if earliest is None else max(FIRST_DAY, str(earliest.date())),
                end=LAST_DAY if latest is None else min(LAST_DAY, str(latest.date())),
            )
    except (errors.CalendarError, KeyError, NotImplementedError, ValueError) as error:
        raise SourceInvalid(
            f"There is no calendar of the exchange {exchange} from {FIRST_DAY} to {LAST_DAY}.",
            where="market.source.exchange",
            remedy="Name a calendar that exchange_calendars.get_calendar_names() lists, as XNYS.",
        ) from error


def _nearest(sessions: pl.DataFrame, days: pl.Series, strategy: Any) -> pl.Series:
    asked = days.alias("day").to_frame().with_row_index("place").sort("day")
    found = asked.join_asof(
        sessions.select(day="session", session="session"), on="day", strategy=strategy
    )
    # A missing date has no nearest session.
    return found.sort("place").select(pl.when(pl.col("day").is_not_null()).then("session"))[
        "session"
    ]

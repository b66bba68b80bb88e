"""A timetable of an exchange: one run after each session's close, none on a holiday.

The calendar, and pandas with it, is imported when a moment is asked for: a scheduler asks, the
reading of a DAG file does not.
"""

import importlib
import warnings
from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable
from pendulum import DateTime

from pipelines.errors import StudyInvalid

# Of a flow that never ran. Its next run is worked out anew at each reading of the file, and one
# that is due but not made yet would be stepped over.
GRACE = timedelta(minutes=10)


class ExchangeTimetable(Timetable):
    """Runs at every session's own close plus some minutes, early closes included.

    A run's logical date and its interval are that one moment, whether it was made in time, late
    or by a backfill, so what is scored as of it is the same.

    Args:
        exchange: a calendar of exchange_calendars, as XNYS.
        minutes_after_close: 0 to 1440.
    """

    def __init__(self, exchange: str, minutes_after_close: int) -> None:
        self.exchange = exchange
        self.minutes_after_close = minutes_after_close
        self.description = f"{minutes_after_close} minutes after each close of {exchange}"

    @property
    def summary(self) -> str:
        return f"{self.exchange} close + {self.minutes_after_close} min"

    def serialize(self) -> dict[str, Any]:
        return {"exchange": self.exchange, "minutes_after_close": self.minutes_after_close}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> "ExchangeTimetable":
        return cls(data["exchange"], data["minutes_after_close"])

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """A run that a person starts is of its own moment."""
        return DataInterval.exact(run_after)

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The run after the last one; of several that were missed only the newest, unless the
        restriction asks to catch up. Without a last run nothing past is made up for.

        Raises:
            StudyInvalid: the exchange has no calendar.
        """
        after, asked = last_automated_data_interval, [restriction.earliest]
        if not restriction.catchup:
            now = pendulum.now("UTC")
            asked.append(now - GRACE if after is None else self._newest(now))
        since = [moment for moment in asked if moment is not None]
        if after is not None:
            since.append(after.end + timedelta(microseconds=1))
        # Nothing bounds the first run of a catch-up that has no start: it is the next one.
        moment = self._first(max(since, default=pendulum.now("UTC")))
        if restriction.latest is not None and moment > restriction.latest:
            return None
        return DagRunInfo.exact(moment)

    def _first(self, since: DateTime) -> DateTime:
        """The first moment at or after one."""
        closes = self._closes(since)
        return self._moment(closes[bisect_left(closes, since - self._delay)])

    def _newest(self, until: DateTime) -> DateTime:
        """The last moment at or before one."""
        closes = self._closes(until)
        return self._moment(closes[bisect_right(closes, until - self._delay) - 1])

    def _moment(self, close: datetime) -> DateTime:
        return pendulum.instance(close + self._delay).in_timezone("UTC")

    def _closes(self, around: DateTime) -> list[datetime]:
        return closes_around(self.exchange, around.in_timezone("UTC").year)

    @property
    def _delay(self) -> timedelta:
        return timedelta(minutes=self.minutes_after_close)


@lru_cache(maxsize=16)
def closes_around(exchange: str, year: int) -> list[datetime]:
    """The closes (UTC) of all sessions of a year and of two months on either side of it.

    Raises:
        StudyInvalid: exchange_calendars has no such calendar, or not over these months.
    """
    library = importlib.import_module("exchange_calendars")
    errors = importlib.import_module("exchange_calendars.errors")
    try:
        with warnings.catch_warnings():
            # exchange_calendars 4.13 uses what pandas 3.1 will drop; the zone is UTC all the same.
            warnings.filterwarnings("ignore", "Series.values returning an ndarray")
            calendar = library.get_calendar(
                exchange, start=f"{year - 1}-11-01", end=f"{year + 1}-02-28"
            )
    except (errors.CalendarError, ValueError):
        raise StudyInvalid(
            f"There is no calendar of the exchange {exchange} for the year {year}.",
            where="the study's section `schedule`",
            remedy="Name a calendar that exchange_calendars.get_calendar_names() lists, as XNYS.",
        ) from None
    return [close.to_pydatetime() for close in calendar.closes]

"""An exchange's sessions are counted, closed and named as the exchange does."""

from datetime import UTC, date, datetime

import polars as pl
import pytest

from pipelines.errors import SourceInvalid
from pipelines.market.moments import known_times, read_moments, sessions_of
from pipelines.market.sessions import calendar


def close_on(day: date) -> datetime | None:
    found = calendar("XNYS").between(day, day)["close"]
    return found[0] if found.len() else None


@pytest.mark.parametrize(
    ("day", "close"),
    [
        (date(2020, 1, 3), datetime(2020, 1, 3, 21, tzinfo=UTC)),
        (date(2020, 7, 2), datetime(2020, 7, 2, 20, tzinfo=UTC)),
        (date(2020, 11, 27), datetime(2020, 11, 27, 18, tzinfo=UTC)),
        (date(2020, 1, 1), None),
        (date(2020, 1, 4), None),
        (date(2001, 9, 12), None),
    ],
    ids=["winter", "summer", "early close", "holiday", "weekend", "closed for days"],
)
def test_a_session_closes_when_the_exchange_did(day: date, close: datetime | None) -> None:
    assert close_on(day) == close


def test_sessions_are_counted_without_gaps_from_a_day_that_never_moves() -> None:
    sessions = calendar("XNYS").sessions

    assert sessions["session_ordinal"].to_list() == list(range(sessions.height))
    assert sessions["session"][0] == date(1950, 1, 2)
    assert sessions["session"].is_sorted()
    assert sessions["close"].is_sorted()
    assert sessions["close"].n_unique() == sessions.height


def test_a_date_between_sessions_has_the_next_and_the_last() -> None:
    days = pl.Series([date(2020, 1, 4), date(2020, 1, 3), None])

    assert calendar("XNYS").since(days).to_list() == [date(2020, 1, 6), date(2020, 1, 3), None]
    assert calendar("XNYS").until(days).to_list() == [date(2020, 1, 3), date(2020, 1, 3), None]


def test_an_exchange_that_does_not_exist_is_refused_with_a_remedy() -> None:
    with pytest.raises(SourceInvalid, match=r"get_calendar_names"):
        calendar("XNOWHERE")


@pytest.mark.parametrize(
    ("text", "session"),
    [
        ("2020-01-03", date(2020, 1, 3)),
        ("20200103", date(2020, 1, 3)),
        ("2020-01-03T21:00:00Z", date(2020, 1, 3)),
        ("2020-01-04T02:00:00Z", date(2020, 1, 3)),
        ("2020-01-03 16:00:00.000-05:00", date(2020, 1, 3)),
        ("2020-01-04 06:00+0900", date(2020, 1, 3)),
        ("2020-01-03T00:00:00Z", date(2020, 1, 2)),
        ("2020-01-03 16:00", None),
        ("2020-02-30", None),
        ("2020-13-01T00:00:00Z", None),
        ("03.01.2020", None),
        ("soon", None),
    ],
)
def test_a_time_names_the_session_of_its_day_at_the_exchange(
    text: str, session: date | None
) -> None:
    found = sessions_of(read_moments(pl.Series([text]), None), calendar("XNYS"))

    assert found["session"].to_list() == [session]


def test_only_a_clock_time_without_a_zone_is_naive_and_a_declared_zone_mends_it() -> None:
    texts = pl.Series(["2020-01-03", "2020-01-03 16:00", "2020-01-03 16:00Z", "soon"])

    undeclared = read_moments(texts, None)
    declared = read_moments(texts, "America/New_York")

    assert undeclared.filter("naive")["text"].to_list() == ["2020-01-03 16:00"]
    assert declared["naive"].sum() == 0
    local = declared.filter(pl.col("text") == "2020-01-03 16:00")["instant"].item()
    assert local == datetime(2020, 1, 3, 21, tzinfo=UTC)


def test_an_hour_that_comes_twice_is_taken_late_and_one_that_never_came_is_no_time() -> None:
    texts = pl.Series(["2020-11-01 01:30", "2020-03-08 02:30"])

    found = read_moments(texts, "America/New_York").sort("text")["instant"].to_list()

    assert found == [None, datetime(2020, 11, 1, 6, 30, tzinfo=UTC)]


def test_what_is_known_on_a_date_is_known_at_the_close_of_the_next_session() -> None:
    texts = pl.Series(["2020-01-04", "2020-01-03", "2020-01-03T10:00:00Z", "soon", None])

    known = known_times(texts, None, calendar("XNYS"))["known"].to_list()

    assert known == [
        datetime(2020, 1, 6, 21, tzinfo=UTC),
        datetime(2020, 1, 3, 21, tzinfo=UTC),
        datetime(2020, 1, 3, 10, tzinfo=UTC),
        None,
        None,
    ]

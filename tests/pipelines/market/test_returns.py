"""Returns, with every version at the moment since when it could be known."""

import math
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings

from pipelines.market.returns import returns, trading_sessions
from tests.pipelines.market.market_examples import (
    CLOSES,
    FIRST,
    Row,
    as_of,
    closes,
    config,
    events,
    naive_return,
    tables,
)


def found(*rows: Row, adjusted: bool = False) -> list[tuple[int, datetime, Any]]:
    """(place, known time, return) of each version."""
    study = config(source={"closes_are_adjusted": adjusted})
    table = returns(study, events(rows), trading_sessions(study))
    return [
        (row["session"] - FIRST, row["known_time"], row["value"])
        for row in table.iter_rows(named=True)
    ]


def after(place: int, days: float = 0) -> datetime:
    return CLOSES[place] + timedelta(days=days)


def test_a_return_is_the_log_ratio_of_adjacent_closes_known_with_the_later_one() -> None:
    assert found(*closes(1, [100, 110, 99])) == [
        (1, after(1), pytest.approx(math.log(1.1))),
        (2, after(2), pytest.approx(math.log(0.9))),
    ]


def test_over_a_missing_session_there_is_no_return() -> None:
    assert [row[0] for row in found(*closes(1, [100, None, 110, 120]))] == [3]


def test_the_close_of_another_instrument_is_no_previous_close() -> None:
    assert found(*closes(1, [100]), *closes(2, [110], first=1)) == []


def test_a_restated_close_gives_both_returns_it_touches_a_second_version() -> None:
    restated = (1, 1, "close", 120.0, 7.0)
    assert found(*closes(1, [100, 110, 121]), restated) == [
        (1, after(1), pytest.approx(math.log(1.1))),
        (1, after(1, 7), pytest.approx(math.log(1.2))),
        (2, after(2), pytest.approx(math.log(1.1))),
        (2, after(1, 7), pytest.approx(math.log(121 / 120))),
    ]


def test_a_close_said_again_unchanged_is_no_version() -> None:
    assert len(found(*closes(1, [100, 110]), (1, 0, "close", 100.0, 9.0))) == 1


def test_a_split_known_in_time_leaves_no_jump() -> None:
    split = (1, 1, "split", 2.0, -20.0)
    assert found(*closes(1, [100, 55]), split) == [(1, after(1), pytest.approx(math.log(1.1)))]


def test_a_back_dated_split_counts_only_from_when_it_was_known() -> None:
    split = (1, 1, "split", 2.0, 3.0)
    assert found(*closes(1, [100, 55]), split) == [
        (1, after(1), pytest.approx(math.log(0.55))),
        (1, after(1, 3), pytest.approx(math.log(1.1))),
    ]


def test_a_dividend_is_part_of_the_return_of_its_session() -> None:
    dividend = (1, 1, "dividend", 3.0, -1.0)
    assert found(*closes(1, [100, 99]), dividend)[0][2] == pytest.approx(math.log(1.02))


def test_two_dividends_of_one_session_add_up() -> None:
    study = config()
    table = events([*closes(1, [100, 99]), *[(1, 1, "dividend", 1.5, -1.0)] * 2])
    value = returns(study, table, trading_sessions(study))["value"]
    assert value.to_list() == [pytest.approx(math.log(1.02))]


def test_closes_declared_as_adjusted_take_no_action_twice() -> None:
    split = (1, 1, "split", 2.0, -20.0)
    assert found(*closes(1, [100, 110]), split, adjusted=True)[0][2] == pytest.approx(math.log(1.1))


def test_an_adjusted_close_is_used_instead_of_the_close_from_when_it_is_known() -> None:
    adjusted: list[Row] = [
        (1, 0, "adjusted_close", 50.0, 0.0),
        (1, 1, "adjusted_close", 60.0, 2.0),
    ]
    assert found(*closes(1, [100, 110]), *adjusted) == [
        (1, after(1), pytest.approx(math.log(1.1))),
        (1, after(1, 2), pytest.approx(math.log(1.2))),
    ]


def test_a_bar_at_a_time_that_is_no_close_of_the_exchange_gives_nothing() -> None:
    study = config()
    table = events(closes(1, [100, 110])).with_columns(pl.col("time") + pl.duration(minutes=1))
    assert returns(study, table, trading_sessions(study)).is_empty()


@settings(max_examples=60, deadline=None)
@given(tables())
def test_at_every_moment_the_newest_version_is_what_a_naive_observer_would_compute(
    table: pl.DataFrame,
) -> None:
    study = config()
    versions = returns(study, table, trading_sessions(study))
    for moment in table["known_time"].unique().sort():
        known = as_of(table, moment)
        newest = {
            (row["subject_id"], row["session"] - FIRST): row["value"]
            for row in versions.filter(pl.col("known_time") <= moment).iter_rows(named=True)
        }
        naive = {
            (subject, place): value
            for subject in range(3)
            for place in range(12)
            if (value := naive_return(known, subject, place)) is not None
        }
        assert newest == pytest.approx(naive, abs=1e-12)

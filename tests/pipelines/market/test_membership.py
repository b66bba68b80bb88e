"""Examples lie inside the spells in which an instrument was known to belong to the universe."""

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from pipelines.market.examples import scoring_examples, training_examples
from tests.pipelines.market.market_examples import (
    CLOSES,
    FIRST,
    Row,
    closes,
    config,
    events,
    subjects,
)

NONE = float("nan")
PRICES = [100.0 + place % 4 for place in range(30)]
PEOPLE = subjects(1)


def dated(**columns: str) -> Any:
    table = {"path": "u.csv", "format": "csv", "instrument": "name"} | columns
    return config(source={"universe": {"is_point_in_time": True, "table": table}})


BOTH = dated(member_from="in", member_until="out")


def joined(place: int, late: float = 0.0) -> Row:
    return (1, place, "joined_universe", NONE, late)


def left(place: int, late: float = 0.0) -> Row:
    return (1, place, "left_universe", NONE, late)


def places(study: Any, *dates: Row) -> list[int]:
    table = events([*closes(1, PRICES), *dates])
    frame = training_examples(study, table, PEOPLE).frame
    return [ordinal - FIRST for ordinal in frame["index_session"]]


ALL = list(range(1, 30))


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ([], []),
        ([joined(10)], list(range(10, 30))),
        ([joined(10), left(20)], list(range(10, 20))),
        ([joined(5), left(10), joined(20)], [*range(5, 10), *range(20, 30)]),
        # One spell ends with the session with which the next begins.
        ([joined(5), left(10), joined(10), left(20)], list(range(5, 20))),
        # A spell of one session, known with its close: there is nothing to predict in it.
        ([joined(10), left(10)], []),
        ([left(10)], []),
    ],
)
def test_an_example_lies_inside_a_spell(dates: list[Row], expected: list[int]) -> None:
    assert places(BOTH, *dates) == expected


def test_a_date_counts_from_when_it_was_known() -> None:
    days = (CLOSES[12] - CLOSES[10]) / timedelta(days=1)
    assert places(BOTH, joined(10, days)) == list(range(12, 30))
    assert places(BOTH, joined(5), left(10, days)) == list(range(5, 12))


def test_where_only_leaving_is_dated_everybody_belongs_until_then() -> None:
    assert places(dated(member_until="out"), left(10)) == list(range(1, 10))
    assert places(dated(member_until="out")) == ALL


def test_a_universe_without_dates_excludes_nobody_and_counts_no_step() -> None:
    table = events(closes(1, PRICES))
    examples = training_examples(dated(), table, PEOPLE)
    assert examples.frame.height == len(ALL)
    assert "membership" not in [step.step for step in examples.flow]


def test_those_outside_their_spells_are_a_step_of_the_flow() -> None:
    table = events([*closes(1, PRICES), joined(10)])
    trained = training_examples(BOTH, table, PEOPLE)
    assert [(step.step, step.excluded, step.remaining) for step in trained.flow] == [
        ("no_session", 0, 30),
        ("late", 0, 30),
        ("membership", 10, 20),
        ("history", 0, 20),
    ]


def test_who_left_is_not_scored_from_then_on() -> None:
    bars = [*closes(1, PRICES), *closes(2, PRICES)]
    member: Row = (2, 1, "joined_universe", NONE, 0.0)
    table = events([*bars, joined(1), member, left(20)])
    people = subjects(1, 2)

    def scored(place: int) -> list[int]:
        return scoring_examples(BOTH, table, people, CLOSES[place]).frame["subject_id"].to_list()

    assert scored(19) == [1, 2]
    assert scored(20) == [2]
    step = scoring_examples(BOTH, table, people, CLOSES[20]).flow[3]
    assert (step.step, step.excluded, step.remaining) == ("membership", 1, 1)


def test_what_became_known_later_moves_no_example_of_the_past() -> None:
    dates = [joined(3), left(10, 2.0), joined(15, 4.0), left(20)]
    table = events([*closes(1, PRICES), *dates])
    everything = training_examples(BOTH, table, PEOPLE).frame
    for moment in CLOSES[4:30]:
        then = training_examples(BOTH, table.filter(pl.col("known_time") <= moment), PEOPLE).frame
        before = everything.filter(pl.col("index_time") <= moment)
        assert then["index_session"].to_list() == before["index_session"].to_list()

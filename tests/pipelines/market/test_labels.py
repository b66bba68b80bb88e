"""What the next sessions came to, by hand, and when that was known."""

import math
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.market.config import Label
from pipelines.market.labels import with_labels
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
    random_market,
)

Found = tuple[Any, datetime | None]


def labels(table: pl.DataFrame, kind: str, sessions: int) -> dict[tuple[int, int], Found]:
    """(subject, place) -> label and label_end_time, of every bar."""
    study = config(kind, sessions)
    calendar = trading_sessions(study)
    bars = (
        table.filter(pl.col("code").cast(pl.String) == "close")
        .join(calendar, on="time")
        .select("subject_id", "session")
        .unique()
    )
    label = Label.model_validate({"kind": kind, "horizon_sessions": sessions})
    found = with_labels(bars, returns(study, table, calendar), calendar, label)
    return {
        (row["subject_id"], row["session"] - FIRST): (row["label"], row["label_end_time"])
        for row in found.iter_rows(named=True)
    }


def label_at_first(rows: list[Row], kind: str, sessions: int) -> Found:
    return labels(events(rows), kind, sessions)[1, 0]


UP, DOWN = math.log(1.1), math.log(0.9)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("realised_volatility", math.sqrt(252 / 2 * (UP**2 + DOWN**2))),
        ("return_quantiles", UP + DOWN),
        ("direction", 0.0),
    ],
)
def test_a_label_is_of_the_sessions_after_the_index_alone(kind: str, expected: float) -> None:
    rows = [*closes(1, [100, 110, 99]), *closes(2, [70, 10, 500, 3])]
    assert label_at_first(rows, kind, 2) == (pytest.approx(expected), CLOSES[2])


def test_a_price_that_stays_is_no_rise_and_has_the_least_volatility() -> None:
    assert label_at_first(closes(1, [100, 100]), "direction", 1)[0] == 0
    assert label_at_first(closes(1, [100, 101]), "direction", 1)[0] == 1
    assert label_at_first(closes(1, [100, 100]), "realised_volatility", 1)[0] == pytest.approx(0.02)


@pytest.mark.parametrize("kind", ["realised_volatility", "return_quantiles", "direction"])
def test_a_label_with_any_missing_return_is_unknown(kind: str) -> None:
    halted = labels(events(closes(1, [100, 110, None, 99, 98, 97])), kind, 2)
    known = {place for (_, place), (label, _) in halted.items() if label is not None}
    assert known == {3}
    assert all((label is None) == (end is None) for label, end in halted.values())


def test_a_late_close_delays_the_end_of_the_label() -> None:
    late: Row = (1, 2, "close", 121.0, 9.0)
    rows = [*closes(1, [100, 110]), late]
    assert label_at_first(rows, "return_quantiles", 2) == (
        pytest.approx(2 * UP),
        CLOSES[2] + timedelta(days=9),
    )


def test_a_close_restated_after_the_label_was_known_leaves_it_as_it_was() -> None:
    restated: Row = (1, 2, "close", 400.0, 9.0)
    rows = [*closes(1, [100, 110, 121]), restated]
    assert label_at_first(rows, "return_quantiles", 2)[0] == pytest.approx(2 * UP)


def test_a_close_restated_before_the_label_was_known_counts_as_restated() -> None:
    # Friday's close, corrected on Sunday, within a label that ends on Monday.
    restated: Row = (1, 0, "close", 80.0, 2.0)
    assert label_at_first([*closes(1, [100, 110, 121]), restated], "return_quantiles", 2) == (
        pytest.approx(math.log(121 / 80)),
        CLOSES[2],
    )


def test_the_delay_of_a_source_is_part_of_the_labels_end() -> None:
    study = config(source={"known_delay_minutes": 45})
    calendar = trading_sessions(study)
    stated = returns(study, events(closes(1, [100, 110])), calendar)
    bar = pl.DataFrame({"subject_id": [1], "session": [FIRST]})
    label = Label(kind="direction", horizon_sessions=1)
    found = with_labels(bar, stated, calendar, label)["label_end_time"]
    assert found.to_list() == [CLOSES[1] + timedelta(minutes=45)]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), sessions=st.sampled_from([1, 5]))
def test_a_label_is_what_a_naive_observer_adds_up_at_the_labels_end(
    seed: int, sessions: int
) -> None:
    table = random_market(seed, length=40)
    last = table["known_time"].max()
    assert isinstance(last, datetime)
    finally_known = as_of(table, last)
    for (subject, place), (label, end) in labels(table, "return_quantiles", sessions).items():
        ahead = range(place + 1, place + sessions + 1)
        if end is None:
            assert label is None
            assert any(naive_return(finally_known, subject, at) is None for at in ahead)
            continue
        known = as_of(table, end)
        parts = [naive_return(known, subject, at) for at in ahead]
        assert label == pytest.approx(sum(part for part in parts if part is not None), abs=1e-6)
        assert None not in parts

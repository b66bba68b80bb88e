"""Nothing known later changes an example: truncation, and plants that truncation must catch."""

from collections.abc import Callable
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from pipelines.examples import Examples
from pipelines.market import domain
from pipelines.market.config import MarketConfig
from pipelines.sequences import gather_sequences
from tests.pipelines.market.market_examples import (
    CLOSES,
    Row,
    closes,
    config,
    events,
    random_market,
    subjects,
)

Build = Callable[[pl.DataFrame], tuple[pl.DataFrame, Examples]]
PEOPLE = subjects(1, 2, 3, 4, listed=[date(2014, 1, 1), None, date(2010, 5, 5), date(2015, 1, 2)])
# What becomes of an instrument is only known afterwards: the audit sorts by it, no model sees it.
KNOWN_LATER = {"listing_status"}


def build(study: MarketConfig) -> Build:
    def built(table: pl.DataFrame) -> tuple[pl.DataFrame, Examples]:
        return (
            domain.feature_events(study, table, PEOPLE),
            domain.training_examples(study, table, PEOPLE),
        )

    return built


def known_by(built: tuple[pl.DataFrame, Examples], moment: datetime) -> list[pl.DataFrame]:
    """All that may be known at a moment: feature events, examples, the labels decided by then."""
    features, examples = built
    rows = examples.frame.filter(pl.col("index_time") <= moment).sort("subject_id", "index_time")
    groups = [name for name in examples.groups if name not in KNOWN_LATER]
    own = ("subject_id", "index_time", "last_price", "index_session", "cluster", "scale")
    return [
        features.filter(pl.col("known_time") <= moment)
        .cast({"code": pl.String})
        .sort("subject_id", "time", "code", "known_time"),
        rows.select(*own, *examples.statics, *groups),
        rows.filter(pl.col("label_end_time") <= moment).select("label", "label_end_time"),
    ]


def is_same_when_truncated(make: Build, table: pl.DataFrame, moment: datetime) -> bool:
    whole = known_by(make(table), moment)
    cut = known_by(make(table.filter(pl.col("known_time") <= moment)), moment)
    try:
        for one, other in zip(whole, cut, strict=True):
            assert_frame_equal(one, other, check_exact=True)
    except AssertionError:
        return False
    return True


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    # All are listed by then: a source that has told no volume yet has no groups by size.
    at=st.integers(32, 299),
    later=st.sampled_from([0, 0.1, 0.5]),
    kind=st.sampled_from(["realised_volatility", "return_quantiles", "direction"]),
)
def test_deleting_all_that_was_known_later_leaves_every_example_as_it_was(
    seed: int, at: int, later: float, kind: str
) -> None:
    table = random_market(seed)
    # Between two sessions too, where a late bar may have come and the next one not.
    moment = CLOSES[at] + (CLOSES[at + 1] - CLOSES[at]) * later
    assert is_same_when_truncated(build(config(kind)), table, moment)


def final_versions_only(table: pl.DataFrame) -> pl.DataFrame:
    """The plant: each bar as it was stated last, passed off as known in time."""
    last = table.sort("known_time").unique(
        ["subject_id", "time", "code"], keep="last", maintain_order=True
    )
    return last.with_columns(known_time="time")


def split_at_once(table: pl.DataFrame) -> pl.DataFrame:
    """The plant: a split counts from its session, though it was known later."""
    is_split = pl.col("code").cast(pl.String) == "split"
    return table.with_columns(
        known_time=pl.when(is_split).then("time").otherwise(pl.col("known_time"))
    )


def jagged(length: int = 30) -> list[Row]:
    return closes(1, [100 + 7 * (place % 3) for place in range(length)])


RESTATED: Row = (1, 20, "close", 150.0, 5.0)
BACK_DATED: Row = (1, 20, "split", 2.0, 5.0)


@pytest.mark.parametrize(
    ("late", "leak"), [(RESTATED, final_versions_only), (BACK_DATED, split_at_once)]
)
def test_a_planted_leak_is_caught_by_truncation_and_the_builder_itself_is_not(
    late: Row, leak: Callable[[pl.DataFrame], pl.DataFrame]
) -> None:
    table, moment, make = events([*jagged(), late]), CLOSES[22], build(config())
    assert is_same_when_truncated(make, table, moment)
    assert not is_same_when_truncated(lambda cut: make(leak(cut)), table, moment)


def test_a_restated_close_reaches_the_examples_after_it_was_restated() -> None:
    make = build(config())
    before, after = make(events(jagged()))[1].frame, make(events([*jagged(), RESTATED]))[1].frame
    changed = before["index_time"].filter(
        before["log_volatility_22"].ne_missing(after["log_volatility_22"])
    )
    restated = CLOSES[20] + timedelta(days=5)
    assert changed.min() == next(close for close in CLOSES if close >= restated)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_rows_and_instruments_changes_nothing(seed: int) -> None:
    table = random_market(seed, length=100)
    shuffled = table.sample(fraction=1, shuffle=True, seed=seed)
    moment = CLOSES[1499]
    one = known_by(build(config())(table), moment)
    other = known_by(build(config())(shuffled), moment)
    for expected, found in zip(one, other, strict=True):
        assert_frame_equal(expected, found, check_exact=True)


def test_a_young_listing_gives_a_shorter_sequence() -> None:
    table = events(
        [*closes(1, [100.0 + place for place in range(20)]), *closes(2, [50, 51, 52], 17)]
    )
    study = config()
    rows = domain.training_examples(study, table, PEOPLE).frame.filter(
        pl.col("index_time") == CLOSES[19]
    )
    features = domain.feature_events(study, table, PEOPLE)
    found = gather_sequences(features, rows, sorted(domain.channel_kinds(study, table)), 32)
    lengths = np.diff(found.step_offsets)
    assert dict(zip(rows["subject_id"], lengths, strict=True)) == {1: 19, 2: 2}

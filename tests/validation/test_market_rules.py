"""Each rule of a market is broken by a row made to break it, and by no sound one."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from validation.market_rules import REASONS, event_rules, subject_rules
from validation.rules import first_broken_rule

CLOSE = datetime(2020, 1, 3, 21, tzinfo=UTC)
SOUND: dict[str, Any] = {
    "subject": "AAA",
    "known_subject": True,
    "time_text": "2020-01-03",
    "session": date(2020, 1, 3),
    "time": CLOSE,
    "known_time": CLOSE,
    "naive": False,
    "known_time_unreadable": False,
    "listed": date(2020, 1, 3),
    "delisted": date(2020, 1, 3),
    "code": "close",
    "needs_value": True,
    "value_text": "10.0",
    "value": 10.0,
    "low": 1.0,
    "high": 1000.0,
    "bar_open": 9.0,
    "bar_high": 11.0,
    "bar_low": 9.0,
    "bar_close": 11.0,
    "bar_volume": 0.0,
    "bar_currency": "USD",
    "contradicted": False,
    "close_ratio": 1.0,
    "jump_acknowledged": None,
}
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "listed": pl.Date,
    "delisted": pl.Date,
    "session": pl.Date,
    "time": pl.Datetime("us", "UTC"),
    "known_time": pl.Datetime("us", "UTC"),
    "jump_acknowledged": pl.Boolean,
    "subject": pl.String,
    "time_text": pl.String,
    "value_text": pl.String,
    "value": pl.Float64,
    "needs_value": pl.Boolean,
    **{f"bar_{name}": pl.Float64 for name in ("open", "high", "low", "close", "volume")},
    "bar_currency": pl.String,
    "close_ratio": pl.Float64,
}


def broken(**changes: Any) -> str | None:
    """The rule that the sound row breaks once it is changed."""
    row = pl.DataFrame([SOUND | changes], schema_overrides=SCHEMA)
    found: str | None = row.select(first_broken_rule(event_rules("USD"))).item()
    return found


def test_a_sound_row_breaks_no_rule_even_at_the_ends_of_every_range() -> None:
    assert broken() is None


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("missing_subject", {"subject": None}),
        ("not_in_universe", {"known_subject": False}),
        ("missing_time", {"time_text": None}),
        ("naive_time", {"naive": True, "session": None, "time": None}),
        ("unreadable_time", {"session": None, "time": None}),
        ("unreadable_time", {"known_time": None, "known_time_unreadable": True}),
        ("no_session", {"time": None}),
        ("known_before_close", {"known_time": CLOSE - timedelta(seconds=1)}),
        ("before_listing", {"listed": date(2020, 1, 6)}),
        ("after_delisting", {"delisted": date(2020, 1, 2)}),
        ("unknown_code", {"needs_value": None}),
        ("missing_value", {"value_text": None, "value": None}),
        ("unreadable_value", {"value_text": "ten", "value": None}),
        ("value_not_finite", {"value": float("nan")}),
        ("value_not_finite", {"value": float("inf")}),
        ("value_overflows_f32", {"value": 1e39}),
        ("wrong_currency", {"bar_currency": "EUR"}),
        ("price_not_positive", {"value": 0.0}),
        ("price_not_positive", {"value": -3.0, "code": "adjusted_close"}),
        ("split_not_positive", {"value": 0.0, "code": "split"}),
        ("negative_volume", {"bar_volume": -1.0}),
        ("high_below_low", {"bar_high": 8.0}),
        ("close_outside_range", {"bar_close": 11.01}),
        ("close_outside_range", {"bar_close": 8.99}),
        ("open_outside_range", {"bar_open": 8.99}),
        ("contradicting_bar", {"contradicted": True}),
        ("unadjusted_split", {"close_ratio": 1 / 3}),
        ("value_physically_impossible", {"value": 0.5}),
        ("value_physically_impossible", {"value": 1000.5}),
    ],
)
def test_a_row_made_to_break_a_rule_breaks_it(rule: str, changes: dict[str, Any]) -> None:
    assert broken(**changes) == rule


@pytest.mark.parametrize(
    "ratio", [2.0, 1 / 2, 0.52, 0.525, 0.485, 1.94, 2.15, 1.81, 3.0, 1 / 3.29, 21.9, 1 / 20]
)
def test_a_jump_within_ten_per_cent_of_a_split_is_one(ratio: float) -> None:
    assert broken(close_ratio=ratio) == "unadjusted_split"


@pytest.mark.parametrize("ratio", [1.0, 1.5, 0.6, 1.79, 1 / 1.79, 2.5, 1 / 2.5, 3.5, 22.1, 1 / 23])
def test_another_jump_may_be_the_market_s_own(ratio: float) -> None:
    assert broken(close_ratio=ratio) is None


def test_a_jump_that_the_study_declares_true_is_kept() -> None:
    assert broken(close_ratio=0.5, jump_acknowledged=True) is None


@pytest.mark.parametrize(
    "changes",
    [
        {f"bar_{name}": None for name in ("open", "high", "low", "volume", "currency")},
        {"listed": None, "delisted": None},
        {"close_ratio": None},
        {"known_time": CLOSE + timedelta(days=400)},
        {"value": 0.0, "value_text": "0", "code": "volume", "low": 0.0},
    ],
)
def test_what_a_source_does_not_say_breaks_no_rule(changes: dict[str, Any]) -> None:
    assert broken(**changes) is None


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        (None, {}),
        ("missing_subject", {"subject": ""}),
        ("subject_with_two_rows", {"repeated": True}),
        ("unreadable_date", {"known_time": None}),
        ("delisted_before_listed", {"delisted": date(2020, 1, 2)}),
    ],
)
def test_an_instrument_is_judged_by_its_own_rules(
    rule: str | None, changes: dict[str, Any]
) -> None:
    row = pl.DataFrame([SOUND | {"repeated": False} | changes], schema_overrides=SCHEMA)

    assert row.select(first_broken_rule(subject_rules())).item() == rule


def test_every_rule_has_its_reason_in_words_and_no_reason_lacks_its_rule() -> None:
    assert set(REASONS) == {*event_rules("USD"), *subject_rules()}

"""Channels and static features against numbers by hand and a naive observer at every moment."""

import math
from datetime import datetime
from statistics import fmean
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.market.examples import training_examples
from pipelines.market.features import channels, feature_events
from tests.pipelines.market.market_examples import (
    CLOSES,
    Row,
    as_of,
    closes,
    config,
    events,
    naive_return,
    random_market,
    subjects,
)

LENGTH = 290
NAMES = [f"log_volatility_{sessions}" for sessions in (5, 22, 66)] + ["log_ewma_volatility"]


def channel(code: str, table: pl.DataFrame) -> list[tuple[int, int, Any]]:
    """(subject, place, value) of a channel's first versions."""
    found = feature_events(config(), table).filter(pl.col("code").cast(pl.String) == code)
    return [
        (row["subject_id"], CLOSES.index(row["time"]), row["numeric_value"])
        for row in found.iter_rows(named=True)
    ]


def naive_statics(table: pl.DataFrame, moment: datetime, place: int) -> dict[int, dict[str, float]]:
    """Own and market features of each instrument with a bar at ``place``, by the definitions."""
    known = as_of(table, moment)
    found = {}
    for subject in range(1, 5):
        if (subject, "close", place) not in known:
            continue
        past = [naive_return(known, subject, at) for at in range(place + 1)]
        found[subject] = own_statics(past)
    for name in NAMES:
        there = [row[name] for row in found.values() if not math.isnan(row[name])]
        for row in found.values():
            row[f"market_{name}"] = fmean(there) if there else math.nan
    return found


def own_statics(past: list[float | None]) -> dict[str, float]:
    """The features of one instrument's returns, NaN where one of them is missing."""

    def window(sessions: int) -> list[float]:
        last = past[-sessions:]
        if len(last) < sessions:
            return [math.nan] * sessions
        return [math.nan if value is None else value for value in last]

    def volatility(values: list[float]) -> float:
        raw = math.sqrt(252 * fmean(value**2 for value in values))
        return raw if math.isnan(raw) else max(raw, 0.02)

    known = [value for value in past if value is not None]
    weights = [0.94**age for age in range(len(known))][::-1]
    squares = [weight * value**2 for weight, value in zip(weights, known, strict=True)]
    ewma = max(math.sqrt(252 * sum(squares) / sum(weights)), 0.02) if known else math.nan
    falls = math.sqrt(252 * fmean(v if math.isnan(v) else min(v, 0) ** 2 for v in window(22)))
    return {
        **{f"log_volatility_{n}": math.log(volatility(window(n))) for n in (1, 5, 22, 66)},
        "log_ewma_volatility": math.log(ewma),
        "downside_ratio_22": math.log(falls + 0.02) - math.log(volatility(window(22)) + 0.02),
        "return_5": sum(window(5)),
        "return_22": sum(window(22)),
        **moves(past, volatility(window(66)) / math.sqrt(252)),
    }


def moves(past: list[float | None], usual: float) -> dict[str, float]:
    """The largest move of 66 sessions, and those of the coming week in four quarters before."""
    reach = len(past) - 1 - next((at for at, r in enumerate(past) if r is not None), len(past))

    def largest(first: int, last: int) -> tuple[float, float]:
        there = [
            (abs(r), -ago) for ago in range(first, last + 1) if (r := past_at(ago)) is not None
        ]
        return (max(there)[0], -max(there)[1]) if reach >= last and there else (math.nan, math.nan)

    def past_at(ago: int) -> float | None:
        return past[-1 - ago] if ago < len(past) else None

    def multiple(size: float) -> float:
        return math.log((size + 1e-3) / usual)

    size, ago = largest(0, 65)
    weeks = [multiple(largest(63 * quarter - 7, 63 * quarter + 1)[0]) for quarter in (1, 2, 3, 4)]
    above = [week if math.isnan(week) else max(week, 0) for week in weeks]
    return {
        "largest_move": multiple(size),
        "largest_move_sessions_ago": ago,
        "largest_move_is_due": math.nan if math.isnan(ago) else float(55 <= ago <= 62),
        "same_week_quarter_ago": weeks[0],
        "same_week_year_ago": weeks[3],
        "same_week_mean": fmean(weeks),
        "same_week_mean_above_usual": fmean(above),
    }


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), place=st.integers(2, LENGTH - 1))
def test_static_features_are_what_a_naive_observer_computes_from_what_was_known(
    seed: int, place: int
) -> None:
    table = random_market(seed, length=LENGTH)
    examples = training_examples(config(), table, subjects(1, 2, 3, 4))
    naive = naive_statics(table, CLOSES[place], place)
    rows = examples.frame.filter(pl.col("index_time") == CLOSES[place])
    for row in rows.iter_rows(named=True):
        found = {name: math.nan if row[name] is None else row[name] for name in examples.statics}
        assert found == pytest.approx(naive[row["subject_id"]], abs=1e-9, nan_ok=True)
        ewma = math.exp(naive[row["subject_id"]]["log_ewma_volatility"])
        assert row["scale"] == pytest.approx(ewma, rel=1e-6)


def test_a_price_that_does_not_move_has_the_least_volatility() -> None:
    examples = training_examples(config(), events(closes(1, [100.0] * 30)), subjects(1))
    row = examples.frame.row(-1, named=True)
    assert row["log_volatility_22"] == pytest.approx(math.log(0.02))
    assert row["downside_ratio_22"] == pytest.approx(math.log(0.02 / 0.04))
    assert row["scale"] == pytest.approx(0.02)


def test_the_log_of_a_small_return_is_floored_at_a_thousandth() -> None:
    found = channel("log_absolute_return", events(closes(1, [100, 100, 110])))
    assert [row[2] for row in found] == pytest.approx([math.log(1e-3), math.log(math.log(1.1))])


def test_the_market_is_the_mean_over_the_instruments_of_the_session() -> None:
    table = events([*closes(1, [100, 110]), *closes(2, [100, 80])])
    up, down = math.log(1.1), math.log(0.8)
    assert channel("market_return", table) == [
        (1, 1, pytest.approx((up + down) / 2)),
        (2, 1, pytest.approx((up + down) / 2)),
    ]
    assert channel("market_log_absolute_return", table)[0][2] == pytest.approx(
        math.log((up - down) / 2)
    )


def test_a_late_close_is_no_part_of_its_sessions_market() -> None:
    late: list[Row] = [(2, 0, "close", 100.0, 0.0), (2, 1, "close", 80.0, 2.0)]
    table = events([*closes(1, [100, 110]), *late])
    assert [row[2] for row in channel("market_return", table)] == pytest.approx([math.log(1.1)] * 2)


def test_range_is_the_log_of_high_over_low_as_first_seen() -> None:
    bar: list[Row] = [
        (1, 0, "high", 110.0, 0.0),
        (1, 0, "low", 100.0, 0.0),
        (1, 0, "high", 150.0, 3.0),
    ]
    assert channel("log_range", events([*closes(1, [105]), *bar])) == [
        (1, 0, pytest.approx(math.log(1.1)))
    ]


def test_volume_change_is_against_the_mean_of_the_22_sessions_before() -> None:
    volumes: list[Row] = [
        (1, place, "volume", 300.0 if place == 22 else 100.0, 0.0) for place in range(24)
    ]
    found = channel("log_volume_change", events([*closes(1, [100.0] * 24), *volumes]))
    assert found == [
        (1, 22, pytest.approx(math.log(3))),
        (1, 23, pytest.approx(math.log(100 / (24 * 100 / 22)))),
    ]


def test_a_missing_or_zero_volume_gives_no_change() -> None:
    volumes: list[Row] = [
        (1, place, "volume", 0.0 if place == 25 else 100.0, 0.0)
        for place in range(50)
        if place != 24
    ]
    found = channel("log_volume_change", events([*closes(1, [100.0] * 50), *volumes]))
    # Session 24 has none, 25 has zero; the mean before 47 is the first without session 24.
    assert [row[1] for row in found] == [22, 23, 47, 48, 49]


def test_channels_of_range_and_volume_are_there_only_with_their_codes() -> None:
    bare, full = events(closes(1, [1, 2])), random_market(1, length=30)
    assert set(channels(full)) - set(channels(bare)) == {"log_range", "log_volume_change"}


def test_what_the_market_did_is_known_with_the_stated_delay() -> None:
    study = config(source={"known_delay_minutes": 30})
    market = feature_events(study, random_market(5, length=40)).filter(
        pl.col("code").cast(pl.String).is_in(["market_return", "log_range", "log_volume_change"])
    )
    assert (market["known_time"] - market["time"]).dt.total_minutes().min() == 30

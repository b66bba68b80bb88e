from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.config import ModelConfig
from models.conformal import LEAST_ROWS, Correction, History, Predicted, correct
from models.parts import TrainingImpossible
from models.training import train
from tests.models.generated_markets import make_market
from tests.models.generated_stores import LEVELS, write_store

DAYS = 60.0
PLAIN = Correction(DAYS)


def drawn(seed: int, rows: int = 700) -> tuple[Predicted, History]:
    """Predictions over 100 days, ten a day at most, and a history of which a tenth is unknown."""
    random = np.random.default_rng(seed)

    def predicted(count: int) -> Predicted:
        quantiles = np.sort(random.normal(size=(count, len(LEVELS))), axis=1)
        days = random.integers(0, 100, count).astype(float)
        return Predicted(quantiles, random.random(count) + 0.5, days)

    past = predicted(rows)
    label = np.where(random.random(rows) < 0.1, np.nan, random.normal(size=rows))
    ends = past.index_day + random.integers(1, 9, rows)
    return predicted(40), History(past, label, ends)


def correct_by_loops(asked: Predicted, history: History) -> tuple[np.ndarray, list[int]]:
    """Row by row and level by level, with the sentence of the docstring."""
    answer, counts, past = asked.quantiles.copy(), [], history.predicted
    for i in range(len(answer)):
        rows = [
            j
            for j in range(len(history.label))
            if not np.isnan(history.label[j])
            and history.label_end_day[j] <= asked.index_day[i]
            and asked.index_day[i] - DAYS < past.index_day[j]
        ]
        counts.append(len(rows) if len(rows) >= LEAST_ROWS else 0)
        if not counts[-1]:
            continue
        moved = []
        for level, tau in enumerate(LEVELS):
            misses = [(history.label[j] - past.quantiles[j, level]) / past.scale[j] for j in rows]
            moved.append(answer[i, level] + np.quantile(misses, tau) * asked.scale[i])
        answer[i] = sorted(moved)
    return answer, counts


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 999))
def test_the_correction_equals_loops_over_rows_and_levels(seed: int) -> None:
    asked, history = drawn(seed)
    found, counts = correct(asked, history, LEVELS, PLAIN)
    expected, expected_counts = correct_by_loops(asked, history)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert counts.tolist() == expected_counts
    assert 0 < np.count_nonzero(counts) < len(counts)  # both kinds of row are tested


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 999), st.floats(-1e9, 1e9))
def test_labels_not_known_at_the_index_time_change_nothing(seed: int, planted: float) -> None:
    asked, history = drawn(seed, rows=1200)
    now = 70.0
    past = replace(asked, index_day=np.minimum(asked.index_day, now))
    unknown = history.label_end_day > now
    altered = replace(history, label=np.where(unknown, planted, history.label))
    found, counts = correct(past, history, LEVELS, PLAIN)
    again, counts_again = correct(past, altered, LEVELS, PLAIN)
    np.testing.assert_array_equal(found, again)
    np.testing.assert_array_equal(counts, counts_again)
    assert counts.any()


def test_a_label_that_was_known_changes_something() -> None:
    asked, history = drawn(0)
    altered = replace(history, label=history.label + 1.0)
    assert not np.array_equal(
        correct(asked, history, LEVELS, PLAIN)[0], correct(asked, altered, LEVELS, PLAIN)[0]
    )


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 999))
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    asked, history = drawn(seed)
    random, past = np.random.default_rng(seed), history.predicted
    a, h = random.permutation(len(asked.scale)), random.permutation(len(history.label))
    moved = Predicted(asked.quantiles[a], asked.scale[a], asked.index_day[a])
    other = History(
        Predicted(past.quantiles[h], past.scale[h], past.index_day[h]),
        history.label[h],
        history.label_end_day[h],
    )
    np.testing.assert_array_equal(
        correct(moved, other, LEVELS, PLAIN)[0], correct(asked, history, LEVELS, PLAIN)[0][a]
    )


@pytest.mark.parametrize(("rows", "count"), [(LEAST_ROWS - 1, 0), (LEAST_ROWS, LEAST_ROWS)])
def test_few_labels_correct_nothing(rows: int, count: int) -> None:
    """Quantiles of 0, labels of 2 in scales of 1: all levels move by 2 times the row's scale."""
    past = Predicted(np.zeros((rows, 5)), np.ones(rows), np.zeros(rows))
    history = History(past, np.full(rows, 2.0), np.full(rows, 5.0))
    asked = Predicted(np.zeros((1, 5)), np.array([3.0]), np.array([5.0]))
    found, counts = correct(asked, history, LEVELS, PLAIN)
    assert counts.tolist() == [count]
    assert found.tolist() == [[6.0 if count else 0.0] * 5]


def test_quantiles_that_were_too_narrow_cover_what_they_should_afterwards() -> None:
    """Labels of deviation 3 against the quantiles of deviation 1, known the next day."""
    random, rows = np.random.default_rng(0), 6_000
    normal = np.quantile(random.normal(size=100_000), LEVELS)
    days = np.repeat(np.arange(rows // 20), 20).astype(np.float64)
    predicted = Predicted(np.tile(normal, (rows, 1)), np.ones(rows), days)
    label = random.normal(0.5, 3.0, rows)
    found, counts = correct(predicted, History(predicted, label, days + 1), LEVELS, PLAIN)
    judged = counts > 0
    assert judged.sum() > 5_000
    below = (label[judged, None] <= found[judged]).mean(axis=0)
    np.testing.assert_allclose(below, LEVELS, atol=0.02)
    assert (np.diff(found, axis=1) >= 0).all()


def test_a_group_is_corrected_by_its_own_misses_and_a_small_one_by_everybodys() -> None:
    """Labels of 1, 5 and 9 against quantiles of 0; the third group has too few of its own."""
    sizes, labels = (LEAST_ROWS, LEAST_ROWS + 1, 10), (1.0, 5.0, 9.0)
    group = np.repeat([0.0, 1.0, 2.0], sizes)
    rows = len(group)
    past = Predicted(np.zeros((rows, 5)), np.ones(rows), np.zeros(rows), group)
    history = History(past, np.repeat(labels, sizes), np.full(rows, 5.0))
    asked = Predicted(np.zeros((3, 5)), np.ones(3), np.full(3, 5.0), np.array([0.0, 1.0, 2.0]))
    found, counts = correct(asked, history, LEVELS, PLAIN)
    assert found[:2].tolist() == [[1.0] * 5, [5.0] * 5]
    assert found[2].tolist() == np.quantile(history.label, LEVELS).tolist()
    assert counts.tolist() == [LEAST_ROWS, LEAST_ROWS + 1, rows]
    alone, _ = correct(replace(asked, group=None), history, LEVELS, PLAIN)
    assert alone.tolist() == [found[2].tolist()] * 3


def adapted_by_loops(label: np.ndarray, rate: float) -> np.ndarray:
    """One label a day against quantiles of 0 in scales of 1, known the next day: the offsets that
    each day was given, and each level's target by the sentence of the docstring. What was
    published of a day is its offsets in ascending order."""
    target, given = list(LEVELS), np.full((len(label), len(LEVELS)), np.nan)
    told = [False] * len(label)
    for day in range(len(label)):
        fresh = [d for d in range(day) if not told[d] and not np.isnan(given[d, 0])]
        if fresh:
            for k, level in enumerate(LEVELS):
                below = np.mean([label[d] <= sorted(given[d])[k] for d in fresh])
                target[k] = min(1.0, max(0.0, target[k] + rate * (level - below)))
            for d in fresh:
                told[d] = True
        known = [label[d] for d in range(day) if d > day - 300]
        if len(known) >= LEAST_ROWS:
            given[day] = [np.quantile(known, one) for one in target]
    return given


@pytest.mark.parametrize(("rate", "narrow"), [(0.05, 320), (0.1, 230)])
def test_levels_that_adapt_equal_loops_over_days(rate: float, narrow: int) -> None:
    """Labels that stay between two levels for long make these cross: published is a sorted row."""
    random, days = np.random.default_rng(0), 320
    label = random.normal(size=days)
    label[narrow:] = -0.4 + 0.02 * label[narrow:]
    index_day = np.arange(days, dtype=np.float64)
    predicted = Predicted(np.zeros((days, 5)), np.ones(days), index_day)
    history = History(predicted, label, index_day + 1)
    found, counts = correct(predicted, history, LEVELS, Correction(300.0, rate))
    expected = adapted_by_loops(label, rate)
    corrected = counts > 0
    np.testing.assert_array_equal(corrected, ~np.isnan(expected[:, 0]))
    expected = np.sort(expected[corrected], axis=1)
    np.testing.assert_allclose(found[corrected], expected, rtol=1e-12)
    plain, _ = correct(predicted, history, LEVELS, Correction(300.0))
    assert (found[corrected] != plain[corrected]).mean() > 0.5


def test_levels_that_adapt_cover_better_while_the_spread_grows() -> None:
    """A window of a year lags behind labels whose deviation doubles every 200 days."""
    random, days, daily = np.random.default_rng(1), 700, 10
    index_day = np.repeat(np.arange(days), daily).astype(np.float64)
    label = random.normal(size=days * daily) * 2.0 ** (index_day / 200)
    predicted = Predicted(np.zeros((len(label), 5)), np.ones(len(label)), index_day)
    history = History(predicted, label, index_day + 1)
    missed = {}
    for rate in (0.0, 0.02):
        found, counts = correct(predicted, history, LEVELS, Correction(365.0, rate))
        judged = (counts > 0) & (index_day > 300)
        outside = (label[judged] < found[judged, 0]) | (label[judged] > found[judged, -1])
        missed[rate] = outside.mean()
    assert missed[0.0] > 0.13  # of a tenth
    assert abs(missed[0.02] - 0.1) < 0.02


def test_labels_not_known_yet_do_not_adapt_a_level() -> None:
    asked, history = drawn(3, rows=1200)
    now = 70.0
    past = replace(asked, index_day=np.minimum(asked.index_day, now))
    altered = replace(history, label=np.where(history.label_end_day > now, 1e9, history.label))
    adapting = Correction(DAYS, rate=0.05)
    found, counts = correct(past, history, LEVELS, adapting)
    np.testing.assert_array_equal(found, correct(past, altered, LEVELS, adapting)[0])
    assert counts.any()


def test_a_static_feature_that_is_not_there_is_told_before_the_training(tmp_path: Path) -> None:
    store = make_market("quantiles", sessions=200)
    sequences = write_store(store, tmp_path / "sequences")
    config = ModelConfig(conformal_by="nobody")
    with pytest.raises(TrainingImpossible, match="conformal_by: expected a static feature"):
        train(sequences, config, tmp_path / "model", tmp_path / "checkpoints")
    assert not (tmp_path / "checkpoints").exists()

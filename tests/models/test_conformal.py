from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.conformal import LEAST_ROWS, History, Predicted, correct
from tests.models.generated_stores import LEVELS

DAYS = 60.0


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
    found, counts = correct(asked, history, LEVELS, DAYS)
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
    found, counts = correct(past, history, LEVELS, DAYS)
    again, counts_again = correct(past, altered, LEVELS, DAYS)
    np.testing.assert_array_equal(found, again)
    np.testing.assert_array_equal(counts, counts_again)
    assert counts.any()


def test_a_label_that_was_known_changes_something() -> None:
    asked, history = drawn(0)
    altered = replace(history, label=history.label + 1.0)
    assert not np.array_equal(
        correct(asked, history, LEVELS, DAYS)[0], correct(asked, altered, LEVELS, DAYS)[0]
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
        correct(moved, other, LEVELS, DAYS)[0], correct(asked, history, LEVELS, DAYS)[0][a]
    )


@pytest.mark.parametrize(("rows", "count"), [(LEAST_ROWS - 1, 0), (LEAST_ROWS, LEAST_ROWS)])
def test_few_labels_correct_nothing(rows: int, count: int) -> None:
    """Quantiles of 0, labels of 2 in scales of 1: all levels move by 2 times the row's scale."""
    past = Predicted(np.zeros((rows, 5)), np.ones(rows), np.zeros(rows))
    history = History(past, np.full(rows, 2.0), np.full(rows, 5.0))
    asked = Predicted(np.zeros((1, 5)), np.array([3.0]), np.array([5.0]))
    found, counts = correct(asked, history, LEVELS, DAYS)
    assert counts.tolist() == [count]
    assert found.tolist() == [[6.0 if count else 0.0] * 5]


def test_quantiles_that_were_too_narrow_cover_what_they_should_afterwards() -> None:
    """Labels of deviation 3 against the quantiles of deviation 1, known the next day."""
    random, rows = np.random.default_rng(0), 6_000
    normal = np.quantile(random.normal(size=100_000), LEVELS)
    days = np.repeat(np.arange(rows // 20), 20).astype(np.float64)
    predicted = Predicted(np.tile(normal, (rows, 1)), np.ones(rows), days)
    label = random.normal(0.5, 3.0, rows)
    found, counts = correct(predicted, History(predicted, label, days + 1), LEVELS, DAYS)
    judged = counts > 0
    assert judged.sum() > 5_000
    below = (label[judged, None] <= found[judged]).mean(axis=0)
    np.testing.assert_allclose(below, LEVELS, atol=0.02)
    assert (np.diff(found, axis=1) >= 0).all()

"""Clustered bootstrap: what is drawn, that it covers, and that rows drawn singly would not."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from validation.intervals import bootstrap, draw_weights, percentile_interval, standard_error
from validation.ranking import FloatArray


def drawn(clusters: list[int], *, draws: int = 50, seed: int = 3, block: int = 64) -> FloatArray:
    blocks = draw_weights(
        np.array(clusters), np.ones(len(clusters)), draws=draws, seed=seed, block_elements=block
    )
    return np.concatenate(list(blocks))


def test_rows_of_one_cluster_are_drawn_together() -> None:
    weights = drawn([5, 9, 5, 7, 9, 5])
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 0] == weights[:, 5]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, 0] != weights[:, 1]).any()


def test_every_draw_holds_as_many_clusters_as_there_are() -> None:
    weights = drawn([5, 9, 5, 7, 9, 5])
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_a_row_weighs_its_own_weight_times_its_clusters_count() -> None:
    own = np.array([0.0, 0.5, 2.0])
    (counts,) = draw_weights(np.arange(3), np.ones(3), draws=20, seed=1)
    (weights,) = draw_weights(np.arange(3), own, draws=20, seed=1)
    np.testing.assert_array_equal(weights, counts * own)


@given(st.integers(1, 300), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_the_size_of_blocks_changes_nothing(block: int, seed: int) -> None:
    clusters = [1, 1, 2, 3, 5, 8, 8]
    whole = drawn(clusters, seed=seed, block=10_000)
    np.testing.assert_array_equal(drawn(clusters, seed=seed, block=block), whole)


def test_the_seed_decides_the_draws() -> None:
    assert (drawn([1, 2, 3], seed=1) == drawn([1, 2, 3], seed=1)).all()
    assert (drawn([1, 2, 3], seed=1) != drawn([1, 2, 3], seed=2)).any()


def test_no_block_holds_more_than_it_may() -> None:
    blocks = list(draw_weights(np.arange(100), np.ones(100), draws=50, seed=0, block_elements=1000))
    assert [block.shape for block in blocks] == [(10, 100)] * 5


@pytest.mark.parametrize(("rows", "draws"), [(0, 10), (5, 0)])
def test_nothing_to_draw_is_an_error(rows: int, draws: int) -> None:
    with pytest.raises(ValueError, match="at least one row and one draw"):
        list(draw_weights(np.arange(rows), np.ones(rows), draws=draws, seed=0))


def test_a_percentile_interval_cuts_half_the_error_on_either_side() -> None:
    low, high = percentile_interval(np.arange(1001, dtype=np.float64))
    assert (low, high) == pytest.approx((25.0, 975.0))


def test_one_undefined_draw_in_a_hundred_is_tolerated_and_two_are_not() -> None:
    samples = np.arange(200, dtype=np.float64)
    samples[:2] = np.nan
    assert np.isfinite(percentile_interval(samples)).all()
    samples[:3] = np.nan
    assert np.isnan(percentile_interval(samples)).all()
    assert np.isnan(percentile_interval(np.full(10, np.nan))).all()


def test_the_standard_error_of_a_mean_is_that_of_the_textbook() -> None:
    values = np.random.default_rng(0).normal(0.0, 2.0, 400)
    samples = bootstrap(
        lambda w: w @ values / 400, np.arange(400), np.ones(400), draws=2000, seed=1
    )
    assert standard_error(samples) == pytest.approx(values.std() / 20, rel=0.06)


def weighted_mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    means: FloatArray = (weights @ values) / weights.sum(axis=1)
    return means


def coverage(*, by_cluster: bool, runs: int = 300) -> float:
    """Share of runs whose interval holds the true TPR of .7; 80 patients of 6 alike rows each."""
    rng = np.random.default_rng(20)
    patients, rows = 80, 6
    patient = np.repeat(np.arange(patients), rows)
    held = 0
    for run in range(runs):
        # Beta(2.8, 1.2) has mean .7: some patients are found nearly always, others seldom.
        found = (rng.random(patients * rows) < rng.beta(2.8, 1.2, patients)[patient]).astype(float)
        samples = bootstrap(
            partial(weighted_mean, found),
            patient if by_cluster else np.arange(patients * rows),
            np.ones(patients * rows),
            draws=300,
            seed=run,
        )
        low, high = percentile_interval(samples)
        held += low <= 0.7 <= high
    return held / runs


def test_clustered_intervals_cover_the_truth_about_as_often_as_they_claim() -> None:
    # Monte-Carlo error of a share of .95 in 300 runs is .013.
    assert 0.91 <= coverage(by_cluster=True) <= 0.985


def test_intervals_over_single_rows_do_not() -> None:
    assert coverage(by_cluster=False) < 0.85

"""What other seeds would have given belongs into the interval of the released ensemble."""

import numpy as np
import polars as pl
import pytest

from tests.validation.audit_examples import CHALLENGERS, logistic, policy, simulated
from validation.groups import UnauditableTable
from validation.populations import Population, ensemble_score, populations_of
from validation.ranking import FloatArray
from validation.seed_spread import MOST_MULTISETS, multisets, seed_offsets
from validation.tasks import METRIC_NAMES

TPR, AUROC = METRIC_NAMES.index("tpr"), METRIC_NAMES.index("auroc")


def with_seeds(frame: pl.DataFrame, *logits: FloatArray) -> pl.DataFrame:
    """The table of an ensemble of networks with these logits [n]."""
    return frame.with_columns(
        pl.Series("score", logistic(np.mean(logits, axis=0))),
        *(pl.Series(f"score_seed_{i}", logistic(one)) for i, one in enumerate(logits)),
    )


def noisy(seeds: int, *, subjects: int = 400, noise: float = 0.5) -> pl.DataFrame:
    frame = simulated(subjects=subjects)
    centre = np.log(frame["score"].to_numpy() / (1 - frame["score"].to_numpy()))
    rng = np.random.default_rng(1)
    return with_seeds(frame, *(centre + rng.normal(0, noise, subjects) for _ in range(seeds)))


def holdout(frame: pl.DataFrame) -> Population:
    return populations_of(frame, policy(), CHALLENGERS)[0]


def test_three_seeds_have_ten_multisets_with_their_chances() -> None:
    found = multisets(3, 0)
    chances = {tuple(t): c for t, c in zip(found.times.tolist(), found.chance, strict=True)}
    assert len(chances) == 10
    assert chances[3, 0, 0] == pytest.approx(1 / 27)
    assert chances[1, 0, 2] == pytest.approx(3 / 27)
    assert chances[1, 1, 1] == pytest.approx(6 / 27)


@pytest.mark.parametrize("seeds", [2, 3, 4])
def test_the_spread_over_multisets_is_the_unbiased_one_of_the_mean(seeds: int) -> None:
    values = np.random.default_rng(seeds).normal(size=seeds)
    found = multisets(seeds, 0)
    means = found.times @ values / seeds
    variance = found.chance @ (means - values.mean()) ** 2 * seeds / (seeds - 1)
    assert variance == pytest.approx(values.var(ddof=1) / seeds)


def test_of_many_seeds_so_many_multisets_are_drawn_as_time_allows() -> None:
    found = multisets(8, 0)
    assert found.times.shape == (MOST_MULTISETS, 8)
    assert (found.times.sum(axis=1) == 8).all()
    assert found.chance.sum() == pytest.approx(1.0)


def test_each_seed_once_is_the_ensemble_itself() -> None:
    population = holdout(noisy(3))
    assert population.seeds is not None
    score = ensemble_score(population.seeds, np.array([1, 1, 1]))
    np.testing.assert_allclose(score, population.score, rtol=1e-12)


def test_hand_computed_offsets_of_two_seeds() -> None:
    # Two events: the first seed finds one of them, the second both, together they find both.
    frame = simulated(subjects=4).with_columns(
        label=pl.Series([1.0, 1.0, 0.0, 0.0]),
        weight=pl.Series([1.0] * 4),
        split=pl.Series(["test"] * 4),
    )
    low, high = np.log(0.1 / 0.9), np.log(0.6 / 0.4)
    frame = with_seeds(frame, np.array([low, high, low, low]), np.array([high, high, low, low]))
    config = policy(bootstrap_draws=400, threshold=0.2)
    population = holdout(frame)
    offsets = seed_offsets(population, [np.arange(4)], config)[:, 0, TPR]
    # TPR .5, 1, 1 with chances 1/4, 1/2, 1/4: mean .875; times sqrt(2).
    low_one, high_one = np.sqrt(2) * (0.5 - 0.875), np.sqrt(2) * (1.0 - 0.875)
    assert np.unique(offsets.round(12)).tolist() == pytest.approx([low_one, high_one])
    assert (offsets < 0).mean() == pytest.approx(0.25, abs=0.07)


def test_the_offsets_of_a_group_are_those_that_a_loop_over_draws_gives() -> None:
    population = holdout(noisy(3))
    rows = np.flatnonzero((population.attributes["sex"] == "male").to_numpy())
    config = policy()
    offsets = seed_offsets(population, [rows, rows[::-1].copy(), None], config)
    assert offsets.shape == (config.bootstrap_draws, 3, len(METRIC_NAMES))
    # The order of a part's rows does not matter, and a challenger has no seed of the network.
    np.testing.assert_allclose(offsets[:, 0], offsets[:, 1], atol=1e-9)
    assert not offsets[:, 2].any()
    assert population.seeds is not None
    logits = np.log(population.seeds / (1 - population.seeds))
    y, weight = population.y[rows], population.weight[rows]
    pairs = np.outer(weight * y, weight * (1 - y))

    def area(*seeds: int) -> float:
        score = logits[list(seeds)].mean(axis=0)[rows]
        won = score[:, None] > score[None, :]
        return float((pairs * won).sum() / pairs.sum())

    single = [area(i, i, i) for i in range(3)]
    all_of_them = [area(i, j, k) for i in range(3) for j in range(3) for k in range(3)]
    expected = np.sqrt(1.5) * (np.array(single) - np.mean(all_of_them))
    for one in expected:
        assert np.abs(offsets[:, 0, AUROC] - one).min() < 1e-9


def test_without_scores_by_seed_nothing_is_added() -> None:
    for frame in (simulated(subjects=300), noisy(1)):
        population = holdout(frame)
        assert population.seeds is None
        assert not seed_offsets(population, [np.arange(5)], policy()).any()


def test_cross_fitted_scores_have_no_seeds_to_draw() -> None:
    held_out, cross_fitted = populations_of(noisy(3), policy(), CHALLENGERS)
    assert held_out.seeds is not None
    assert cross_fitted.seeds is None


def test_a_seed_whose_score_is_no_probability_is_refused() -> None:
    frame = noisy(2).with_columns(score_seed_1=pl.lit(1.5))
    with pytest.raises(UnauditableTable, match="score_seed_1"):
        holdout(frame)


def test_seeds_that_do_not_make_the_ensemble_are_refused() -> None:
    frame = noisy(2).with_columns(score_seed_1=pl.col("score_seed_0"))
    with pytest.raises(UnauditableTable, match="do not make its score"):
        holdout(frame)

"""Weights of a draw are those that the draw's own Kaplan-Meier curve gives."""

import math

import numpy as np
import polars as pl
import pytest

from pipelines.ehr.outcomes import censoring_weights
from tests.validation.audit_examples import CHALLENGERS, policy, simulated
from validation.censoring import NO_FOLLOW_UP, NOBODY_CENSORED, OTHER_WEIGHTS, Censoring
from validation.intervals import draw_counts
from validation.populations import Population, populations_of
from validation.ranking import FloatArray

HORIZON = 20.0


def followed(*, seed: int = 0, subjects: int = 240, lost: float = 0.4) -> pl.DataFrame:
    """Predictions of subjects some of whom are lost; whole clusters of 2 lie in one split."""
    rng = np.random.default_rng(seed)
    frame = simulated(seed=seed, subjects=subjects)
    event = rng.integers(1, 41, subjects).astype(np.float64)
    loss = np.where(rng.random(subjects) < lost, rng.integers(1, 20, subjects), 99.0)
    seen = np.minimum(event, HORIZON)
    censored = loss < seen
    days = np.where(censored, loss, seen)
    split = np.repeat(rng.choice(["train", "test"], subjects // 2), 2)
    weight = censoring_weights(days, censored, split == "train")
    return frame.with_columns(
        cluster=pl.Series(np.arange(subjects) // 2),
        split=pl.Series(split),
        followed_days=pl.Series(days),
        label=pl.Series(np.where(censored, np.nan, event <= HORIZON)).fill_nan(None),
        weight=pl.Series(weight),
    )


def populations(frame: pl.DataFrame) -> list[Population]:
    return populations_of(frame, policy(), CHALLENGERS)


def kaplan_meier_before(days: float, subjects: list[tuple[float, bool]]) -> float:
    """G(days-) of (days followed, lost), one subject at a time; an outcome leaves first."""
    staying = 1.0
    for moment in sorted({when for when, lost in subjects if lost and when < days}):
        lost_now = sum(lost and when == moment for when, lost in subjects)
        at_risk = sum(when > moment or (lost and when == moment) for when, lost in subjects)
        staying *= 1 - lost_now / at_risk
    return staying


def naive_weights(frame: pl.DataFrame, population: Population, counts: FloatArray) -> FloatArray:
    """Every training subject written down as often as its cluster was drawn."""
    times = dict(zip(population.clusters.tolist(), counts.tolist(), strict=True))
    train = frame.filter(pl.col("split") == "train")
    subjects = [
        (row["followed_days"], row["label"] is None)
        for row in train.iter_rows(named=True)
        for _ in range(round(times[row["cluster"]]))
    ]
    return np.array(
        [
            0.0
            if row["label"] is None
            else count / kaplan_meier_before(row["followed_days"], subjects)
            for row, count in zip(frame.iter_rows(named=True), counts, strict=True)
        ]
    )


def test_a_draw_of_everybody_weighs_by_the_curve_of_its_own_training_subjects() -> None:
    frame = followed()
    everybody = populations(frame)[1]
    counts = next(draw_counts(everybody.clusters, draws=8, seed=3))
    expected = [naive_weights(frame, everybody, one) for one in counts]
    np.testing.assert_allclose(everybody.weights_of(counts), expected, rtol=1e-12)


def of_four() -> pl.DataFrame:
    """Four training subjects: lost on day 1, lost on day 2, outcome on day 3, followed to day 4.

    Four of the test split are alike.
    """
    return followed(subjects=8).with_columns(
        split=pl.Series(["train"] * 4 + ["test"] * 4),
        cluster=pl.Series(range(8)),
        followed_days=pl.Series([1.0, 2.0, 3.0, 4.0] * 2),
        label=pl.Series([None, None, 1.0, 0.0] * 2),
        weight=pl.Series([0.0, 0.0, 2.0, 2.0] * 2),
    )


def test_hand_computed_weights_of_a_draw() -> None:
    frame = of_four()
    everybody = populations(frame)[1]
    # Drawn: the lost of day 1 twice, of day 2 once, the outcome once, the last one not at all.
    # G(3-) = (1 - 2/4)(1 - 1/2) = 1/4.
    weights = everybody.weights_of(np.array([[2.0, 1, 1, 0, 1, 1, 1, 1]]))
    assert weights.tolist() == [[0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 4.0, 4.0]]


def test_without_a_draw_the_training_subjects_stay_as_they_are() -> None:
    frame = followed()
    holdout, everybody = populations(frame)
    for population in (holdout, everybody):
        np.testing.assert_allclose(
            population.weights_of(np.ones((2, len(population.y))))[1], population.weight, rtol=1e-6
        )
    # A jackknife of the holdout leaves the training subjects as they are.
    left_out = (holdout.clusters != holdout.clusters[0]).astype(np.float64)
    np.testing.assert_allclose(
        holdout.weights_of(left_out[None])[0], holdout.weight * left_out, rtol=1e-6
    )


def test_the_holdout_draws_training_subjects_of_its_own() -> None:
    holdout = populations(followed())[0]
    counts = next(draw_counts(holdout.clusters, draws=50, seed=3))
    weights = holdout.weights_of(counts)
    ratio = weights[:, holdout.weight > 0] / np.maximum(counts, 1)[:, holdout.weight > 0]
    spread = ratio[counts[:, holdout.weight > 0] > 0]
    assert (weights[counts == 0] == 0).all()
    assert np.unique(spread.round(12)).size > 200  # another curve in each draw
    assert np.array_equal(holdout.weights_of(counts[7:9]), weights[7:9])


def test_a_draw_in_which_nobody_stayed_gives_no_weight() -> None:
    frame = of_four()
    weights = populations(frame)[1].weights_of(np.array([[2.0, 2, 0, 0, 1, 1, 1, 1]]))[0]
    assert [math.isnan(one) for one in weights] == [False] * 6 + [True, True]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (followed().drop("followed_days"), NO_FOLLOW_UP),
        (followed(lost=0.0), NOBODY_CENSORED),
        (followed().with_columns(pl.col("weight") * 1.001), OTHER_WEIGHTS),
        (followed().with_columns(pl.col("weight").clip(0, 1.2)), OTHER_WEIGHTS),
    ],
    ids=["no follow-up", "nobody lost", "other weights", "cut weights"],
)
def test_weights_that_cannot_be_made_again_are_taken_as_they_are(
    frame: pl.DataFrame, reason: str
) -> None:
    for population in populations(frame):
        assert population.fixed_because == reason
        counts = next(draw_counts(population.clusters, draws=3, seed=0))
        np.testing.assert_array_equal(population.weights_of(counts), counts * population.weight)


def test_weights_that_can_be_made_again_say_no_reason() -> None:
    for population in populations(followed()):
        assert population.fixed_because is None
        assert isinstance(population.censoring, Censoring)

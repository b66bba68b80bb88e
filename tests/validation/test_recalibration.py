"""Calibration slope and intercept against scikit-learn and a scalar root search."""

import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.linear_model import LogisticRegression

from tests.validation.audit_examples import logistic
from validation.ranking import FloatArray
from validation.recalibration import (
    NODES_HOLD_TO_SLOPE,
    calibration_intercept,
    calibration_slope,
    logits,
)


def sample(
    seed: int, *, slope: float = 1.0, shift: float = 0.0, rows: int = 3000
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Scores whose true recalibration is shift + slope * logit(score)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(-1.5, 1.2, rows)
    y = (rng.random(rows) < logistic(shift + slope * x)).astype(np.float64)
    weight = np.where(rng.random(rows) < 0.2, 0.0, rng.uniform(0.5, 2.0, rows))
    return y, logistic(x), weight


def slope_by_scikit_learn(y: FloatArray, score: FloatArray, weight: FloatArray) -> float:
    x = np.log(score / (1.0 - score))[:, None]
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12)
    return float(model.fit(x, y, sample_weight=weight).coef_[0, 0])


@pytest.mark.parametrize("slope", [0.3, 1.0, 1.8, 2.5, 4.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_slope_is_that_of_a_weighted_logistic_regression(seed: int, slope: float) -> None:
    y, score, weight = sample(seed, slope=slope, shift=0.4)
    ours = calibration_slope(y, score, weight[None])[0]
    assert ours == pytest.approx(slope_by_scikit_learn(y, score, weight), abs=1e-6)


def test_slopes_on_both_sides_of_the_nodes_limit_were_tried() -> None:
    # Otherwise the exact solution for steep slopes above would never have run.
    assert 1.8 < NODES_HOLD_TO_SLOPE < 2.5


@pytest.mark.parametrize("shift", [-1.0, 0.0, 0.7])
def test_the_intercept_makes_predicted_and_observed_add_up(shift: float) -> None:
    y, score, weight = sample(1, shift=shift)
    x = np.log(score / (1.0 - score))
    root = brentq(lambda a: float(weight @ (logistic(a + x) - y)), -20.0, 20.0, xtol=1e-13)
    assert calibration_intercept(y, score, weight[None])[0] == pytest.approx(root, abs=1e-7)


def test_calibrated_scores_have_slope_one_and_intercept_zero() -> None:
    y, score, weight = sample(3, rows=200_000)
    assert calibration_slope(y, score, weight[None])[0] == pytest.approx(1.0, abs=0.03)
    assert calibration_intercept(y, score, weight[None])[0] == pytest.approx(0.0, abs=0.03)


def test_too_extreme_scores_have_a_slope_below_one() -> None:
    y, score, weight = sample(4, slope=0.5)
    assert calibration_slope(y, score, weight[None])[0] < 0.7


def test_every_draw_is_solved_as_if_it_were_alone() -> None:
    y, score, weight = sample(5)
    rng = np.random.default_rng(0)
    weights = weight * rng.integers(0, 3, (20, len(y)))
    together = calibration_slope(y, score, weights)
    alone = [calibration_slope(y, score, row[None])[0] for row in weights]
    np.testing.assert_allclose(together, alone, atol=1e-8)


def test_nodes_carry_the_weight_of_all_rows() -> None:
    _, score, weight = sample(6)
    spread = logits(score)
    assert len(spread.nodes) < 100 < len(score)
    at_nodes = weight @ spread.spread
    for power in range(4):
        assert at_nodes @ spread.nodes**power == pytest.approx(weight @ spread.x**power)


def test_constant_scores_have_an_intercept_and_no_slope() -> None:
    y = np.array([0.0, 0.0, 0.0, 1.0])
    score = np.full(4, 0.25)
    assert calibration_intercept(y, score, np.ones((1, 4)))[0] == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(calibration_slope(y, score, np.ones((1, 4)))[0])


def test_scores_that_separate_the_events_have_no_slope() -> None:
    y = np.repeat([0.0, 1.0], 50)
    score = np.concatenate([np.linspace(0.1, 0.4, 50), np.linspace(0.6, 0.9, 50)])
    assert np.isnan(calibration_slope(y, score, np.ones((1, 100)))[0])


def test_scores_of_exactly_zero_and_one_are_tolerated() -> None:
    y, score, weight = sample(7)
    score[:2] = [0.0, 1.0]
    assert np.isfinite(calibration_slope(y, score, weight[None])[0])
    assert np.isfinite(calibration_intercept(y, score, weight[None])[0])


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_draws_of_only_one_label_have_no_intercept_whatever_rounding_says(label: float) -> None:
    y, score, weight = sample(8, rows=200)
    # Many weightings, so that the sum over nodes errs on either side of the sum over rows.
    weights = np.where(y == label, weight, 0.0) * np.random.default_rng(0).random((500, 1))
    assert np.isnan(calibration_intercept(y, score, weights)).all()
    assert np.isnan(calibration_slope(y, score, weights)).all()


def test_a_few_scores_that_separate_the_events_backwards_have_no_slope() -> None:
    # Newton's steps run down a plateau here until every probability is exactly 0 or 1.
    y = np.array([0.0, 1.0, 1.0, 1.0, 1.0])
    score = np.array([1.0, 0.2, 0.8, 0.5, 0.4])
    weight = np.array([1.0, 1.0, 1.83, 1.59, 1.36])
    assert np.isnan(calibration_slope(y, score, weight[None])[0])

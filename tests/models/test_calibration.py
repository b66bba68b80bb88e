import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from models.calibration import IDENTITY, fit_calibration, logit, sigmoid


def drawn(seed: int, intercept: float, slope: float, size: int = 400) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(seed)
    x = random.normal(-2.0, 1.5, size)
    y = (random.random(size) < sigmoid(intercept + slope * x)).astype(float)
    return x, y, random.random(size) + 0.5


@pytest.mark.parametrize(("intercept", "slope"), [(0.0, 1.0), (1.0, 0.4), (-0.5, 2.0)])
@pytest.mark.parametrize("seed", range(4))
def test_recalibration_equals_scikit_learn(seed: int, intercept: float, slope: float) -> None:
    x, y, w = drawn(seed, intercept, slope)
    model = LogisticRegression(C=math.inf, tol=1e-10, max_iter=1000)
    model.fit(x[:, None], y, sample_weight=w)
    found = fit_calibration(x, y, w)
    assert found.fitted
    assert found.intercept == pytest.approx(model.intercept_[0], abs=1e-5)
    assert found.slope == pytest.approx(model.coef_[0, 0], abs=1e-5)


def test_the_calibrated_mean_is_the_weighted_share_of_positives() -> None:
    x, y, w = drawn(0, 1.0, 0.4)
    probability = fit_calibration(x, y, w)(x)
    assert np.average(probability, weights=w) == pytest.approx(np.average(y, weights=w), abs=1e-9)


def test_two_scores_by_hand() -> None:
    """With two different logits the fit meets both shares: 1/4 at -1 and 3/4 at +1."""
    x = np.array([-1.0, -1.0, 1.0, 1.0])
    y = np.array([1.0, 0.0, 1.0, 0.0])
    w = np.array([1.0, 3.0, 3.0, 1.0])
    found = fit_calibration(x, y, w)
    assert found.intercept == pytest.approx(0.0, abs=1e-9)
    assert found.slope == pytest.approx(math.log(3.0))


def test_censored_rows_do_not_count() -> None:
    x, y, w = drawn(1, 0.3, 0.8)
    longer = np.append(x, [50.0, -50.0]), np.append(y, [np.nan, 1.0]), np.append(w, [1.0, 0.0])
    assert fit_calibration(*longer) == fit_calibration(x, y, w)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        pytest.param([0.0, 1.0, 2.0], [0.0, 0.0, 0.0], id="one class"),
        pytest.param([0.5, 0.5, 0.5], [0.0, 1.0, 0.0], id="one score"),
        pytest.param([1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.0, 0.0], id="a slope below 0"),
        pytest.param([1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 1.0, 1.0], id="perfect separation"),
    ],
)
def test_scores_pass_unchanged_where_nothing_can_be_fitted(x: list[float], y: list[float]) -> None:
    found = fit_calibration(np.array(x), np.array(y), np.ones(len(x)))
    assert found == IDENTITY


@given(st.integers(0, 50), st.floats(-3, 3), st.floats(0.05, 5))
def test_calibration_never_changes_the_order(seed: int, intercept: float, slope: float) -> None:
    x, y, w = drawn(seed, intercept, slope, size=60)
    calibrated = fit_calibration(x, y, w)(np.sort(x))
    assert (np.diff(calibrated) >= 0).all()


def test_logit_undoes_sigmoid_and_stays_finite_at_the_ends() -> None:
    x = np.array([-12.0, -1.0, 0.0, 3.0])
    np.testing.assert_allclose(logit(sigmoid(x)), x, rtol=1e-9, atol=1e-12)
    assert logit(np.array([0.0, 1.0])).tolist() == [-30.0, 30.0]
    assert sigmoid(np.array([-800.0, 800.0])).tolist() == [0.0, 1.0]

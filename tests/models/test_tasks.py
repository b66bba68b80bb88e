import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import mean_pinball_loss

from models.tasks import Probability, Quantiles, Volatility, quantiles, task_of
from tests.models.generated_stores import LEVELS


def test_each_task_has_its_own_number_of_outputs() -> None:
    names = ("risk", "direction", "volatility")
    assert [task_of(name, ()).outputs for name in names] == [1, 1, 1]
    assert task_of("quantiles", LEVELS).outputs == 5


def test_a_probability_starts_at_the_weighted_share() -> None:
    label, weight = np.array([1.0, 0.0, 0.0]), np.array([2.0, 1.0, 5.0])
    raw = torch.tensor([Probability().start(label, np.ones(3), weight)])
    assert float(Probability().predict(raw, torch.ones(1))) == pytest.approx(0.25)


def test_a_volatility_starts_at_the_scale() -> None:
    task, scale = Volatility(), torch.tensor([0.2, 0.5])
    raw = torch.tensor([task.start(np.ones(3), np.ones(3), np.ones(3))] * 2)
    assert task.predict(raw, scale).tolist() == [[pytest.approx(0.2)], [pytest.approx(0.5)]]


@settings(deadline=None)
@given(arrays(np.float64, (4, 1), elements=st.floats(-20, 20)))
def test_a_volatility_is_positive(raw: np.ndarray) -> None:
    scale = torch.full((4,), 0.3, dtype=torch.float64)
    assert (Volatility().predict(torch.from_numpy(raw), scale) > 0).all()


def test_the_loss_of_a_volatility_by_hand() -> None:
    """f = .4 against y = .2 and the other way round: too low costs more than too high."""
    task, label = Volatility(), torch.tensor([0.2, 0.4])
    raw = torch.log(torch.tensor([[2.0], [1.0]]))
    log2 = math.log(2.0)
    over = log2**2 + 0.3 * (0.25 + 2 * log2 - 1.0)
    under = log2**2 + 0.3 * (4.0 - 2 * log2 - 1.0)
    found = task.losses(raw, label, torch.tensor([0.2, 0.2]))
    assert found.tolist() == [pytest.approx(over, rel=1e-5), pytest.approx(under, rel=1e-5)]


def test_the_loss_of_a_volatility_that_is_right_is_0() -> None:
    task, raw = Volatility(), torch.tensor([[0.3]])
    right = task.predict(raw, torch.tensor([0.2]))[:, 0]
    assert float(task.losses(raw, right, torch.tensor([0.2]))) == pytest.approx(0.0, abs=1e-10)


@settings(deadline=None)
@given(
    arrays(np.float64, (3, 5), elements=st.floats(-30, 30)),
    arrays(np.float64, 3, elements=st.floats(1e-3, 10)),
)
def test_quantiles_never_cross(raw: np.ndarray, scale: np.ndarray) -> None:
    found = Quantiles(LEVELS).predict(torch.from_numpy(raw), torch.from_numpy(scale))
    assert (found.diff(dim=1) >= 0).all()
    torch.testing.assert_close(found[:, 2], torch.from_numpy(raw[:, 2] * scale))


def test_quantiles_by_hand() -> None:
    """softplus(0) = log 2, so raw zeros around a median of 1 step by log 2 in scales of 10."""
    raw = torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]])
    step = 10.0 * math.log(2.0)
    expected = [10.0 - 2 * step, 10.0 - step, 10.0, 10.0 + step, 10.0 + 2 * step]
    found = Quantiles(LEVELS).predict(raw, torch.tensor([10.0]))[0].tolist()
    assert found == pytest.approx(expected, rel=1e-5)


def test_quantiles_start_at_those_of_the_training_labels() -> None:
    random, task = np.random.default_rng(0), Quantiles(LEVELS)
    label, scale = random.normal(size=4000), random.random(4000) + 0.5
    raw = torch.tensor([task.start(label, scale, np.ones(4000))])
    found = task.predict(raw, torch.ones(1))[0].numpy()
    np.testing.assert_allclose(found, np.quantile(label / scale, LEVELS), atol=0.01)


def test_equal_labels_give_a_start_that_is_finite() -> None:
    raw = Quantiles(LEVELS).start(np.zeros(9), np.ones(9), np.ones(9))
    assert np.isfinite(raw).all()


def test_the_loss_of_quantiles_is_scikit_learns_pinball_loss_averaged() -> None:
    random, task = np.random.default_rng(1), Quantiles(LEVELS)
    raw, label = random.normal(size=(40, 5)), random.normal(size=40)
    scale = random.random(40) + 0.5
    found = task.losses(*(torch.from_numpy(a) for a in (raw, label, scale)))
    predicted = task.predict(torch.from_numpy(raw), torch.ones(40, dtype=torch.float64)).numpy()
    expected = [
        mean_pinball_loss(label / scale, column, alpha=level)
        for column, level in zip(predicted.T, LEVELS, strict=True)
    ]
    assert float(found.mean()) == pytest.approx(np.mean(expected), rel=1e-6)


def test_a_weight_counts_as_so_many_rows() -> None:
    values, weight = np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 2.0])
    assert quantiles(values, (0.25, 0.5, 0.75), weight).tolist() == [1.0, 2.0, 3.0]

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from models.losses import example_weights, focal_factor, weighted_loss_sum, weighted_losses
from models.store import TASKS
from models.tasks import Probability, task_of
from tests.models.generated_stores import LEVELS


def bce_sum(logit: torch.Tensor, label: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    ones = torch.ones(len(label))
    return weighted_loss_sum(Probability(), logit.unsqueeze(1), label, ones, weights)


def test_the_loss_by_hand() -> None:
    logit = torch.tensor([0.0, math.log(3.0), 5.0])
    label = torch.tensor([1.0, 0.0, math.nan])
    weights = example_weights(label, torch.tensor([1.5, 2.0, 0.0]), positive_weight=4.0)
    assert weights.tolist() == [6.0, 2.0, 0.0]
    expected = 6.0 * math.log(2.0) + 2.0 * math.log(4.0)
    assert float(bce_sum(logit, label, weights)) == pytest.approx(expected, rel=1e-6)


def test_the_loss_equals_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    logit, label = random.normal(size=50), (random.random(50) < 0.3).astype(float)
    weight = random.random(50) + 0.5
    probability = 1 / (1 + np.exp(-logit))
    expected = log_loss(label, probability, sample_weight=weight, normalize=False)
    found = bce_sum(*(torch.tensor(a, dtype=torch.float32) for a in (logit, label, weight)))
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("raw", [math.nan, math.inf, -1e30, 1e30])
def test_an_unknown_label_adds_nothing_whatever_the_raw_answer(raw: float, name: str) -> None:
    task = task_of(name, LEVELS if name == "quantiles" else ())
    known = torch.full((1, task.outputs), 0.3, requires_grad=True)
    censored = torch.full((1, task.outputs), raw, requires_grad=True)
    label = torch.tensor([1.0, math.nan])
    weights = example_weights(label, torch.tensor([1.0, 0.0]), positive_weight=1.0)
    scale = torch.tensor([0.5, math.inf])
    loss = weighted_loss_sum(task, torch.cat([known, censored]), label, scale, weights)
    torch.autograd.backward(loss)
    alone = task.losses(known.detach(), torch.ones(1), torch.tensor([0.5]))
    assert float(loss.detach()) == pytest.approx(float(alone), rel=1e-6)
    assert censored.grad is not None
    assert (censored.grad == 0.0).all()
    assert known.grad is not None
    assert known.grad.abs().sum() > 0.0


def test_a_label_that_should_not_be_known_does_not_count_either() -> None:
    weights = example_weights(torch.tensor([1.0]), torch.tensor([0.0]), positive_weight=9.0)
    assert weights.tolist() == [0.0]


def focal(logit: list[float], label: list[float], gamma: float) -> torch.Tensor:
    raw, told = torch.tensor(logit).unsqueeze(1), torch.tensor(label)
    ones = torch.ones(len(label))
    return weighted_losses(Probability(), raw, told, ones, ones, gamma)


def test_the_focal_loss_by_hand() -> None:
    """Of a positive given 3/4 and a negative given 3/4: p of what came true is 3/4 and 1/4."""
    logit, label = [math.log(3.0), math.log(3.0)], [1.0, 0.0]
    expected = [0.25**2 * -math.log(0.75), 0.75**2 * -math.log(0.25)]
    assert focal(logit, label, 2.0).tolist() == pytest.approx(expected, rel=1e-6)
    half = [0.25**0.5 * -math.log(0.75), 0.75**0.5 * -math.log(0.25)]
    assert focal(logit, label, 0.5).tolist() == pytest.approx(half, rel=1e-6)


def test_a_focal_loss_of_gamma_0_is_the_plain_one() -> None:
    logit, label = [0.3, -2.0, 5.0], [1.0, 1.0, 0.0]
    assert focal(logit, label, 0.0).tolist() == bce_each(logit, label)
    factor = focal_factor(torch.tensor(logit), torch.tensor(label), 0.0)
    assert factor.tolist() == [1.0, 1.0, 1.0]


def bce_each(logit: list[float], label: list[float]) -> list[float]:
    return [
        float(bce_sum(torch.tensor([x]), torch.tensor([y]), torch.ones(1)))
        for x, y in zip(logit, label, strict=True)
    ]


@pytest.mark.parametrize("logit", [-1e4, -100.0, 0.0, 100.0, 1e4])
@pytest.mark.parametrize("label", [0.0, 1.0, math.nan])
@pytest.mark.parametrize("gamma", [0.3, 1.0, 5.0])
def test_a_focal_loss_and_its_gradient_are_finite_far_out(
    logit: float, label: float, gamma: float
) -> None:
    raw = torch.tensor([[logit]], requires_grad=True)
    told = torch.tensor([label])
    weights = example_weights(told, torch.ones(1), 1.0)
    loss = weighted_losses(Probability(), raw, told, torch.ones(1), weights, gamma).sum()
    torch.autograd.backward(loss)
    assert raw.grad is not None
    assert loss.isfinite()
    assert raw.grad.isfinite().all()
    if math.isnan(label):
        assert raw.grad.item() == 0.0

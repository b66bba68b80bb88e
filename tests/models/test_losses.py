import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from models.losses import example_weights, weighted_loss_sum
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

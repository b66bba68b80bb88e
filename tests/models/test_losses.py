import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from models.losses import example_weights, weighted_bce_sum


def test_the_loss_by_hand() -> None:
    logit = torch.tensor([0.0, math.log(3.0), 5.0])
    label = torch.tensor([1.0, 0.0, math.nan])
    weights = example_weights(label, torch.tensor([1.5, 2.0, 0.0]), positive_weight=4.0)
    assert weights.tolist() == [6.0, 2.0, 0.0]
    expected = 6.0 * math.log(2.0) + 2.0 * math.log(4.0)
    assert float(weighted_bce_sum(logit, label, weights)) == pytest.approx(expected, rel=1e-6)


def test_the_loss_equals_that_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    logit, label = random.normal(size=50), (random.random(50) < 0.3).astype(float)
    weight = random.random(50) + 0.5
    probability = 1 / (1 + np.exp(-logit))
    expected = log_loss(label, probability, sample_weight=weight, normalize=False)
    found = weighted_bce_sum(
        torch.tensor(logit, dtype=torch.float32),
        torch.tensor(label, dtype=torch.float32),
        torch.tensor(weight, dtype=torch.float32),
    )
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("logit", [math.nan, math.inf, 1e30])
def test_a_censored_example_adds_nothing_whatever_its_logit(logit: float) -> None:
    known = torch.tensor([0.3], requires_grad=True)
    censored = torch.tensor([logit], requires_grad=True)
    label = torch.tensor([1.0, math.nan])
    weights = example_weights(label, torch.tensor([1.0, 0.0]), positive_weight=1.0)
    loss = weighted_bce_sum(torch.cat([known, censored]), label, weights)
    torch.autograd.backward(loss)
    assert float(loss.detach()) == pytest.approx(math.log1p(math.exp(-0.3)), rel=1e-6)
    assert censored.grad is not None
    assert censored.grad.tolist() == [0.0]


def test_a_label_that_should_not_be_known_does_not_count_either() -> None:
    weights = example_weights(torch.tensor([1.0]), torch.tensor([0.0]), positive_weight=9.0)
    assert weights.tolist() == [0.0]

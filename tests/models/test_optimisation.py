"""What becomes of a gradient and of the learning rate, by hand."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from models.config import ModelConfig
from models.optimisation import add_penalty, clip, learning_rate, optimizer_of


def line(weight: list[float], gradient: list[float], bias_gradient: float = 0.0) -> nn.Linear:
    """One linear answer with these weights and gradients; the bias is 10."""
    made = nn.Linear(len(weight), 1)
    with torch.no_grad():
        made.weight.copy_(torch.tensor([weight]))
        made.bias.fill_(10.0)
    made.weight.grad = torch.tensor([gradient])
    made.bias.grad = torch.tensor([bias_gradient])
    return made


def gradient_of(network: nn.Linear) -> list[float]:
    assert network.weight.grad is not None
    assert network.bias.grad is not None
    return [*network.weight.grad[0].tolist(), *network.bias.grad.tolist()]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"schedule": "cosine"}, [1.0, 0.868198, 0.55, 0.231802]),
        ({"schedule": "constant"}, [1.0, 1.0, 1.0, 1.0]),
        ({"schedule": "constant", "warmup_epochs": 3}, [0.1, 0.4, 0.7, 1.0]),
        ({"schedule": "cosine", "warmup_epochs": 2}, [0.1, 0.55, 1.0, 0.55]),
    ],
)
def test_the_learning_rate_of_four_epochs_by_hand(
    settings: dict[str, object], expected: list[float]
) -> None:
    given = {"learning_rate": 1.0, "max_epochs": 4, **settings}
    config = ModelConfig.model_validate(given)
    rates = [learning_rate(config, epoch) for epoch in range(1, 5)]
    assert rates == pytest.approx(expected, abs=1e-6)


def test_a_warm_up_that_never_ends_is_refused() -> None:
    with pytest.raises(ValidationError, match="warmup_epochs must be fewer"):
        ModelConfig(warmup_epochs=4, max_epochs=4)


def test_the_penalty_is_the_gradient_of_the_squared_matrices_and_of_no_bias() -> None:
    network = line([3.0, -4.0], [1.0, 1.0], 1.0)
    add_penalty(network, 0.5)
    assert gradient_of(network) == [1.0 + 3.0, 1.0 - 4.0, 1.0]
    torch.autograd.backward(0.5 * network.weight.square().sum())
    assert gradient_of(network)[:2] == [4.0 + 3.0, -3.0 - 4.0]  # as autograd has it


def test_numbers_are_cut_before_the_whole_is_shortened() -> None:
    """8 and 3 are cut to 4 and 3, whose length 5 is shortened to 1."""
    network = line([0.0, 0.0], [8.0, 3.0])
    assert clip(network, ModelConfig(clip_value=4.0, clip_norm=1.0))
    assert gradient_of(network) == pytest.approx([0.8, 0.6, 0.0], abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "clipped"),
    [
        ({"clip_norm": 100.0}, False),
        ({"clip_norm": 100.0, "clip_value": 8.0}, False),
        ({"clip_norm": 100.0, "clip_value": 7.9}, True),
        ({"clip_norm": 8.5}, True),
    ],
)
def test_it_is_told_whether_anything_was_clipped(settings: dict[str, float], clipped: bool) -> None:
    network = line([0.0, 0.0], [8.0, 3.0])
    assert clip(network, ModelConfig.model_validate(settings)) is clipped
    if not clipped:
        assert gradient_of(network) == [8.0, 3.0, 0.0]


def test_decay_is_of_the_weights_alone_and_apart_from_the_gradient() -> None:
    """Without a gradient AdamW shrinks matrices by rate x decay; a penalty without one does too,
    but through the gradient: by the whole rate, whatever its size."""
    network = line([2.0, -2.0], [0.0, 0.0])
    optimizer_of(network, ModelConfig(learning_rate=0.1, weight_decay=0.5)).step()
    assert network.weight[0].tolist() == pytest.approx([2.0 * 0.95, -2.0 * 0.95])
    assert network.bias.item() == 10.0
    network = line([2.0, -2.0], [0.0, 0.0])
    add_penalty(network, 1e-3)
    optimizer_of(network, ModelConfig(learning_rate=0.1, weight_decay=0.0)).step()
    assert network.weight[0].tolist() == pytest.approx([1.9, -1.9], abs=1e-4)
    assert math.isclose(network.bias.item(), 10.0)

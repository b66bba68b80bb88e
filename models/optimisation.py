"""From gradients to a step: who decays, how fast, and what becomes of a gradient on its way."""

import math

import torch
from torch import Tensor, nn

from models.config import ModelConfig

LOWEST_RATE = 0.1


def optimizer_of(network: nn.Module, config: ModelConfig) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019) whose decoupled decay is of matrices only."""
    biases = [parameter for parameter in network.parameters() if parameter.ndim < 2]
    groups = [
        {"params": matrices(network), "weight_decay": config.weight_decay},
        {"params": biases, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


def matrices(network: nn.Module) -> list[nn.Parameter]:
    """The parameters that decay and are penalised; a bias or a gain is no size of a function."""
    return [parameter for parameter in network.parameters() if parameter.ndim > 1]


def learning_rate(config: ModelConfig, epoch: int) -> float:
    """The rate of an epoch, counted from 1.

    In the warm-up it rises evenly from a tenth. Then it stays, or falls along half a cosine to a
    tenth, which the epoch after the last would reach.
    """
    done = epoch - 1
    if done < config.warmup_epochs:
        share = done / config.warmup_epochs
    elif config.schedule == "constant":
        return config.learning_rate
    else:
        past = (done - config.warmup_epochs) / (config.max_epochs - config.warmup_epochs)
        share = 0.5 * (1.0 + math.cos(math.pi * past))
    return config.learning_rate * (LOWEST_RATE + (1.0 - LOWEST_RATE) * share)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


@torch.no_grad()
def add_penalty(network: nn.Module, l2_penalty: float) -> None:
    """Add to the gradients those of `l2_penalty` x the sum of the squared matrices.

    The coupled kin of the decay: it is clipped and rescaled like the rest of the gradient.
    """
    if l2_penalty == 0.0:
        return
    for parameter in matrices(network):
        if parameter.grad is not None:
            parameter.grad.add_(parameter, alpha=2.0 * l2_penalty)


def clip(network: nn.Module, config: ModelConfig) -> bool:
    """Cut each number of the gradients, then shorten them all together; whether anything was."""
    cut = False
    if config.clip_value is not None:
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        cut = _largest(gradients) > config.clip_value
        nn.utils.clip_grad_value_(network.parameters(), config.clip_value)
    norm = nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
    return cut or bool(norm > config.clip_norm)


def _largest(tensors: list[Tensor]) -> float:
    return max(float(tensor.abs().max()) for tensor in tensors)

"""From gradients to a step: who decays, how fast, and what becomes of a gradient on its way."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.batches import Rows
from models.config import ModelConfig
from models.distributed import add_up_gradients, leads
from models.progress import Heartbeat

LOWEST_RATE = 0.1

# Adds the gradient of factor x the loss of the examples [B].
Learn = Callable[[Rows, float], None]


def take_steps(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    plan: list[Rows],
    config: ModelConfig,
    learn: Learn,
    everything: float,
    name: str,
) -> float:
    """One pass over `plan`; the share of the steps whose gradient was clipped.

    Args:
        learn: from a batch, or from this process's share of it.
        everything: what the examples of the plan weigh. Each batch's gradient is of a sum: an
            example weighs the same whatever its company.
        name: of what is learned, for the lines within a long pass.
    """
    together = config.accumulate_batches
    groups = [plan[start : start + together] for start in range(0, len(plan), together)]
    clipped, heartbeat = 0, Heartbeat(name, speaks=leads())
    for number, group in enumerate(groups):
        optimizer.zero_grad()
        for chosen in group:
            learn(chosen, len(groups) / everything)
        add_up_gradients(network)
        add_penalty(network, config.l2_penalty)
        clipped += int(clip(network, config))
        optimizer.step()
        heartbeat.beat(number + 1, len(groups))
    return clipped / len(groups)


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

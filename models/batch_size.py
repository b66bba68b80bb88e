"""Batches that do not fit into memory are halved, and as many more of them make one step."""

import torch

from models.batches import Rows
from models.config import ModelConfig
from models.parts import TrainingImpossible


def halved(config: ModelConfig, times: int) -> ModelConfig:
    """The settings with batches halved so often.

    Twice the halves make one step of the optimiser and are drawn from the same window, so that
    what is learned hardly depends on how much memory there was.
    """
    smaller = {
        "tokens_per_batch": max(1, config.tokens_per_batch >> times),
        "accumulate_batches": config.accumulate_batches << times,
        "window_batches": config.window_batches << times,
    }
    return config.model_copy(update=smaller)


def halve_batches(halvings: int, plan: list[Rows], name: str) -> int:
    """One more halving, after `plan` did not fit.

    Raises:
        TrainingImpossible: no batch of the plan holds more than one example.
    """
    if max(len(chosen) for chosen in plan) == 1:
        raise TrainingImpossible(
            f"{name}: one example alone does not fit into memory; "
            "lower max_steps or hidden_size, or set truncate_steps"
        )
    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # pieces of the larger size would not serve the smaller one
    return halvings + 1

"""LIME (Ribeiro et al. 2016) over parts of the history: a line fitted near the subject."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from captum._utils.models.linear_model import SkLearnRidge
from captum.attr import LimeBase
from torch import Tensor

from models.batches import Batch
from models.explanations.attribution import Attribution
from models.explanations.explained import Explained
from models.explanations.players import (
    COALITIONS_AT_A_TIME,
    SEGMENTS,
    Players,
    one_by_one,
    together,
)

SAMPLES = 256
RIDGE = 1e-2
KERNEL_WIDTH = 0.75  # of the share of players that are gone; the paper's width for text


def lime(
    explained: Explained,
    batch: Batch,
    segments: int = SEGMENTS,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Attribution:
    """The slopes of the line; a line near the subject need not meet the reference."""
    single = []
    for one in one_by_one(batch):
        players = Players.of_segments(explained, one, segments)
        single.append(players.attribution(_slopes(players, samples, seed)))
    return together(single)


def _slopes(players: Players, samples: int, seed: int) -> Tensor:
    """[P] of the weighted ridge regression."""
    if not len(players):
        return torch.zeros(0)
    drawn = np.random.default_rng([seed, len(players)]).random((samples, len(players))) < 0.5
    drawn[0] = True  # the subject as it is
    method = LimeBase(
        players.value,
        SkLearnRidge(alpha=RIDGE),
        similarity_func=_nearness,
        perturb_func=_each_of,
        perturb_interpretable_space=True,
        from_interp_rep_transform=lambda there, *_, **__: there,
        to_interp_rep_transform=None,
    )
    slopes: Tensor = method.attribute(
        torch.ones(1, len(players), device=players.member.device),
        n_samples=samples,
        perturbations_per_eval=COALITIONS_AT_A_TIME,
        drawn=torch.from_numpy(drawn).to(players.member.device, torch.float32),
    )
    return slopes.flatten()


def _each_of(original: Tensor, drawn: Tensor, **_: Any) -> Iterator[Tensor]:
    for there in drawn:
        yield there.unsqueeze(0)


def _nearness(original: Tensor, there: Tensor, *_: Tensor, **__: Any) -> Tensor:
    """exp(-distance^2 / width^2), of the share of players that are gone."""
    return torch.exp(-((1.0 - there.mean()) ** 2) / KERNEL_WIDTH**2)

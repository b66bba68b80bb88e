"""Kernel SHAP (Lundberg & Lee 2017): Shapley values of channels in parts of the history.

Captum's draws from torch's global generator and fits the two ends by a weight of a million; here
the draws are seeded, and the sum is exact because it is a constraint. With few players every
coalition is taken and the values are the Shapley values themselves.
"""

import math

import numpy as np
import numpy.typing as npt
import torch

from models.batches import Batch
from models.explanations.attribution import Attribution
from models.explanations.explained import Explained
from models.explanations.players import SEGMENTS, Players, one_by_one, together

COALITIONS = 512

Floats = npt.NDArray[np.float64]


def kernel_shap(
    explained: Explained,
    batch: Batch,
    segments: int = SEGMENTS,
    coalitions: int = COALITIONS,
    seed: int = 0,
) -> Attribution:
    """Contributions that add up to answer - reference, exactly.

    Args:
        segments: parts of the history; a channel in one of them is a player.
        coalitions: drawn where there are more than these; each comes with its complement.
    """
    single = []
    for one in one_by_one(batch):
        players = Players.of_channels(explained, one, segments)
        single.append(
            players.attribution(torch.from_numpy(shapley_values(players, coalitions, seed)))
        )
    return together(single)


def shapley_values(players: Players, coalitions: int, seed: int = 0) -> Floats:
    """[P] the values of weighted least squares under the constraint that they add up."""
    count = len(players)
    drawn, weight = _coalitions(count, coalitions, seed)
    ends = np.stack([np.zeros(count, np.bool_), np.ones(count, np.bool_)])
    worth = players.value(torch.from_numpy(np.concatenate([ends, drawn]))).cpu().numpy()
    return _fit(drawn.astype(np.float64), weight, worth[2:] - worth[0], float(worth[1] - worth[0]))


def _fit(members: Floats, weight: Floats, worth: Floats, total: float) -> Floats:
    """Lundberg & Lee's regression with the last player's value put in as total - the others'."""
    if members.shape[1] < 2:
        return np.full(members.shape[1], total)
    last = members[:, -1:]
    root = np.sqrt(weight)[:, None]
    design, target = (members[:, :-1] - last) * root, (worth[:, None] - last * total) * root
    others = np.linalg.lstsq(design, target, rcond=None)[0][:, 0]
    return np.append(others, total - others.sum())


def _coalitions(players: int, most: int, seed: int) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Coalitions [N, P], neither empty nor full, and their weights [N]."""
    if players < 2:
        return np.empty((0, players), np.bool_), np.empty(0)
    sizes = np.arange(1, players)
    of_size = (players - 1) / (sizes * (players - sizes))  # the kernel of all of a size together
    if 2**players - 2 <= most:
        number = np.arange(1, 2**players - 1)
        every = (number[:, None] >> np.arange(players) & 1).astype(np.bool_)
        of_one = of_size / [math.comb(players, size) for size in sizes.tolist()]
        return every, of_one[every.sum(axis=1) - 1]
    random = np.random.default_rng([seed, players])
    size = random.choice(sizes, most // 2, p=of_size / of_size.sum())
    rank = random.random((most // 2, players)).argsort(axis=1).argsort(axis=1)
    drawn = rank < size[:, None]
    # With its complement each coalition's error in one direction meets one in the other.
    return np.concatenate([drawn, ~drawn]), np.ones(2 * (most // 2))

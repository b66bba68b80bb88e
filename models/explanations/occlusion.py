"""Occlusion (Zeiler & Fergus 2014): how the answer changes if one observation had not been made."""

import torch
from captum.attr import FeatureAblation

from models.batches import Batch
from models.explanations.attribution import Attribution
from models.explanations.explained import Explained
from models.explanations.players import COALITIONS_AT_A_TIME, Players, one_by_one, together


def occlusion(explained: Explained, batch: Batch) -> Attribution:
    """answer(all) - answer(all but one), one observation or static feature at a time.

    The differences do not add up: two observations that say the same are worth little each.
    """
    return together([_of_one(Players.of_observations(explained, one)) for one in one_by_one(batch)])


def _of_one(players: Players) -> Attribution:
    everybody = torch.ones(1, len(players), dtype=torch.float64, device=players.member.device)
    if not len(players):
        return players.attribution(everybody[0])
    lost = FeatureAblation(players.value).attribute(
        everybody, baselines=0.0, perturbations_per_eval=COALITIONS_AT_A_TIME
    )
    return players.attribution(lost[0])

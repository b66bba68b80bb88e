"""The three observations or static features that moved a subject's answer most."""

from dataclasses import dataclass

import torch

from models.batches import Batch
from models.explanations.attribution import Attribution
from models.explanations.explained import ExplanationImpossible

MOST_REASONS = 3


@dataclass(frozen=True)
class Reason:
    """One of a subject's reasons.

    Attributes:
        rank: 1 for the one that weighs most.
        channel: the channel's code, or the static feature's name.
        days_before: from the observation to the index time; None for a static feature.
        contribution: in units of the raw answer; above 0 it raised the answer.
    """

    rank: int
    channel: str
    days_before: float | None
    contribution: float


def reasons_of(
    found: Attribution, batch: Batch, channels: tuple[str, ...], statics: tuple[str, ...]
) -> list[list[Reason]]:
    """For each of B subjects up to three reasons, the largest contribution either way first.

    What contributed nothing is no reason. Of equal ones the earlier in the history comes first.
    """
    players = found.players().cpu()
    most = min(MOST_REASONS, players.shape[1])
    top = players.abs().argsort(dim=1, descending=True, stable=True)[:, :most]
    days = (-batch.step_days).cpu()
    answers = []
    for row, (order, size) in enumerate(zip(top, players.gather(1, top), strict=True)):
        reasons = []
        for rank, (player, contribution) in enumerate(
            zip(order.tolist(), size.tolist(), strict=True), start=1
        ):
            if contribution == 0.0:
                break
            step, channel = divmod(player, len(channels))
            if step < days.shape[1]:
                when = max(0.0, float(days[row, step]))
                reasons.append(Reason(rank, channels[channel], when, contribution))
            else:
                name = statics[player - days.shape[1] * len(channels)]
                reasons.append(Reason(rank, name, None, contribution))
        answers.append(reasons)
    return answers


def require_finite(found: Attribution) -> None:
    """Raises ExplanationImpossible where a contribution is no number: it explains nothing."""
    if not torch.isfinite(found.players()).all():
        raise ExplanationImpossible("a contribution is not finite")

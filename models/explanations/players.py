"""Who takes part: groups of a subject's observations, and its static features, there or not there.

A channel's observations of one part of the history are one player, so that players stay few
however many observations there are. What a player is given is shared out evenly among them.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from models.batches import Batch
from models.explanations.attribution import Attribution
from models.explanations.explained import Explained, observed_players, repeated

SEGMENTS = 4
COALITIONS_AT_A_TIME = 512


@dataclass(frozen=True)
class Players:
    """The P players of one subject.

    Attributes:
        batch: of that subject alone.
        member: [P, T * C + F] bool: the observations and static features that each stands for;
            every one belongs to exactly one player, and no player is empty.
    """

    explained: Explained
    batch: Batch
    member: Tensor

    @classmethod
    def of_observations(cls, explained: Explained, batch: Batch) -> Self:
        """Every observation for itself."""
        there = observed_players(batch)[0]
        return cls(explained, batch, torch.diag(there)[there])

    @classmethod
    def of_channels(cls, explained: Explained, batch: Batch, segments: int = SEGMENTS) -> Self:
        """Each channel in each of `segments` parts of the history, equal in time steps."""
        channels = batch.value.shape[2]
        part = _segment(batch, segments).unsqueeze(1)  # [T, 1]
        return cls._grouped(
            explained, batch, part * channels + torch.arange(channels, device=part.device)
        )

    @classmethod
    def of_segments(cls, explained: Explained, batch: Batch, segments: int = SEGMENTS) -> Self:
        """All channels together, in each of `segments` parts of the history."""
        part = _segment(batch, segments).unsqueeze(1)
        return cls._grouped(explained, batch, part.expand(batch.value.shape[1:]))

    @classmethod
    def _grouped(cls, explained: Explained, batch: Batch, group: Tensor) -> Self:
        """group: [T, C] the number of each observation's player."""
        there = observed_players(batch)[0]
        alone = int(group.max()) + 1 + torch.arange(batch.statics.shape[1], device=group.device)
        number = torch.cat([group.flatten(), alone])  # [T * C + F]
        names = torch.unique(number[there])
        return cls(explained, batch, (number == names.unsqueeze(1)) & there)

    def __len__(self) -> int:
        return len(self.member)

    @torch.no_grad()
    def value(self, coalitions: Tensor) -> Tensor:
        """[N] float64 answers where only the players of each coalition [N, P] bool are there."""
        parts = torch.split(coalitions.to(self.member.device, torch.bool), COALITIONS_AT_A_TIME)
        return torch.cat([self._value(part) for part in parts])

    def _value(self, coalitions: Tensor) -> Tensor:
        kept = (coalitions.float() @ self.member.float()) > 0  # [N, T * C + F]
        batch = repeated(self.batch, len(coalitions))
        cells = kept[:, : batch.value[0].numel()].view(batch.value.shape)
        statics = kept[:, batch.value[0].numel() :]
        return self.explained(self.explained.without(batch, cells, statics)).double()

    def attribution(self, given: Tensor) -> Attribution:
        """What players are given [P], shared out evenly among what they stand for."""
        share = given.to(self.member.device, torch.float64) / self.member.sum(dim=1)
        spread = (share @ self.member.to(torch.float64)).to(self.batch.value.dtype)
        width = self.batch.value[0].numel()
        ends = self.value(torch.tensor([[True], [False]]).expand(2, len(self)))
        return Attribution(
            spread[:width].view(self.batch.value.shape),
            spread[width:].unsqueeze(0),
            ends[:1].to(spread.dtype),
            ends[1:].to(spread.dtype),
        )


def one_by_one(batch: Batch) -> list[Batch]:
    """Each subject alone, still padded as it was."""
    return [
        Batch(**{name: tensor[row : row + 1] for name, tensor in vars(batch).items()})
        for row in range(len(batch.value))
    ]


def together(single: list[Attribution]) -> Attribution:
    """The attributions of single subjects of one batch, one after the other."""
    return Attribution(
        *(
            torch.cat([getattr(one, name) for one in single])
            for name in ("observations", "statics", "answer", "reference")
        )
    )


def _segment(batch: Batch, segments: int) -> Tensor:
    """[T] of one subject: the part of the history that each true step is in; 0 on padding.

    Parts are counted from the newest step back, so that an older history moves no newer border.
    """
    steps = batch.steps[0]
    back = steps.flip(0).cumsum(0).flip(0) - 1  # 0 at the newest true step
    length = max(1, -(-int(steps.sum()) // segments))
    return torch.where(steps, segments - 1 - back // length, 0)

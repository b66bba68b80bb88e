"""What a method answers: how much each observation and each static feature moved the answer."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Attribution:
    """Contributions of B subjects, in units of the raw answer (log odds, log volatility).

    Attributes:
        observations: [B, T, C] of each observation, where the batch has it; exactly 0 where
            nothing was observed, and so on padding.
        statics: [B, F] of each static feature.
        answer: [B] what the networks say of the subject.
        reference: [B] what they say of the same time steps with nothing observed.
    """

    observations: Tensor
    statics: Tensor
    answer: Tensor
    reference: Tensor

    @property
    def total(self) -> Tensor:
        """[B] the sum of all contributions."""
        return self.observations.sum(dim=(1, 2)) + self.statics.sum(dim=1)

    @property
    def missing(self) -> Tensor:
        """[B] what the contributions do not account for: 0 where a method adds up."""
        return self.answer - self.reference - self.total

    def players(self) -> Tensor:
        """[B, T * C + F] all contributions in a row, statics last."""
        return torch.cat([self.observations.flatten(1), self.statics], dim=1)

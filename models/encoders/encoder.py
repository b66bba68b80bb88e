"""What every encoder reads and answers: sequences in, a state per time step and one for all out."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Sequences:
    """B sequences of up to T time steps, the true ones first, in their order.

    Attributes:
        inputs: [B, T, I] finite, 0 on padding; the first C are the channels' scaled values, the
            next C say whether each was observed.
        elapsed: [B, T, C + 1] log(1 + days) since each channel was last observed before the step,
            and since the step before; 0 where never, and on padding. [B, T, 0] for an encoder
            that does not read it.
        steps: [B, T] True for a time step: the first `lengths` of each row.
        position: [B, T] the step of the batch that stands here: states go back by it.
    """

    inputs: Tensor
    elapsed: Tensor
    steps: Tensor
    position: Tensor

    @property
    def lengths(self) -> Tensor:
        """[B] true steps of each sequence."""
        return self.steps.sum(dim=1)

    def span(self, start: int, stop: int) -> "Sequences":
        """The steps from `start` to `stop` of all sequences; some may have none there."""
        cut = slice(start, stop)
        return Sequences(
            self.inputs[:, cut], self.elapsed[:, cut], self.steps[:, cut], self.position[:, cut]
        )


@dataclass(frozen=True)
class Encoded:
    """What an encoder makes of sequences.

    Attributes:
        states: [B, T, H] one per time step, 0 on padding.
        pooled: [B, P] one for the whole sequence; 0 for a sequence without steps. Read on from
            `carried`, that of the last true step in this window or before it.
        carried: what the next steps of the same sequences start from, each [L, B, H] after the
            sequence's last true step, and what else has to go on (last values, dropout's masks):
            to be handed back as it is. Empty where an encoder cannot be carried on.
    """

    states: Tensor
    pooled: Tensor
    carried: tuple[Tensor, ...] = ()


class Encoder(nn.Module, ABC):
    """One way to read sequences. Padding (amount, value, side) and batch mates change nothing.

    Attributes:
        state_size, pooled_size: H and P of its answers.
        is_causal: the state of a step knows no later step.
        can_carry: it goes on from `carried`, so that a long sequence can be read in windows.
        reads_elapsed: it wants the times in `Sequences.elapsed`, which are made for it alone.
    """

    state_size: int
    pooled_size: int
    is_causal: bool = True
    can_carry: bool = False
    reads_elapsed: bool = False

    @abstractmethod
    def forward(self, sequences: Sequences, carried: tuple[Tensor, ...] = ()) -> Encoded:
        """Read the sequences, from the beginning or from where `carried` says."""


def last_true(states: Tensor, lengths: Tensor) -> Tensor:
    """[B, H] the state of each sequence's last true step of [B, T, H]; 0 without any."""
    last = (lengths - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, states.shape[2])
    return torch.where(lengths.unsqueeze(1) > 0, states.gather(1, last).squeeze(1), 0.0)

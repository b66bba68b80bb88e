"""What comes at a sequence's next time step, foreseen at each step from it and those before.

The set of codes is the language model of health records (Choi et al. 2016, "Doctor AI"); the
values are a forecast of each step. Either teaches an encoder what its events mean before it sees
a single outcome.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, pad

from models.encoders.encoder import Encoder, Sequences
from models.store import SequenceStore, members

AGE = -1  # the last input of a step: days from it to the index time


@dataclass(frozen=True)
class NextSteps:
    """One thing to foresee of C channels.

    Attributes:
        what: "next_events" is the set of channels observed; "next_values" is what numeric
            channels hold, scaled, where they are observed.
        numeric: which channels are numbers.
    """

    what: Literal["next_events", "next_values"]
    numeric: tuple[bool, ...]

    @classmethod
    def of(cls, store: SequenceStore, what: Literal["next_events", "next_values"]) -> "NextSteps":
        return cls(what, tuple(channel.kind == "numeric" for channel in store.channels))

    def start(self, store: SequenceStore, rows: npt.NDArray[np.int64]) -> list[float]:
        """[C] what knows nothing but how often each channel is seen at the next steps of `rows`.

        Of values nothing is to be known: their mean is 0.
        """
        channels = len(self.numeric)
        if self.what == "next_values":
            return [0.0] * channels
        steps = members(store.step_offsets, rows)
        first = np.cumsum(store.lengths[rows]) - store.lengths[rows]
        following = np.delete(steps, first[store.lengths[rows] > 0])
        observations = members(store.observation_offsets, following)
        seen = np.bincount(store.observation_channel[observations], minlength=channels)
        odds = np.log((seen + 0.5) / (len(following) - seen + 0.5))
        return [float(one) for one in odds]

    def losses(self, raw: Tensor, sequences: Sequences) -> tuple[Tensor, Tensor]:
        """Sums of losses [B, T], and of what they are sums [B, T], of raw [B, T, C].

        Of events the loss is that of the whole set: the cross-entropies of all channels, nats per
        step. Of values it is the squared error of each. The step after the last has neither:
        what lies beyond the index time is nowhere in `sequences`.
        """
        channels = len(self.numeric)
        inputs, steps = _following(sequences.inputs), _following(sequences.steps)
        value, observed = inputs[:, :, :channels], inputs[:, :, channels : 2 * channels] > 0
        observed = observed & steps.unsqueeze(2)
        if self.what == "next_events":
            cells = binary_cross_entropy_with_logits(raw, observed.to(raw.dtype), reduction="none")
            losses = torch.where(steps, cells.sum(dim=2), 0.0)
            return losses, steps.to(raw.dtype)
        counts = observed & torch.tensor(self.numeric, device=raw.device)
        cells = torch.where(counts, (raw - value) ** 2, 0.0)
        return cells.sum(dim=2), counts.sum(dim=2).to(raw.dtype)


class Foresight(nn.Module):
    """An encoder and a line from the state of each step to what comes next."""

    def __init__(self, encoder: Encoder, channels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.line = nn.Linear(encoder.state_size, channels)

    def start_from(self, raw: list[float]) -> None:
        """Make the untrained answer `raw` [C] wherever the state is zero."""
        with torch.no_grad():
            self.line.bias.copy_(torch.tensor(raw))

    def forward(self, sequences: Sequences) -> Tensor:
        """[B, T, C] raw."""
        return self.told(self.encoder(without_age(sequences)).states)

    def told(self, states: Tensor) -> Tensor:
        """[B, T, C] raw, of the encoder's states [B, T, H]."""
        # As with a network's head: half precision would round the answer.
        with torch.autocast(states.device.type, enabled=False):
            raw: Tensor = self.line(states.to(self.line.weight.dtype))
        return raw


def without_age(sequences: Sequences) -> Sequences:
    """The same with every step as old as the mean.

    A step's age says when the index time is: at the step itself nobody knew that, and it would
    tell how much is to come.
    """
    inputs = sequences.inputs.clone()
    inputs[:, :, AGE] = 0.0
    return replace(sequences, inputs=inputs)


def _following(numbers: Tensor) -> Tensor:
    """[B, T, ...] of the step after each; 0 or False after the last."""
    beyond = (0, 0) * (numbers.ndim - 2) + (0, 1)
    return pad(numbers[:, 1:], beyond)

"""The one number of a subject that is explained, and the one meaning of "not there".

The answer is the mean of the networks' raw answers: the log odds of a probability, the log of a
volatility in units of its scale, the median of quantiles in units of theirs.

An observation that is removed was never made: its value, its mark, the time since it and its share
of every count go with it, and the next one looks back to the one before. The time steps stay: that
somebody was seen then is no observation. A static feature that is removed has the mean of the
training rows. The reference of a subject is the subject with everything removed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from models.batches import Batch, days_since_observed
from models.encoders.encoder import Sequences
from models.network import SequenceNetwork
from models.tasks import Quantiles, Task


class ExplanationImpossible(Exception):
    """These networks or this subject cannot be explained; the message holds no value."""


@dataclass(frozen=True)
class Explained:
    """Networks that read alike (one scaler), and which of their K raw answers is explained."""

    networks: Sequence[SequenceNetwork]
    output: int = 0

    @classmethod
    def of(cls, networks: Sequence[SequenceNetwork], task: Task) -> "Explained":
        """The median, of quantiles; else the one answer there is.

        Raises:
            ExplanationImpossible: the task has several raw answers and none of them stands for all.
        """
        if isinstance(task, Quantiles):
            return cls(networks, task.median)
        if task.outputs != 1:
            raise ExplanationImpossible("a task of several answers has no one answer to explain")
        return cls(networks)

    def read(self, batch: Batch) -> tuple[Sequences, Tensor]:
        """What every one of the networks sees of the batch."""
        return self.networks[0].read(batch)

    def answer(self, sequences: Sequences, facts: Tensor) -> Tensor:
        """[B] the mean raw answer."""
        raw = [network.answer(sequences, facts)[:, self.output] for network in self.networks]
        return torch.stack(raw).mean(dim=0)

    def __call__(self, batch: Batch) -> Tensor:
        return self.answer(*self.read(batch))

    def without(self, batch: Batch, kept: Tensor, kept_statics: Tensor) -> Batch:
        """The batch as if only what is `kept` had been observed and known.

        Args:
            kept: [B, T, C] bool; what was not observed anyway is no matter.
            kept_statics: [B, F] bool.
        """
        observed = batch.observed & kept
        days = torch.where(batch.steps, batch.step_days, 0.0)
        return replace(
            batch,
            value=torch.where(observed, batch.value, 0.0),
            observed=observed,
            elapsed_days=days_since_observed(observed & batch.steps.unsqueeze(2), days),
            statics=torch.where(kept_statics, batch.statics, self.reference_statics(batch)),
        )

    def reference(self, batch: Batch) -> Batch:
        """The batch with everything removed."""
        nothing = torch.zeros_like(batch.observed)
        return self.without(batch, nothing, torch.zeros_like(batch.statics, dtype=torch.bool))

    def reference_statics(self, batch: Batch) -> Tensor:
        """[B, F] the training rows' means."""
        means = self.networks[0].inputs.scaler.static_mean
        return torch.tensor(means).to(batch.statics).expand(batch.statics.shape)


def observed_players(batch: Batch) -> Tensor:
    """[B, T * C + F] which observations a subject has; static features everybody has."""
    cells = (batch.observed & batch.steps.unsqueeze(2)).flatten(1)
    return torch.cat([cells, torch.ones_like(batch.statics, dtype=torch.bool)], dim=1)


def repeated(batch: Batch, times: int) -> Batch:
    """The whole batch so many times over, one after the other."""
    return Batch(
        **{
            name: tensor.repeat(times, *[1] * (tensor.ndim - 1))
            for name, tensor in vars(batch).items()
        }
    )

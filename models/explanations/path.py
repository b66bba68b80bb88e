"""The straight line from a subject's reference to the subject, by presence of observations.

Presence 0 of everything is the reference, presence 1 the subject; between them every number that
the networks read lies in between, by the presence of the observation that it speaks of:

* a value and its mark by that observation's;
* the time since a channel was last seen by that of the observation it counts from;
* of the facts, last value, ever seen and how long ago by the channel's last observation;
* a count by the mean over the observations that it counts.

So a gradient by presence gathers, for each observation, all that the networks know through it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from models.batches import Batch, latest_observed
from models.encoders.attention import AttentionEncoder
from models.encoders.encoder import Encoder, Sequences
from models.encoders.gru import GRUEncoder
from models.encoders.lstm import LSTMEncoder
from models.encoders.recurrent import RecurrentEncoder
from models.encoders.rnn import RNNEncoder
from models.explanations.attribution import Attribution
from models.explanations.explained import Explained, ExplanationImpossible

Gradients = tuple[Tensor, ...]

# So many places are read at once, whatever their number: memory does not grow with it.
PLACES_AT_A_TIME = 64


@dataclass(frozen=True)
class Path:
    """The two ends of B subjects' lines, the true steps in front.

    Attributes:
        subject, reference: what the encoder reads at either end.
        facts, reference_facts: [B, 4C + 2F + 1] what the head sees besides.
        observed: [B, T, C] the observations.
        before: [B, T, C] the step at which a channel was last seen before each; -1 if never.
        last: [B, C] the step at which it was last seen at all; -1 if never.
    """

    explained: Explained
    subject: Sequences
    reference: Sequences
    facts: Tensor
    reference_facts: Tensor
    observed: Tensor
    before: Tensor
    last: Tensor

    @classmethod
    def of(cls, explained: Explained, batch: Batch) -> Self:
        """Raises ExplanationImpossible where the way to the reference is not known here."""
        if any(_reads_times_from_the_end(network.encoder) for network in explained.networks):
            raise ExplanationImpossible(
                "an encoder with decay that reads from both ends has no way without a leap"
            )
        with torch.no_grad():
            subject, facts = explained.read(batch)
            reference, reference_facts = explained.read(explained.reference(batch))
        mask = (batch.observed & batch.steps.unsqueeze(2)).gather(
            1, subject.position.unsqueeze(2).expand(batch.observed.shape)
        )
        channels, statics = mask.shape[2], batch.statics.shape[1]
        if facts.shape[1] != 4 * channels + 2 * statics + 1:
            raise ExplanationImpossible("the facts are not those whose owners are known here")
        latest = latest_observed(mask)
        before = torch.cat([torch.full_like(latest[:, :1], -1), latest[:, :-1]], dim=1)
        return cls(
            explained, subject, reference, facts, reference_facts, mask, before, latest[:, -1]
        )

    @property
    def is_smooth(self) -> bool:
        """Whether the gradient has no leaps on the way: an encoder without any max(0, x).

        An encoder that is not known here counts as one that has.
        """
        return all(_is_smooth(network.encoder) for network in self.explained.networks)

    def answer(self, cells: Tensor, statics: Tensor) -> Tensor:
        """[n * B] the answer at presences [n * B, T, C] and [n * B, F]: n places for each of B."""
        return self.explained.answer(*self.at(cells, statics))

    def at(self, cells: Tensor, statics: Tensor) -> tuple[Sequences, Tensor]:
        """What the networks read at the presences, as in `answer`."""
        times = len(cells) // len(self.facts)

        def each(tensor: Tensor) -> Tensor:
            return tensor.repeat(times, *[1] * (tensor.ndim - 1))

        since = _taken(cells, each(self.before))  # [n * B, T, C]
        still = torch.zeros_like(since[:, :, :1])  # of a step itself nothing is ever removed
        shares = torch.cat([cells, cells, since, still], dim=2)
        subject, reference = self.subject, self.reference
        inputs = _between(each(reference.inputs), each(subject.inputs), shares)
        told = torch.cat([since, still], dim=2)[:, :, : subject.elapsed.shape[2]]  # or nothing
        elapsed = _between(each(reference.elapsed), each(subject.elapsed), told)
        sequences = replace(
            subject,
            inputs=inputs,
            elapsed=elapsed,
            steps=each(subject.steps),
            position=each(subject.position),
        )
        facts = _between(
            each(self.reference_facts),
            each(self.facts),
            self._fact_shares(cells, statics, each(self.observed), each(self.last)),
        )
        return sequences, facts

    def _fact_shares(
        self, cells: Tensor, statics: Tensor, observed: Tensor, last: Tensor
    ) -> Tensor:
        """[n * B, 4C + 2F + 1] the presence of every fact."""
        latest = _taken(cells, last.unsqueeze(1)).squeeze(1)
        present = torch.where(observed, cells, 0.0)
        counted = present.sum(dim=1) / observed.sum(dim=1).clamp(min=1)
        total = present.sum(dim=(1, 2)) / observed.sum(dim=(1, 2)).clamp(min=1)
        return torch.cat(
            [latest, latest, latest, counted, statics, statics, total.unsqueeze(1)], dim=1
        )

    def attribution(self, contributions: Callable[["Path"], Gradients]) -> Attribution:
        """The contributions [B, T, C] and [B, F] of a method, back where the batch has them."""
        cells, statics = contributions(self)
        cells = torch.where(self.observed, cells, 0.0)
        where = self.subject.position.unsqueeze(2).expand(cells.shape)
        with torch.no_grad():
            answer = self.explained.answer(self.subject, self.facts)
            reference = self.explained.answer(self.reference, self.reference_facts)
        observations = torch.zeros_like(cells).scatter(1, where, cells)
        return Attribution(observations.detach(), statics.detach(), answer, reference)

    def whole(self) -> Gradients:
        """Presence 1 of everything: [B, T, C] and [B, F]."""
        statics = (self.facts.shape[1] - 4 * self.observed.shape[2] - 1) // 2
        ones = self.facts.new_ones
        return ones(self.observed.shape), ones(len(self.facts), statics)


def gradients(
    forward_fn: Callable[..., Tensor],
    inputs: Gradients,
    target_ind: None = None,
    additional_forward_args: None = None,
) -> Gradients:
    """The gradient of the summed answers by each input, in the form that Captum asks with.

    cuDNN reads recurrent networks backwards only while they train, with their dropout on: where it
    would be used it is switched off.
    """
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        return torch.autograd.grad(forward_fn(*inputs).sum(), inputs)


def _is_smooth(encoder: Encoder) -> bool:
    inner = encoder.lstm if isinstance(encoder, AttentionEncoder) else encoder
    known = type(inner) in (LSTMEncoder, GRUEncoder, RNNEncoder)
    return known and isinstance(inner, RecurrentEncoder) and inner.decay is None


def _reads_times_from_the_end(encoder: Encoder) -> bool:
    """What was seen is then told by marks alone: times leap as soon as anything is present."""
    return any(
        isinstance(part, RecurrentEncoder) and part.decay is not None and part.directions > 1
        for part in encoder.modules()
    )


def _taken(cells: Tensor, step: Tensor) -> Tensor:
    """The presence at each step [n * B, S, C] of its channel; 0 where the step is -1."""
    return torch.where(step >= 0, cells.gather(1, step.clamp(min=0)), 0.0)


def _between(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    return start + share * (end - start)

"""The network of a study: scaled inputs, an encoder, and a head that answers with raw numbers.

At each step the encoder sees, per channel, the value, whether it was observed and the time since
it was last observed, and the step's own age (Lipton et al. 2016; Che et al. 2018). The head also
sees what is known of each channel at the end, so that the encoder need not learn to copy.
"""

from collections.abc import Callable
from importlib import import_module

import torch
from torch import Tensor, nn

from models.batches import Batch
from models.config import ModelConfig
from models.encoders.encoder import Encoder, Sequences
from models.encoders.registry import ENCODERS
from models.heads import Head, head_of
from models.inputs import Inputs
from models.scaling import Scaler


class SequenceNetwork(nn.Module):
    """Raw [B, K] of a Batch. Padding (amount, side, value) and batch mates change nothing.

    With `other_labels` a second head learns them beside the first. It is there while training
    only: no stored network has it.
    """

    def __init__(
        self, scaler: Scaler, config: ModelConfig, outputs: int, other_labels: int = 0
    ) -> None:
        super().__init__()
        self.outputs = outputs
        self.precision = config.precision  # for whoever runs it: models/precision.py
        self.inputs = Inputs(scaler)
        channels = len(scaler.channel_mean)
        self.encoder = encoder_of(self.inputs.step_size, channels, config)
        sizes = (self.encoder.pooled_size, self.inputs.fact_size)
        self.head = head_of(*sizes, config, outputs)
        self.beside = None
        if other_labels:
            self.beside = Head(*sizes, config.hidden_size, config.dropout, other_labels)

    def forward(self, batch: Batch) -> Tensor:
        return self.answer(*self.read(batch))

    def read(self, batch: Batch) -> tuple[Sequences, Tensor]:
        """What the encoder reads, and the facts [B, F] that the head sees besides."""
        inputs, facts = self.inputs(batch)  # [B, T, 3C + 1], [B, F]
        return _to_the_front(inputs, batch, timed=self.encoder.reads_elapsed), facts

    def answer(self, sequences: Sequences, facts: Tensor) -> Tensor:
        """[B, K] raw, of sequences and facts [B, F]."""
        return self.conclude(self.encoder(sequences).pooled, facts)

    def conclude(self, pooled: Tensor, facts: Tensor) -> Tensor:
        """[B, K] raw, of what the encoder pooled [B, P] and facts [B, F]."""
        return self.told_by(self.head, pooled, facts)

    def told_by(
        self, head: Callable[[Tensor, Tensor], Tensor], pooled: Tensor, facts: Tensor
    ) -> Tensor:
        """What a head of this network says of pooled [B, P] and facts [B, F]."""
        # The head is a small share of the work, and half precision would round its answer.
        with torch.autocast(pooled.device.type, enabled=False):
            whole = self.head.line.weight.dtype
            return head(pooled.to(whole), facts.to(whole))


def encoder_of(input_size: int, channels: int, config: ModelConfig) -> Encoder:
    """The encoder that a study's model section names."""
    entry = ENCODERS[config.encoder.kind]
    made: Encoder = getattr(import_module(entry.module), entry.name)(input_size, channels, config)
    return made


def _to_the_front(inputs: Tensor, batch: Batch, *, timed: bool) -> Sequences:
    """The true steps of each row first, in their order, wherever the padding was."""
    steps = batch.steps
    order = torch.argsort((~steps).to(torch.uint8), dim=1, stable=True)  # [B, T]
    elapsed = inputs[:, :, :0]
    if timed:
        elapsed = _log_elapsed(batch)
        elapsed = elapsed.gather(1, order.unsqueeze(2).expand(elapsed.shape))
    return Sequences(
        inputs=inputs.gather(1, order.unsqueeze(2).expand(inputs.shape)),
        elapsed=elapsed,
        steps=steps.gather(1, order),
        position=order,
    )


def _log_elapsed(batch: Batch) -> Tensor:
    """[B, T, C + 1] log(1 + days) since each channel's last observation, and the last step."""
    elapsed = torch.cat([batch.elapsed_days, _days_since_step(batch).unsqueeze(2)], dim=2)
    return torch.log1p(torch.where(batch.steps.unsqueeze(2), elapsed, 0.0).clamp(min=0.0))


def _days_since_step(batch: Batch) -> Tensor:
    """[B, T] days since the true step before; 0 at the first. Padding lies on one side only."""
    days = torch.where(batch.steps, batch.step_days, 0.0)
    follows = batch.steps[:, 1:] & batch.steps[:, :-1]
    since = torch.where(follows, days[:, 1:] - days[:, :-1], 0.0)
    return torch.cat([torch.zeros_like(days[:, :1]), since], dim=1)

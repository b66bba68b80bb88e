"""A small training loop for constructed tasks: an encoder, a line on top, fresh batches."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.config import ModelConfig
from models.encoders.encoder import Sequences
from models.network import encoder_of
from models.optimisation import clip

CHANNELS = 2
INPUTS = 3 * CHANNELS + 1

Draw = Callable[[int, torch.Generator], tuple[Sequences, Tensor]]
Loss = Callable[[Tensor, Tensor], Tensor]


class Reader(nn.Module):
    """One number of each sequence [B], from what an encoder pools."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.encoder = encoder_of(INPUTS, CHANNELS, config)
        self.line = nn.Linear(self.encoder.pooled_size, 1)

    def forward(self, sequences: Sequences) -> Tensor:
        answer: Tensor = self.line(self.encoder(sequences).pooled).squeeze(1)
        return answer


def sequences_of(
    value: Tensor, observed: Tensor | None = None, gaps: Tensor | None = None
) -> Sequences:
    """Sequences of one length: values and whether they were observed [B, T, C], days [B, T].

    The inputs are as models/inputs.py makes them; time is told to every encoder.
    """
    observed = torch.ones_like(value) if observed is None else observed.float()
    since_step = torch.zeros(value.shape[:2]) if gaps is None else torch.log1p(gaps)
    elapsed = since_step.unsqueeze(2).expand(-1, -1, CHANNELS + 1)
    age = torch.zeros_like(since_step).unsqueeze(2)
    inputs = torch.cat([value * observed, observed, elapsed[:, :, :CHANNELS], age], dim=2)
    position = torch.arange(value.shape[1]).expand(value.shape[:2])
    return Sequences(inputs, elapsed, torch.ones_like(position, dtype=torch.bool), position)


def train(
    config: ModelConfig,
    draw: Draw,
    loss_of: Loss,
    updates: int,
    *,
    batch: int = 64,
    seed: int = 0,
    prepare: Callable[[Reader], None] | None = None,
    optimizer: type[torch.optim.Optimizer] = torch.optim.Adam,
) -> tuple[Reader, list[float]]:
    """The reader after so many updates, each of a fresh batch, and the loss before each."""
    torch.manual_seed(seed)
    made, reader, losses = torch.Generator().manual_seed(seed), Reader(config), []
    if prepare is not None:
        prepare(reader)
    moving = optimizer(reader.parameters(), lr=config.learning_rate)  # type: ignore[call-arg]
    for _ in range(updates):
        sequences, target = draw(batch, made)
        loss = loss_of(reader(sequences), target)
        moving.zero_grad()
        torch.autograd.backward(loss)
        clip(reader, config)
        moving.step()
        losses.append(float(loss.detach()))
    return reader.eval(), losses


@torch.no_grad()
def accuracy(reader: Reader, draw: Draw, examples: int = 500) -> float:
    """Of a label of 0 or 1, on sequences never seen."""
    sequences, label = draw(examples, torch.Generator().manual_seed(10_000))
    return float(((reader(sequences) > 0) == (label == 1)).float().mean())


@torch.no_grad()
def explained(reader: Reader, draw: Draw, examples: int = 500) -> float:
    """Share of a number's variance, on sequences never seen; 0 says the mean does as well."""
    sequences, target = draw(examples, torch.Generator().manual_seed(10_000))
    miss = (reader(sequences) - target).square().mean()
    return float(1.0 - miss / target.var(correction=0))

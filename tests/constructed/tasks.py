"""The constructed tasks: B sequences of one length and what is to be said of each."""

import torch
from torch import Tensor

from models.encoders.encoder import Sequences
from tests.constructed.learning import sequences_of

MOTIF = torch.tensor([1.0, 1.0, -1.0, 1.0, -1.0])


def recall(batch: int, made: torch.Generator, length: int = 200) -> tuple[Sequences, Tensor]:
    """Whether the very first value was 1 or -1; noise on the other channel follows."""
    value = torch.zeros(batch, length, 2)
    value[:, :, 1] = torch.randn(batch, length, generator=made)
    label = torch.randint(0, 2, (batch,), generator=made).float()
    value[:, 0, 0] = 2.0 * label - 1.0
    return sequences_of(value), label


def motif(batch: int, made: torch.Generator, length: int = 24) -> tuple[Sequences, Tensor]:
    """Whether five neighbouring signs anywhere are MOTIF."""
    value = torch.zeros(batch, length, 2)
    value[:, :, 0] = torch.randint(0, 2, (batch, length), generator=made) * 2.0 - 1.0
    label = torch.randint(0, 2, (batch,), generator=made).float()
    windows = value[:, :, 0].unfold(1, len(MOTIF), 1)  # [B, T - 4, 5]
    found = (windows == MOTIF).all(dim=2)
    # One sign of each motif that came by chance is turned, until there is none.
    while found.any():
        row, start = found.nonzero(as_tuple=True)
        value[row, start + len(MOTIF) - 1, 0] *= -1.0
        found = (value[:, :, 0].unfold(1, len(MOTIF), 1) == MOTIF).all(dim=2)
    start = torch.randint(0, length - len(MOTIF) + 1, (batch,), generator=made)
    place = start.unsqueeze(1) + torch.arange(len(MOTIF))
    written = value[:, :, 0].scatter(1, place, MOTIF.expand(batch, -1))
    value[:, :, 0] = torch.where(label.unsqueeze(1) == 1, written, value[:, :, 0])
    return sequences_of(value), label


def marked_mean(batch: int, made: torch.Generator, length: int = 150) -> tuple[Sequences, Tensor]:
    """The mean of the values at steps that the other channel marks, wherever they lie."""
    value = torch.randn(batch, length, 2, generator=made)
    marked = torch.rand(batch, length, generator=made) < 0.1
    marked[:, 0] = True
    value[:, :, 1] = marked.float()
    total = (value[:, :, 0] * marked).sum(dim=1)
    mean = total / marked.sum(dim=1)
    return sequences_of(value), mean * 3.0


def since_the_pause(
    batch: int, made: torch.Generator, length: int = 30
) -> tuple[Sequences, Tensor]:
    """A fading sum of what came since the last long pause: before one lies another matter.

    Steps follow each other within hours; a tenth of them come after 100 to 300 days.
    """
    value = torch.zeros(batch, length, 2)
    value[:, :, 0] = torch.randn(batch, length, generator=made)
    pauses = torch.rand(batch, length, generator=made) < 0.1
    gaps = torch.rand(batch, length, generator=made)
    gaps = torch.where(pauses, 100.0 + 200.0 * gaps, 0.2 * gaps)
    state = torch.zeros(batch)
    for step in range(length):
        state = torch.where(pauses[:, step], 0.0, 0.9 * state) + value[:, step, 0]
    return sequences_of(value, gaps=gaps), state / 2.0

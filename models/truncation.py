"""Truncated backpropagation through time (Williams & Peng 1990): all is read, the end is learned.

The state is carried over a cut, the gradient is not; memory follows the window, not the sequence.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from models.encoders.encoder import Encoded, Encoder, Sequences

Carried = tuple[Tensor, ...]


def read_truncated(encoder: Encoder, sequences: Sequences, window: int) -> Encoded:
    """What the encoder makes of each sequence's last `window` steps, after reading all before.

    The gradient reaches those steps and no earlier one. Where the window covers every sequence
    this is the encoder's plain reading. Answered are the states [B, window, H] of the last steps,
    what is pooled of them and what is carried on.

    Args:
        encoder: one that can carry its state.
        window: true time steps of each sequence, counted from its end.
    """
    if window >= sequences.inputs.shape[1]:
        covered: Encoded = encoder(sequences)
        return covered
    before = (sequences.lengths - window).clamp(min=0)  # [B] steps without gradient
    carried = _carried_over(encoder, sequences, before, window)
    end: Encoded = encoder(_tail(sequences, before, window), carried)
    return end


def windows(
    encoder: Encoder, sequences: Sequences, window: int
) -> Iterator[tuple[int, Sequences, Encoded]]:
    """Each window's first step, its sequences and what the encoder makes of them, in their order.

    For an objective of every step: whoever calls `backward` on a window's loss before asking for
    the next one holds the graph of one window at a time. The state is carried, the gradient ends
    at the window's first step.
    """
    carried: Carried = ()
    for start in range(0, sequences.inputs.shape[1], window):
        span = sequences.span(start, start + window)
        encoded = encoder(span, carried)
        yield start, span, encoded
        carried = tuple(state.detach() for state in encoded.carried)


@torch.no_grad()
def _carried_over(encoder: Encoder, sequences: Sequences, count: Tensor, window: int) -> Carried:
    """The state after the first `count` [B] steps of each sequence, read a window at a time."""
    head = _head(sequences, count)
    carried: Carried = ()
    for start in range(0, int(count.max()), window):
        carried = encoder(head.span(start, start + window), carried).carried
    return carried


def _head(sequences: Sequences, count: Tensor) -> Sequences:
    """The first `count` [B] steps of each sequence; what follows them is padding."""
    steps = torch.arange(sequences.inputs.shape[1], device=count.device) < count.unsqueeze(1)
    return _masked(sequences.inputs, sequences.elapsed, steps, sequences.position)


def _tail(sequences: Sequences, first: Tensor, width: int) -> Sequences:
    """The steps from `first` [B] on, at the front: [B, width, ...]."""
    number = torch.arange(width, device=first.device)
    steps = number < (sequences.lengths - first).unsqueeze(1)  # [B, width]
    last = sequences.inputs.shape[1] - 1
    chosen = (first.unsqueeze(1) + number).clamp(max=last)
    inputs, elapsed = (
        states.gather(1, chosen.unsqueeze(2).expand(-1, -1, states.shape[2]))
        for states in (sequences.inputs, sequences.elapsed)
    )
    return _masked(inputs, elapsed, steps, sequences.position.gather(1, chosen))


def _masked(inputs: Tensor, elapsed: Tensor, steps: Tensor, position: Tensor) -> Sequences:
    true = steps.unsqueeze(2)
    return Sequences(
        torch.where(true, inputs, 0.0), torch.where(true, elapsed, 0.0), steps, position
    )

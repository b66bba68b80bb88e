"""Sequences and encoders made of chance."""

from dataclasses import replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from models.config import ModelConfig
from models.encoders.encoder import Encoder, Sequences
from models.network import encoder_of

CHANNELS = 3
INPUTS = 3 * CHANNELS + 1

lengths_of_sequences = st.lists(st.integers(0, 9), min_size=1, max_size=5)
seeds = st.integers(0, 999)


def draw_sequences(lengths: list[int], seed: int, padding: int = 0) -> Sequences:
    """Sequences of these lengths, with `padding` steps more than the longest (or than one)."""
    made = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(1, *lengths) + padding)
    position = torch.arange(shape[1]).expand(shape)
    steps = position < torch.tensor(lengths).unsqueeze(1)
    observed = torch.rand(*shape, CHANNELS, generator=made) < 0.5
    value = torch.where(observed, torch.randn(*shape, CHANNELS, generator=made), 0.0)
    others = torch.randn(*shape, INPUTS - 2 * CHANNELS, generator=made)
    inputs = torch.cat([value, observed.float(), others], dim=2)
    elapsed = 4.0 * torch.rand(*shape, CHANNELS + 1, generator=made)
    elapsed[:, 0] = 0.0
    true = steps.unsqueeze(2)
    return Sequences(
        torch.where(true, inputs, 0.0), torch.where(true, elapsed, 0.0), steps, position
    )


def draw_encoder(config: ModelConfig, seed: int = 0) -> Encoder:
    """Ready to answer, with every weight away from zero, so that nothing is hidden by a zero."""
    torch.manual_seed(seed)
    encoder = encoder_of(INPUTS, CHANNELS, config)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            parameter.normal_(0.0, 0.4)
            if "decay" in name:
                parameter.abs_()
    return encoder.eval()


def alone(sequences: Sequences, row: int) -> tuple[Tensor, Tensor]:
    """Inputs [n, I] and elapsed times [n, C + 1] of one sequence's true steps."""
    length = int(sequences.lengths[row])
    return sequences.inputs[row, :length], sequences.elapsed[row, :length]


def altered_from(sequences: Sequences, step: int) -> Sequences:
    """Other inputs and times at `step` and after it, in all sequences."""
    later = torch.zeros_like(sequences.steps)
    later[:, step:] = sequences.steps[:, step:]
    value = later.unsqueeze(2)
    return replace(
        sequences,
        inputs=torch.where(value, 1.0 - sequences.inputs, sequences.inputs),
        elapsed=torch.where(value, 5.0 - sequences.elapsed, sequences.elapsed),
    )

"""The temporal convolutional network: each level looks twice as far back as the one below.

Bai, Kolter & Koltun 2018, "An empirical evaluation of generic convolutional and recurrent
networks for sequence modeling"; without their weight normalisation.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout1d

from models.config import ModelConfig
from models.encoders.convolution import CausalConvolution
from models.encoders.encoder import Encoded, Encoder, Sequences, last_true


class TCNEncoder(Encoder):
    """`layers` levels; after L of them a step sees 1 + 2 (kernel_size - 1)(2^L - 1) steps."""

    def __init__(self, input_size: int, channels: int, config: ModelConfig) -> None:
        super().__init__()
        self.state_size = self.pooled_size = config.hidden_size
        sizes = [input_size] + [config.hidden_size] * config.layers
        self.levels = nn.ModuleList(
            Level(below, above, config.encoder.kernel_size, 2**level, config.dropout)
            for level, (below, above) in enumerate(pairwise(sizes))
        )

    def forward(self, sequences: Sequences, carried: tuple[Tensor, ...] = ()) -> Encoded:
        states = sequences.inputs
        for level in self.levels:
            states = level(states, sequences.steps)
        return Encoded(states, last_true(states, sequences.lengths))


class Level(nn.Module):
    """relu(x + two convolutions of x), what is dropped being the same at all steps."""

    def __init__(
        self, inputs: int, outputs: int, kernel_size: int, dilation: int, dropout: float
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.first = CausalConvolution(inputs, outputs, kernel_size, dilation)
        self.second = CausalConvolution(outputs, outputs, kernel_size, dilation)
        self.beside = nn.Linear(inputs, outputs) if inputs != outputs else nn.Identity()

    def forward(self, inputs: Tensor, steps: Tensor) -> Tensor:
        """[B, T, O] of [B, T, I]; 0 on padding."""
        found = self._drop(torch.relu(self.first(inputs, steps)))
        found = self._drop(torch.relu(self.second(found, steps)))
        answer = torch.relu(self.beside(inputs) + found)
        return torch.where(steps.unsqueeze(2), answer, 0.0)

    def _drop(self, found: Tensor) -> Tensor:
        return dropout1d(found.transpose(1, 2), self.dropout, self.training).transpose(1, 2)

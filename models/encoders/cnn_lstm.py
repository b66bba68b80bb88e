"""A convolution that finds short motifs, and an LSTM that remembers which there were."""

from dataclasses import replace

import torch
from torch import Tensor

from models.config import ModelConfig
from models.encoders.convolution import CausalConvolution
from models.encoders.encoder import Encoded, Encoder, Sequences
from models.encoders.lstm import LSTMEncoder


class CNNLSTMEncoder(Encoder):
    """The LSTM reads relu(convolution), of `kernel_size` steps up to the present one."""

    def __init__(self, input_size: int, channels: int, config: ModelConfig) -> None:
        super().__init__()
        self.motifs = CausalConvolution(input_size, config.hidden_size, config.encoder.kernel_size)
        self.lstm = LSTMEncoder(config.hidden_size, channels, config)
        self.state_size, self.pooled_size = self.lstm.state_size, self.lstm.pooled_size
        self.is_causal = self.lstm.is_causal

    def forward(self, sequences: Sequences, carried: tuple[Tensor, ...] = ()) -> Encoded:
        found = torch.relu(self.motifs(sequences.inputs, sequences.steps))
        read = self.lstm(replace(sequences, inputs=found))
        return Encoded(read.states, read.pooled)

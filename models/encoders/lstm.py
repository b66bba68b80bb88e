"""The LSTM: a memory cell behind gates, read at the last true step."""

import torch
from torch import Tensor, nn

from models.config import ModelConfig
from models.encoders.encoder import Encoded, Encoder, Sequences, last_true


class LSTMEncoder(Encoder):
    """States of the top layer; the pooled one is the last true step's.

    What follows the true steps is read after them, and what is answered there is never looked at.
    (A packed sequence would not be read at all, and costs 16 times as much: its backward is
    quadratic in length.)
    """

    def __init__(self, input_size: int, channels: int, config: ModelConfig) -> None:
        super().__init__()
        self.state_size = self.pooled_size = config.hidden_size
        self.lstm = nn.LSTM(
            input_size,
            config.hidden_size,
            config.layers,
            dropout=config.dropout if config.layers > 1 else 0.0,
            batch_first=True,
        )

    def forward(self, sequences: Sequences, carried: tuple[Tensor, ...] = ()) -> Encoded:
        states, _ = self.lstm(sequences.inputs)  # [B, T, H]
        states = torch.where(sequences.steps.unsqueeze(2), states, 0.0)
        return Encoded(states, last_true(states, sequences.lengths))


def reference_lstm(lstm: nn.LSTM, inputs: Tensor) -> Tensor:
    """[T, H] states of one sequence [T, I], written out from the gate equations: a test's oracle.

    Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000; gates in torch's
    order i, f, g, o. Layers follow each other, without dropout.
    """
    states = inputs
    for layer in range(lstm.num_layers):
        from_input, from_state, input_bias, state_bias = lstm.all_weights[layer]
        hidden = cell = inputs.new_zeros(lstm.hidden_size)
        answers = []
        for x in states:
            gates = from_input @ x + input_bias + from_state @ hidden + state_bias
            i, f, g, o = gates.chunk(4)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
            hidden = torch.sigmoid(o) * torch.tanh(cell)
            answers.append(hidden)
        states = torch.stack(answers) if answers else states.new_zeros(0, lstm.hidden_size)
    return states

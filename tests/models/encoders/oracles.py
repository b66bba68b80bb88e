"""Every encoder once more, for one sequence and in plain loops, written from its equations."""

import torch
from torch import Tensor, nn


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

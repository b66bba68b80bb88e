"""The LSTM: a memory cell behind gates (Hochreiter & Schmidhuber 1997, Gers et al. 2000)."""

import torch
from torch import Tensor, nn

from models.config import ModelConfig
from models.encoders.recurrent import RecurrentEncoder, after_last
from models.encoders.unrolled import State

# The sigmoid of this is exactly 1, and of its negative exactly 0.
SHUT = 1e4


class LSTMEncoder(RecurrentEncoder):
    """Gates in torch's order: input i, forget f, what is new g, output o."""

    parts = 2  # hidden state and cell

    def __init__(self, input_size: int, channels: int, config: ModelConfig) -> None:
        super().__init__(nn.LSTM, input_size, channels, config)

    def cell(self, from_input: Tensor, from_state: Tensor, state: State) -> State:
        i, f, g, o = (from_input + from_state).chunk(4, dim=1)
        cell = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(cell), cell

    def fused(
        self, weights: list[Tensor], inputs: Tensor, steps: Tensor, state: State
    ) -> tuple[Tensor, State]:
        """Padding is told to the gates as one more input: it shuts i and opens f.

        So the cell stays as the last true step left it, without a loop of our own. (A packed
        sequence would end there too, and costs 16 times as much: its backward is quadratic in
        length.)
        """
        of_input, *others = weights
        size = of_input.shape[0] // 4
        shut = of_input.new_tensor([-SHUT, SHUT, 0.0, 0.0]).repeat_interleave(size)
        of_input = torch.cat([of_input, shut.unsqueeze(1)], dim=1)
        padding = (~steps).unsqueeze(2).to(inputs.dtype)
        before = [part.unsqueeze(0) for part in state]
        states, _, cell = torch.lstm(
            torch.cat([inputs, padding], dim=2),
            before,
            [of_input, *others],
            True,
            1,
            0.0,
            self.training,
            False,
            True,
        )
        return states, (after_last(states, steps, state[0]), cell[0])

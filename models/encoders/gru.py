"""The gated recurrent unit (Cho et al. 2014): one gate forgets, another one writes."""

import torch
from torch import Tensor, nn

from models.config import ModelConfig
from models.encoders.recurrent import RecurrentEncoder, after_last
from models.encoders.unrolled import State


class GRUEncoder(RecurrentEncoder):
    """Gates in torch's order: reset r, update z, new n; r gates what the state says of n."""

    def __init__(self, input_size: int, channels: int, config: ModelConfig) -> None:
        super().__init__(nn.GRU, input_size, channels, config)

    def cell(self, from_input: Tensor, from_state: Tensor, state: State) -> State:
        input_r, input_z, input_n = from_input.chunk(3, dim=1)
        state_r, state_z, state_n = from_state.chunk(3, dim=1)
        r, z = torch.sigmoid(input_r + state_r), torch.sigmoid(input_z + state_z)
        n = torch.tanh(input_n + r * state_n)
        return ((1.0 - z) * n + z * state[0],)

    def fused(
        self, weights: list[Tensor], inputs: Tensor, steps: Tensor, state: State
    ) -> tuple[Tensor, State]:
        states, _ = torch.gru(
            inputs, state[0].unsqueeze(0), weights, True, 1, 0.0, self.training, False, True
        )
        return states, (after_last(states, steps, state[0]),)

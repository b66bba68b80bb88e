"""The vanilla recurrent network (Elman 1990): the state is a squashed sum, and soon forgotten."""

import torch
from torch import Tensor, nn

from models.config import ModelConfig
from models.encoders.recurrent import RecurrentEncoder, after_last
from models.encoders.unrolled import State


class RNNEncoder(RecurrentEncoder):
    """h = tanh(W x + b + U h + c)."""

    def __init__(self, input_size: int, channels: int, config: ModelConfig) -> None:
        super().__init__(nn.RNN, input_size, channels, config)

    def cell(self, from_input: Tensor, from_state: Tensor, state: State) -> State:
        return (torch.tanh(from_input + from_state),)

    def fused(
        self, weights: list[Tensor], inputs: Tensor, steps: Tensor, state: State
    ) -> tuple[Tensor, State]:
        states, _ = torch.rnn_tanh(
            inputs, state[0].unsqueeze(0), weights, True, 1, 0.0, self.training, False, True
        )
        return states, (after_last(states, steps, state[0]),)

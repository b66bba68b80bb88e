"""Attention over an LSTM's states: the whole sequence is weighed, not only its end remembered."""

import torch
from torch import Tensor, nn

from models.config import ModelConfig
from models.encoders.encoder import Encoded, Encoder, Sequences
from models.encoders.lstm import LSTMEncoder


class AttentionEncoder(Encoder):
    """The pooled answer is a mean of the states, each weighed by what it says itself.

    The score of a state is v tanh(W h + b) (Bahdanau et al. 2015, without a query), the weights
    are the softmax of the scores over the true steps.
    """

    def __init__(self, input_size: int, channels: int, config: ModelConfig) -> None:
        super().__init__()
        self.lstm = LSTMEncoder(input_size, channels, config)
        self.state_size = self.pooled_size = self.lstm.state_size
        self.is_causal = self.lstm.is_causal
        self.reads_elapsed = self.lstm.reads_elapsed
        self.score = nn.Sequential(
            nn.Linear(self.state_size, config.hidden_size),
            nn.Tanh(),
            nn.Linear(config.hidden_size, 1, bias=False),
        )

    def forward(self, sequences: Sequences, carried: tuple[Tensor, ...] = ()) -> Encoded:
        states = self.lstm(sequences).states
        weights = self._weigh(states, sequences.steps)
        return Encoded(states, (weights.unsqueeze(2) * states).sum(dim=1))

    def weights(self, sequences: Sequences) -> Tensor:
        """[B, T] of the steps, in the order of `sequences`; their sum is 1, or 0 without any."""
        return self._weigh(self.lstm(sequences).states, sequences.steps)

    def _weigh(self, states: Tensor, steps: Tensor) -> Tensor:
        scores = self.score(states).squeeze(2)
        # Without any step the softmax would be 0 / 0, and so would its gradient.
        counts = steps | ~steps.any(dim=1, keepdim=True)
        weights = torch.softmax(scores.masked_fill(~counts, float("-inf")), dim=1)
        return torch.where(steps, weights, 0.0)

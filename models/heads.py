"""From what the encoder remembers, and what is known besides, to one number."""

import math

import torch
from torch import Tensor, nn


class RiskHead(nn.Module):
    """A small perceptron beside a straight line: logit [B] of memory [B, H] and facts [B, K].

    The line alone is a logistic regression on the facts; the perceptron adds what bends. Its
    last layer starts at zero, so training starts from the line.
    """

    def __init__(self, memory_size: int, fact_size: int, hidden_size: int, dropout: float) -> None:
        super().__init__()
        last = nn.Linear(hidden_size, 1)
        self.bend = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(memory_size + fact_size, hidden_size),
            nn.GELU(),
            nn.Dropout(dropout),
            last,
        )
        self.line = nn.Linear(fact_size, 1)
        for parameter in (self.line.weight, last.weight, last.bias):
            nn.init.zeros_(parameter)

    def start_from(self, risk: float) -> None:
        """Make the untrained answer the log odds of `risk` (0 < risk < 1) for everybody."""
        with torch.no_grad():
            self.line.bias.fill_(math.log(risk / (1.0 - risk)))

    def forward(self, memory: Tensor, facts: Tensor) -> Tensor:
        bend: Tensor = self.bend(torch.cat([memory, facts], dim=1))
        line: Tensor = self.line(facts)
        return (bend + line).squeeze(1)

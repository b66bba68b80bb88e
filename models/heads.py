"""From what the encoder remembers, and what is known besides, to the task's raw numbers."""

import torch
from torch import Tensor, nn


class Head(nn.Module):
    """A small perceptron beside a straight line: raw [B, K] of memory [B, H] and facts [B, F].

    The line alone is a (logistic) regression on the facts; the perceptron adds what bends. Its
    last layer starts at zero, so training starts from the line.
    """

    def __init__(
        self, memory_size: int, fact_size: int, hidden_size: int, dropout: float, outputs: int
    ) -> None:
        super().__init__()
        last = nn.Linear(hidden_size, outputs)
        self.bend = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(memory_size + fact_size, hidden_size),
            nn.GELU(),
            nn.Dropout(dropout),
            last,
        )
        self.line = nn.Linear(fact_size, outputs)
        for parameter in (self.line.weight, last.weight, last.bias):
            nn.init.zeros_(parameter)

    def start_from(self, raw: list[float]) -> None:
        """Make the untrained answer `raw` [K] for everybody."""
        with torch.no_grad():
            self.line.bias.copy_(torch.tensor(raw))

    def forward(self, memory: Tensor, facts: Tensor) -> Tensor:
        bend: Tensor = self.bend(torch.cat([memory, facts], dim=1))
        line: Tensor = self.line(facts)
        return bend + line

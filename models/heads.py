"""From what the encoder remembers, and what is known besides, to the task's raw numbers."""

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from models.config import ModelConfig

SMALLEST_CUMULATED_HAZARD = 1e-30  # its logarithm is still a float32


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


class HazardHead(Head):
    """The chance of the event in each part of the horizon for whoever reached it without.

    The line is one for all parts, beside a number for each: proportional odds, as in Cox's
    discrete model; the perceptron may bend each part on its own. What it answers is a single
    logit [B, 1], that of the event within the horizon, so that whoever calibrates, explains or
    compresses a network sees the same number as of any other probability.
    """

    def __init__(
        self, memory_size: int, fact_size: int, hidden_size: int, dropout: float, bins: int
    ) -> None:
        super().__init__(memory_size, fact_size, hidden_size, dropout, bins)
        self.line = nn.Linear(fact_size, 1, bias=False)
        nn.init.zeros_(self.line.weight)
        self.of_bin = nn.Parameter(torch.zeros(bins))

    def start_from(self, raw: list[float]) -> None:
        """Make the untrained hazards' logits `raw` [K] for everybody."""
        with torch.no_grad():
            self.of_bin.copy_(torch.tensor(raw))

    def hazards(self, memory: Tensor, facts: Tensor) -> Tensor:
        """[B, K] logit of the event in each part, if it did not come before."""
        return super().forward(memory, facts) + self.of_bin

    def forward(self, memory: Tensor, facts: Tensor) -> Tensor:
        return logit_of_event(self.hazards(memory, facts)).unsqueeze(1)


def logit_of_event(hazards: Tensor) -> Tensor:
    """[B] logit of 1 - prod(1 - h) of hazards h whose logits are [B, K].

    With the cumulated hazard L = -sum log(1 - h) it is log(exp(L) - 1), here without overflow.
    """
    cumulated = softplus(hazards).sum(dim=1).clamp(min=SMALLEST_CUMULATED_HAZARD)
    return cumulated + torch.log(-torch.expm1(-cumulated))


def head_of(memory_size: int, fact_size: int, config: ModelConfig, outputs: int) -> Head:
    """The head that a study's model section names; it answers [B, outputs]."""
    sizes = (memory_size, fact_size, config.hidden_size, config.dropout)
    if config.head == "hazard":
        return HazardHead(*sizes, config.hazard_bins)
    return Head(*sizes, outputs)

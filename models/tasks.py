"""What differs between the tasks: how raw answers become predictions, where they start, the loss.

A raw answer is what the network's head says, [B, K]; a prediction is in the unit of the label.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from models.config import QLIKE_SHARE

Floats = npt.NDArray[np.float64]

SMALLEST_GAP = 1e-3


class Task(Protocol):
    """One kind of prediction, pure and without state."""

    @property
    def outputs(self) -> int:
        """K, raw numbers per example."""
        ...

    def predict(self, raw: Tensor, scale: Tensor) -> Tensor:
        """[B, K] predictions in the label's unit, of raw [B, K] and scale [B] > 0."""
        ...

    def start(self, label: Floats, scale: Floats, weight: Floats) -> list[float]:
        """[K] the raw answer that knows nothing but the training rows' labels [R]."""
        ...

    def losses(self, raw: Tensor, label: Tensor, scale: Tensor) -> Tensor:
        """[B] loss of each example; label and scale [B] are finite."""
        ...


@dataclass(frozen=True)
class Probability:
    """Of a label of 1 rather than 0: raw is the logit, the loss cross-entropy."""

    outputs: int = 1

    def predict(self, raw: Tensor, scale: Tensor) -> Tensor:
        return torch.sigmoid(raw)

    def start(self, label: Floats, scale: Floats, weight: Floats) -> list[float]:
        """The log odds of the weighted share of positives."""
        risk = float((weight * label).sum() / weight.sum())
        return [math.log(risk / (1.0 - risk))]

    def losses(self, raw: Tensor, label: Tensor, scale: Tensor) -> Tensor:
        return binary_cross_entropy_with_logits(raw[:, 0], label, reduction="none")


@dataclass(frozen=True)
class Volatility:
    """A positive number f = exp(raw) x scale: raw 0 is what the naive observer says.

    The loss is (log f - log y)^2 + 0.3 QLIKE. QLIKE (Patton 2011) of the variances is
    exp(q) - q - 1 with q = 2 (log y - log f): dear where the volatility is underestimated.
    """

    outputs: int = 1

    def predict(self, raw: Tensor, scale: Tensor) -> Tensor:
        return torch.exp(raw) * scale.unsqueeze(1)

    def start(self, label: Floats, scale: Floats, weight: Floats) -> list[float]:
        return [0.0]

    def losses(self, raw: Tensor, label: Tensor, scale: Tensor) -> Tensor:
        miss = torch.log(label) - torch.log(scale) - raw[:, 0]
        q = 2.0 * miss
        return miss**2 + QLIKE_SHARE * (torch.exp(q) - q - 1.0)


@dataclass(frozen=True)
class Quantiles:
    """At ascending levels, .5 among them, that cannot cross.

    Raw is the median in units of the scale, and for each other level the gap to its neighbour
    on the median's side, before softplus. The loss is the pinball loss (Koenker & Bassett 1978)
    of label / scale, averaged over the levels.
    """

    levels: tuple[float, ...]

    @property
    def outputs(self) -> int:
        return len(self.levels)

    @property
    def median(self) -> int:
        return self.levels.index(0.5)

    def predict(self, raw: Tensor, scale: Tensor) -> Tensor:
        return self._scaled(raw) * scale.unsqueeze(1)

    def start(self, label: Floats, scale: Floats, weight: Floats) -> list[float]:
        """The weighted quantiles of label / scale."""
        wanted = quantiles(label / scale, self.levels, weight)
        gaps = np.maximum(np.abs(np.diff(wanted)), SMALLEST_GAP)
        raw = np.log(np.expm1(gaps))  # softplus undone
        below, above = raw[: self.median].tolist(), raw[self.median :].tolist()
        return [*below, float(wanted[self.median]), *above]

    def losses(self, raw: Tensor, label: Tensor, scale: Tensor) -> Tensor:
        miss = (label / scale).unsqueeze(1) - self._scaled(raw)  # [B, K]
        level = torch.tensor(self.levels, dtype=raw.dtype, device=raw.device)
        return torch.maximum(level * miss, (level - 1.0) * miss).mean(dim=1)

    def _scaled(self, raw: Tensor) -> Tensor:
        """[B, K] quantiles in units of the scale."""
        centre = raw[:, self.median : self.median + 1]
        below = softplus(raw[:, : self.median]).flip(1).cumsum(1).flip(1)
        above = softplus(raw[:, self.median + 1 :]).cumsum(1)
        return torch.cat([centre - below, centre, centre + above], dim=1)


def task_of(name: str, levels: tuple[float, ...]) -> Task:
    """The task that a store names."""
    if name == "volatility":
        return Volatility()
    return Quantiles(levels) if name == "quantiles" else Probability()


def quantiles(values: Floats, levels: tuple[float, ...], weight: Floats) -> Floats:
    """[K] weighted quantiles of values [R]: the inverse of their distribution function."""
    found: Floats = np.quantile(values, levels, weights=weight, method="inverted_cdf")
    return found

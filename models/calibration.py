"""Logistic recalibration: from a score's logit to a probability that keeps its promise."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LARGEST_LOGIT = 30.0


@dataclass(frozen=True)
class Calibration:
    """probability = sigmoid(intercept + slope x logit).

    `fitted` is False where the data could not decide and the scores are passed on as they are.
    """

    intercept: float
    slope: float
    fitted: bool

    def __call__(self, logit: Floats) -> Floats:
        return sigmoid(self.intercept + self.slope * np.asarray(logit, dtype=np.float64))

    @classmethod
    def from_json(cls, words: dict[str, Any]) -> Self:
        return cls(float(words["intercept"]), float(words["slope"]), bool(words["fitted"]))


IDENTITY = Calibration(0.0, 1.0, fitted=False)


def sigmoid(logit: Floats) -> Floats:
    probability: Floats = np.exp(-np.logaddexp(0.0, -logit))
    return probability


def logit(probability: Floats) -> Floats:
    """Log odds, cut at +-30 where a probability rounds to 0 or 1."""
    with np.errstate(divide="ignore"):
        odds = np.log(probability) - np.log1p(-probability)
    clipped: Floats = np.clip(odds, -LARGEST_LOGIT, LARGEST_LOGIT)
    return clipped


def fit_calibration(logits: Floats, label: Floats, weight: Floats) -> Calibration:
    """Weighted maximum likelihood of intercept and slope (Cox 1958) by Newton's method.

    Args:
        logits, label, weight: [R]; rows of weight 0 or label NaN do not count.

    Returns:
        the identity where there is one class only, or no finite slope above 0 to be found (one
        score for all, classes that do not overlap, ranks the wrong way round):
        ranks are the network's business, and a calibration must never turn them around.
    """
    known = (weight > 0) & ~np.isnan(label)
    x, y, w = (a[known].astype(np.float64) for a in (logits, label, weight))
    if len(np.unique(y)) < 2 or np.ptp(x) == 0.0 or x[y == 1].min() >= x[y == 0].max():
        return IDENTITY
    design = np.stack([np.ones_like(x), x], axis=1)  # [R, 2]
    beta = np.array([0.0, 1.0])
    loss = _loss(design @ beta, y, w)
    for _ in range(100):
        p = sigmoid(design @ beta)
        gradient = design.T @ (w * (y - p))
        curvature = (design * (w * p * (1.0 - p))[:, None]).T @ design
        step, *_ = np.linalg.lstsq(curvature, gradient)
        # Halve a step that overshoots: far out the curvature vanishes and Newton leaps.
        while (new := _loss(design @ (beta + step), y, w)) > loss and np.abs(step).max() > 1e-12:
            step = step / 2
        beta, loss = beta + step, min(new, loss)
        if np.abs(step).max() < 1e-10:
            break
    usable = np.isfinite(beta).all() and beta[1] > 0.0 and np.abs(beta).max() < 1e3
    return Calibration(float(beta[0]), float(beta[1]), fitted=True) if usable else IDENTITY


def _loss(logits: Floats, label: Floats, weight: Floats) -> float:
    return float(np.sum(weight * (np.logaddexp(0.0, logits) - label * logits)))

"""The simple models that a network must not lose to: same rows, same weights, same calibration."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from models.calibration import logit

Floats = npt.NDArray[np.float64]

# What a stored tree model may contain; anything else in the file is refused unread.
TRUSTED_TYPES = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
EXTREME_DEVIATIONS = 5.0


class Challenger(Protocol):
    """A fitted simple model."""

    def logits(self, columns: Floats) -> Floats:
        """[R] log odds of rows [R, K]."""
        ...

    def write(self, directory: Path) -> None: ...


@dataclass(frozen=True)
class Prevalence:
    """Everybody has the training rows' weighted risk: what any model must beat."""

    risk: float

    @classmethod
    def fit(cls, columns: Floats, label: Floats, weight: Floats) -> Self:
        return cls(float(np.average(label, weights=weight)))

    @classmethod
    def read(cls, directory: Path) -> Self:
        return cls(**json.loads((directory / "prevalence.json").read_text()))

    def logits(self, columns: Floats) -> Floats:
        return np.full(len(columns), logit(np.array(self.risk)))

    def write(self, directory: Path) -> None:
        (directory / "prevalence.json").write_text(json.dumps(asdict(self)))


@dataclass(frozen=True)
class Line:
    """Logistic regression on standardised columns [K] and on which of them are missing [K]."""

    mean: list[float]
    std: list[float]
    coefficient: list[float]
    missing_coefficient: list[float]
    intercept: float

    @classmethod
    def fit(cls, columns: Floats, label: Floats, weight: Floats) -> Self:
        filled = np.where(np.isnan(columns), 0.0, columns)
        there = np.maximum((~np.isnan(columns)).sum(axis=0), 1)
        mean = filled.sum(axis=0) / there
        centred = np.where(np.isnan(columns), 0.0, columns - mean)
        std = np.sqrt((centred**2).sum(axis=0) / there)
        std = np.where(std > 0, std, 1.0)
        model = LogisticRegression(C=0.01, max_iter=2000)
        model.fit(_standardise(columns, mean, std), label, sample_weight=weight)
        beta = model.coef_[0].tolist()
        width = columns.shape[1]
        intercept = float(model.intercept_[0])
        return cls(mean.tolist(), std.tolist(), beta[:width], beta[width:], intercept)

    @classmethod
    def read(cls, directory: Path) -> Self:
        return cls(**json.loads((directory / "logistic_regression.json").read_text()))

    def logits(self, columns: Floats) -> Floats:
        design = _standardise(columns, np.array(self.mean), np.array(self.std))
        beta = np.array(self.coefficient + self.missing_coefficient)
        answer: Floats = self.intercept + design @ beta
        return answer

    def write(self, directory: Path) -> None:
        (directory / "logistic_regression.json").write_text(json.dumps(asdict(self)))


@dataclass(frozen=True)
class Trees:
    """Gradient-boosted trees of four leaves on the columns that vary; NaN is a value to them."""

    model: Any
    used: list[int]

    @classmethod
    def fit(cls, columns: Floats, label: Floats, weight: Floats) -> Self:
        # A column with one value or none has no thresholds, which scikit-learn does not survive.
        used = [k for k, c in enumerate(columns.T) if len(np.unique(c[~np.isnan(c)])) > 1]
        model = HistGradientBoostingClassifier(
            max_leaf_nodes=4, min_samples_leaf=40, max_iter=100, random_state=0
        )
        return cls(model.fit(columns[:, used], label, sample_weight=weight), used)

    @classmethod
    def read(cls, directory: Path) -> Self:
        used = json.loads((directory / "hist_gradient_boosting.json").read_text())
        path = directory / "hist_gradient_boosting.skops"
        return cls(skops.io.load(path, trusted=TRUSTED_TYPES), used)

    def logits(self, columns: Floats) -> Floats:
        answer: Floats = self.model.decision_function(columns[:, self.used])
        return answer

    def write(self, directory: Path) -> None:
        (directory / "hist_gradient_boosting.json").write_text(json.dumps(self.used))
        skops.io.dump(self.model, directory / "hist_gradient_boosting.skops")


CHALLENGERS: dict[str, type[Line | Trees | Prevalence]] = {
    "logistic_regression": Line,
    "hist_gradient_boosting": Trees,
    "prevalence": Prevalence,
}


def _standardise(columns: Floats, mean: Floats, std: Floats) -> Floats:
    """[R, 2K] scaled columns, 0 where missing, and 1 where missing."""
    missing = np.isnan(columns)
    scaled = np.clip((columns - mean) / std, -EXTREME_DEVIATIONS, EXTREME_DEVIATIONS)
    return np.concatenate([np.where(missing, 0.0, scaled), missing], axis=1)

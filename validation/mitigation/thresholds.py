"""One threshold per group: Fairlearn's randomised answer, shipped as a deterministic table.

Fairlearn's ThresholdOptimizer (Hardt et al., NeurIPS 2016) makes a rate equal over the groups by
tossing a coin between two thresholds. A patient's decision must not be a coin's: each group gets
the one threshold whose own rate comes nearest to the rate that the randomised answer makes equal.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from fairlearn.postprocessing import ThresholdOptimizer
from sklearn.base import BaseEstimator

from validation.groups import UNKNOWN_LEVEL, UnauditableTable
from validation.mitigation.config import Constraint, GroupThresholds
from validation.mitigation.records import GroupThreshold, ThresholdTable
from validation.ranking import FloatArray

FITTED_ON = "validation"
# With fewer cases, or fewer others, of a level its rates say too little to fit anything.
LEAST_TO_FIT = 20
# With fewer on either side, a rate gives away how few.
LEAST_TO_TELL = 11
# Fairlearn takes no weights: a row is repeated in proportion to its own, to a tenth.
COPIES_PER_WEIGHT = 10
RATES: Mapping[Constraint, tuple[str, ...]] = {
    "demographic_parity": ("selection_rate",),
    "true_positive_rate_parity": ("tpr",),
    "false_positive_rate_parity": ("fpr",),
    "equalized_odds": ("tpr", "fpr"),
}


class _Given(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A model that was fitted elsewhere: its scores are handed in as the features."""

    def fit(self, features: Any, labels: Any) -> "_Given":
        return self

    def predict(self, features: Any) -> Any:
        return np.asarray(features)[:, 0]

    def __sklearn_is_fitted__(self) -> bool:
        return True


@dataclass(frozen=True)
class _Rows:
    """Rows of the validation split with a known label; all [n]."""

    y: FloatArray
    score: FloatArray
    weight: FloatArray
    level: npt.NDArray[np.str_]

    def of(self, chosen: npt.NDArray[np.bool_]) -> "_Rows":
        return _Rows(self.y[chosen], self.score[chosen], self.weight[chosen], self.level[chosen])

    def rates(self, selected: FloatArray) -> dict[str, float]:
        """Weighted rates of selected [n], a share of each row that is selected."""
        w, y = self.weight, self.y
        chosen = w * selected
        return {
            "selection_rate": float(chosen.sum() / w.sum()),
            "tpr": float((chosen * y).sum() / (w * y).sum()),
            "fpr": float((chosen * (1.0 - y)).sum() / (w * (1.0 - y)).sum()),
        }


def fit_thresholds(
    predictions: pl.DataFrame, attribute: str, overall: float, config: GroupThresholds
) -> ThresholdTable:
    """The table, fitted on the validation split alone.

    predictions: split, label (null = censored), weight, score and the attribute.
    overall: the study's threshold, which every level has that cannot be fitted.
    Raises UnauditableTable where a column is missing.
    """
    rows = _rows(predictions, attribute)
    counts = {str(level): _least(rows, str(level)) for level in np.unique(rows.level)}
    fitted = [level for level, least in counts.items() if least >= LEAST_TO_FIT]
    if len(fitted) < 2:
        fitted = []
    inside = rows.of(np.isin(rows.level, fitted))
    target = _target(inside, config) if fitted else {}
    groups = [
        _threshold(rows.of(rows.level == level), level, target, overall)
        if level in fitted
        else _unfitted(level, overall)
        for level in counts
    ]
    return ThresholdTable(
        attribute=attribute,
        constraint=config.constraint,
        objective=config.objective,
        overall=overall,
        groups=tuple(groups),
        target=target,
        words=(
            "Fitted on the validation split by Fairlearn's ThresholdOptimizer. Its answer tosses a "
            "coin between two thresholds; each level here has the one threshold whose rates come "
            "nearest to those that the coin makes equal, so equality is approximate. A level that "
            "is not named has the overall threshold."
        ),
    )


def _rows(predictions: pl.DataFrame, attribute: str) -> _Rows:
    needed = ("split", "label", "weight", "score", attribute)
    if missing := [name for name in needed if name not in predictions.columns]:
        raise UnauditableTable(f"thresholds need the columns {missing}")
    frame = predictions.filter(
        (pl.col("split") == FITTED_ON) & (pl.col("weight") > 0) & pl.col("label").is_not_null()
    )
    return _Rows(
        y=frame["label"].cast(pl.Float64).to_numpy(),
        score=frame["score"].cast(pl.Float64).to_numpy(),
        weight=frame["weight"].cast(pl.Float64).to_numpy(),
        level=frame[attribute].cast(pl.String).fill_null(UNKNOWN_LEVEL).to_numpy().astype(np.str_),
    )


def _least(rows: _Rows, level: str) -> int:
    y = rows.y[rows.level == level]
    return int(min(y.sum(), len(y) - y.sum()))


def _target(rows: _Rows, config: GroupThresholds) -> dict[str, float]:
    """The rates that the randomised answer gives to every level alike."""
    copies = np.maximum(1, np.rint(rows.weight * COPIES_PER_WEIGHT).astype(np.int64))
    order = np.repeat(np.arange(len(rows.y)), copies)
    features = rows.score[:, None]
    optimizer = ThresholdOptimizer(
        estimator=_Given(),
        constraints=config.constraint,
        objective=config.objective,
        prefit=True,
        predict_method="predict",
    )
    optimizer.fit(
        features[order], rows.y[order].astype(np.int64), sensitive_features=rows.level[order]
    )
    chances = optimizer._pmf_predict(features, sensitive_features=rows.level)[:, 1]
    rates = rows.rates(np.asarray(chances, dtype=np.float64))
    return {name: rates[name] for name in RATES[config.constraint]}


def _threshold(
    rows: _Rows, level: str, target: Mapping[str, float], overall: float
) -> GroupThreshold:
    """The threshold whose rates are nearest to the target; of equals, that nearest to overall."""
    scores = np.unique(rows.score)
    # Between two scores, so that a score's last bit decides nothing.
    cuts = np.concatenate([scores[:1], 0.5 * (scores[1:] + scores[:-1])])
    distances = []
    for cut in cuts:
        rates = rows.rates((rows.score >= cut).astype(np.float64))
        far = math.hypot(*(rates[name] - wanted for name, wanted in target.items()))
        distances.append((round(far, 12), abs(float(cut) - overall)))
    best = min(range(len(cuts)), key=lambda number: distances[number])
    said = ", ".join(_said(rows, rows.score >= cuts[best], *each) for each in target.items())
    return GroupThreshold(level=level, threshold=float(cuts[best]), fitted=True, words=said)


def _said(rows: _Rows, selected: npt.NDArray[np.bool_], name: str, wanted: float) -> str:
    """A level's rate for people to read: not one from which a count of few follows."""
    title = name.replace("_", " ")
    inside = {"tpr": rows.y == 1.0, "fpr": rows.y == 0.0}.get(name, np.ones_like(selected))
    if min((inside & selected).sum(), (inside & ~selected).sum()) < LEAST_TO_TELL:
        return f"{title} not shown, too few on one side (wanted {wanted:.2f})"
    reached = rows.rates(selected.astype(np.float64))[name]
    return f"{title} {reached:.2f} (wanted {wanted:.2f})"


def _unfitted(level: str, overall: float) -> GroupThreshold:
    words = f"fewer than {LEAST_TO_FIT} cases or others to fit on, here or in all other levels"
    return GroupThreshold(level=level, threshold=overall, fitted=False, words=words)

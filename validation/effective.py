"""How many patients, and how many rows of equal weight, stand behind a metric."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from validation.ranking import FloatArray
from validation.tasks import METRIC_NAMES, MetricName


@dataclass(frozen=True)
class Effective:
    """Effective numbers of clusters and of rows."""

    clusters: float
    rows: float


def kish(weights: FloatArray) -> float:
    """(sum of w)^2 / sum of w^2: as many of equal weight carry as much (Kish 1965). 0 of none."""
    squares = float(weights @ weights)
    return float(weights.sum()) ** 2 / squares if squares > 0.0 else 0.0


def effective_sizes(
    y: FloatArray,
    weight: FloatArray,
    selected: npt.NDArray[np.bool_],
    clusters: npt.NDArray[np.int64],
) -> dict[MetricName, Effective]:
    """Of every metric: what its denominator holds, or the scarcer of events and non-events.

    All [n]; selected: score at or above the threshold.
    """
    _, member = np.unique(clusters, return_inverse=True)

    def of(denominator: FloatArray) -> Effective:
        return Effective(kish(_summed(member, denominator)), kish(denominator))

    events, others = of(weight * y), of(weight * (1.0 - y))
    scarcer = min(events, others, key=lambda each: each.clusters)
    special: dict[MetricName, Effective] = {
        "tpr": events,
        "fpr": others,
        "ppv": of(weight * selected),
        "selection_rate": of(weight),
    }
    return {name: special.get(name, scarcer) for name in METRIC_NAMES}


def _summed(member: npt.NDArray[np.int64], values: FloatArray) -> FloatArray:
    return np.bincount(member, values).astype(np.float64)

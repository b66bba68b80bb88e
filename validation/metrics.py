"""Metrics of predicted probabilities under many weightings of the same rows.

Every public metric takes y [n] (0 or 1), score [n] (probability) and weights [draws, n] and
returns [draws]: one row of weights for the point value (the inverse-probability-of-censoring
weights), a thousand for a bootstrap. A metric that a draw cannot give is NaN, never 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from validation.ranking import FloatArray, Ranking, auprc, auroc, discrimination, rank, ratio
from validation.recalibration import (
    Logits,
    calibration_intercept,
    calibration_slope,
    intercept_at_slope_one,
    logits,
    resolve_steep,
    slope_with_intercept,
)
from validation.tasks import METRIC_NAMES, MetricName


def brier(y: FloatArray, score: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted mean of (score - y)^2 (Brier, Mon Weather Rev 1950; Graf et al. 1999 weighted)."""
    return ratio(weights @ (score - y) ** 2, weights.sum(axis=1))


def observed_expected(y: FloatArray, score: FloatArray, weights: FloatArray) -> FloatArray:
    """Weight of events divided by the sum of predicted probabilities; 1 is ideal."""
    return ratio(weights @ y, weights @ score)


def tpr(y: FloatArray, score: FloatArray, weights: FloatArray, threshold: float) -> FloatArray:
    """Share of events with score >= threshold (sensitivity)."""
    return ratio(weights @ (y * (score >= threshold)), weights @ y)


def fpr(y: FloatArray, score: FloatArray, weights: FloatArray, threshold: float) -> FloatArray:
    """Share of non-events with score >= threshold (1 - specificity)."""
    return ratio(weights @ ((1.0 - y) * (score >= threshold)), weights @ (1.0 - y))


def ppv(y: FloatArray, score: FloatArray, weights: FloatArray, threshold: float) -> FloatArray:
    """Share of events among those with score >= threshold (precision)."""
    return ratio(weights @ (y * (score >= threshold)), weights @ (score >= threshold))


def selection_rate(
    y: FloatArray, score: FloatArray, weights: FloatArray, threshold: float
) -> FloatArray:
    """Share of subjects with score >= threshold."""
    return ratio(weights @ (score >= threshold).astype(np.float64), weights.sum(axis=1))


def net_benefit(
    y: FloatArray, score: FloatArray, weights: FloatArray, threshold: float
) -> FloatArray:
    """True positives minus false positives at the threshold's odds, per subject.

    TP/N - FP/N * t/(1 - t): Vickers and Elkin, Med Decis Making 2006.
    """
    selected = score >= threshold
    gain = np.where(selected, y - (1.0 - y) * threshold / (1.0 - threshold), 0.0)
    return ratio(weights @ gain, weights.sum(axis=1))


def metric(
    name: MetricName,
    y: FloatArray,
    score: FloatArray,
    weights: FloatArray,
    threshold: float,
) -> FloatArray:
    """One metric by name, [draws]. Raises KeyError for a name that is no metric."""
    if name in _AT_THRESHOLD:
        return _AT_THRESHOLD[name](y, score, weights, threshold)
    return _OF_SCORES[name](y, score, weights)


_OF_SCORES: dict[MetricName, Callable[[FloatArray, FloatArray, FloatArray], FloatArray]] = {
    "auroc": auroc,
    "auprc": auprc,
    "brier": brier,
    "calibration_slope": calibration_slope,
    "calibration_intercept": calibration_intercept,
    "observed_expected": observed_expected,
}
_AT_THRESHOLD: dict[
    MetricName, Callable[[FloatArray, FloatArray, FloatArray, float], FloatArray]
] = {
    "tpr": tpr,
    "fpr": fpr,
    "ppv": ppv,
    "selection_rate": selection_rate,
    "net_benefit": net_benefit,
}


# ---- all at once -----------------------------------------------------------------------------


# What Measure.of_sums gives: no row need be looked at again in a draw.
SUM_METRICS: tuple[MetricName, ...] = (
    "brier",
    "calibration_intercept",
    "observed_expected",
    "tpr",
    "fpr",
    "ppv",
    "selection_rate",
    "net_benefit",
)


@dataclass(frozen=True)
class Measure:
    """All metrics of one set of rows, prepared once and asked for many weightings.

    ranking sorts the rows; y [n], logit.x [n] and features [n, 7 + m] are in that order.
    """

    ranking: Ranking
    y: FloatArray
    logit: Logits
    features: FloatArray
    threshold: float

    def __call__(self, ordered: FloatArray, sums: FloatArray | None = None) -> FloatArray:
        """Metrics [draws, len(METRIC_NAMES)] of weights [draws, n] in the ranking's order.

        sums: ordered @ features, where that is known already.
        """
        sums = ordered @ self.features if sums is None else sums
        area, precision = discrimination(self.ranking, ordered)
        events, events_x = sums[:, 1], sums[:, 6]
        slope = slope_with_intercept(self.logit.nodes, sums[:, 7:], events, events_x)
        values = self.of_sums(sums) | {
            "auroc": area,
            "auprc": precision,
            "calibration_slope": resolve_steep(slope, self.y, self.logit.x, ordered),
        }
        return np.stack([values[name] for name in METRIC_NAMES], axis=1)

    def of_sums(self, sums: FloatArray) -> dict[MetricName, FloatArray]:
        """Every metric that sums [draws, 7 + m] over rows of weight times features decide."""
        total, events, expected, loss, selected, found, _ = sums[:, :7].T
        false = selected - found
        odds = self.threshold / (1.0 - self.threshold)
        return {
            "brier": ratio(loss, total),
            "calibration_intercept": intercept_at_slope_one(self.logit.nodes, sums[:, 7:], events),
            "observed_expected": ratio(events, expected),
            "tpr": ratio(found, events),
            "fpr": ratio(false, total - events),
            "ppv": ratio(found, selected),
            "selection_rate": ratio(selected, total),
            "net_benefit": ratio(found - odds * false, total),
        }


def prepare(y: FloatArray, score: FloatArray, threshold: float) -> Measure:
    """Sort y [n] and score [n] and tabulate all that does not depend on weights."""
    ranking = rank(y, score)
    y, score = y[ranking.order], score[ranking.order]
    logit = logits(score)
    selected = (score >= threshold).astype(np.float64)
    linear = [np.ones_like(y), y, score, (score - y) ** 2, selected, selected * y, y * logit.x]
    return Measure(ranking, y, logit, np.column_stack([*linear, logit.spread]), threshold)

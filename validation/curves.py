"""Curves of a population: ROC, precision-recall, calibration bins, in cells that hide no one."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from validation.config import AuditConfig
from validation.estimates import Estimate
from validation.evidence import CalibrationBin, CurvePoint, Curves
from validation.intervals import draw_counts, percentile_interval, standard_error
from validation.ranking import FloatArray, IntArray, ratio

MOST_POINTS = 200
MOST_BINS = 10


WeightsOf = Callable[[FloatArray], FloatArray]


def curves(
    y: FloatArray,
    score: FloatArray,
    weight: FloatArray,
    clusters: npt.NDArray[np.int64],
    config: AuditConfig,
    weights_of: WeightsOf | None = None,
) -> Curves:
    """Curves of y [n], score [n], weight [n]; subjects of weight 0 take no part.

    Between two points of a curve lie at least minimum_cell_subjects subjects; each calibration
    bin holds as many subjects, events and non-events, or there are no bins. weights_of: weights
    [d, n] of rows drawn counts [d, n] times, where they are not counts times weight.
    """
    known = weight > 0
    order = np.flatnonzero(known)[np.argsort(score[known], kind="stable")[::-1]]
    whole = weight
    drawn = weights_of or (lambda counts: counts * whole)
    samples = _drawn_weights(clusters, order, drawn, config)
    y, score, weight = y[order], score[order], weight[order]
    if min(y.sum(), (1 - y).sum()) < config.least_positives:
        return Curves()
    ends = _point_ends(score, config.minimum_cell_subjects)
    found, selected = np.cumsum(weight * y)[ends - 1], np.cumsum(weight)[ends - 1]
    recall, false = found / found[-1], selected - found
    return Curves(
        roc=(CurvePoint(x=0.0, y=0.0), *_points(false / false[-1], recall)),
        precision_recall=_points(recall, found / selected),
        calibration=_calibration(y, score, weight, samples, config),
    )


def _drawn_weights(
    clusters: npt.NDArray[np.int64], order: IntArray, weights_of: WeightsOf, config: AuditConfig
) -> Iterator[FloatArray]:
    """Blocks [d, m] of bootstrap weights of the rows `order` [m]; the draws are the audit's own."""
    drawn = draw_counts(clusters, draws=config.bootstrap_draws, seed=config.bootstrap_seed)
    return (weights_of(counts)[:, order] for counts in drawn)


def _points(x: FloatArray, y: FloatArray) -> tuple[CurvePoint, ...]:
    return tuple(CurvePoint(x=float(a), y=float(b)) for a, b in zip(x, y, strict=True))


def _point_ends(score: FloatArray, least: int) -> IntArray:
    """How many of the highest scores lie above each point, [points]; ties are never cut."""
    step = max(least, len(score) // MOST_POINTS)
    last_of_tie = np.flatnonzero(np.diff(score, append=-np.inf)) + 1
    ends, before = [], 0
    for end in last_of_tie:
        if end - before >= step and len(score) - end >= least:
            ends.append(int(end))
            before = int(end)
    return np.array([*ends, len(score)], dtype=np.intp)


def _calibration(
    y: FloatArray,
    score: FloatArray,
    weight: FloatArray,
    drawn: Iterator[FloatArray],
    config: AuditConfig,
) -> tuple[CalibrationBin, ...]:
    member = _bins(y, score, config.minimum_cell_subjects)
    indicator = (member[:, None] == np.arange(member.max() + 1)).astype(np.float64)
    positive = indicator * y[:, None]

    def observed(weights: FloatArray) -> FloatArray:
        return ratio(weights @ positive, weights @ indicator)

    samples = np.concatenate([observed(weights) for weights in drawn])
    predicted = ratio((weight * score) @ indicator, weight @ indicator)
    values = observed(weight[None])[0]
    return tuple(
        CalibrationBin(
            subjects=int(indicator[:, k].sum()),
            predicted=float(predicted[k]),
            observed=_estimate(values[k], samples[:, k]),
        )
        for k in reversed(range(len(values)))
    )


def _estimate(value: float, samples: FloatArray) -> Estimate:
    low, high = percentile_interval(samples)
    if not np.isfinite([value, low, high]).all():
        return Estimate(reason="not defined on these subjects")
    return Estimate(value=float(value), low=low, high=high, standard_error=standard_error(samples))


def _bins(y: FloatArray, score: FloatArray, least: int) -> IntArray:
    """Bin of each row, [n], rows by descending score: equal counts, merged until large enough."""
    want = max(least, len(score) // MOST_BINS)
    last_of_tie = np.flatnonzero(np.diff(score, append=-np.inf)) + 1
    events = np.concatenate([[0.0], np.cumsum(y)])
    member = np.zeros(len(score), dtype=np.intp)
    before, current = 0, 0
    for end in last_of_tie:
        inside, after = events[end] - events[before], events[-1] - events[end]
        others, others_after = end - before - inside, len(score) - end - after
        if end - before >= want and min(inside, others, after, others_after) >= least:
            current += 1
            member[end:] = current
            before = int(end)
    return member

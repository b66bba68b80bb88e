"""Calibration slope and intercept for many weightings of the same rows.

Both are roots of sums over rows of weight times a smooth function of the row's logit. Such sums
are evaluated at a few Chebyshev nodes instead of at every row: one matrix product moves each
draw's weights from rows to nodes, exactly for polynomials of the nodes' degree, and the logistic
function is one within 1e-9 over the logits' range (Trefethen, Approximation Theory and
Approximation Practice, 2013, theorem 8.2). Newton's iterations then cost nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev

from validation.ranking import FloatArray, ratio

# A score of exactly 0 or 1 has no logit.
SMALLEST_SCORE = 1e-6
# Slopes beyond this are solved on the rows: the nodes are chosen for slopes up to it.
NODES_HOLD_TO_SLOPE = 2.0
# Beyond this the scores separate events from the others as good as perfectly: no slope exists.
STEEPEST_SLOPE = 20.0
# Below this share of distinct logits, equal ones are added up first.
MANY_VALUES = 0.25
_NODE_ACCURACY = 1e-9
_STEP_TOLERANCE = 1e-9
_ROUNDING = 1e-9
_MAX_ITERATIONS = 60


@dataclass(frozen=True)
class Logits:
    """Logits of scores and the nodes that stand for them.

    x [n]: logit of each row.   nodes [m].   spread [n, m]: share of a row's weight per node.
    """

    x: FloatArray
    nodes: FloatArray
    spread: FloatArray


def logits(score: FloatArray) -> Logits:
    """Logits of score [n], scores cut to [1e-6, 1 - 1e-6], with nodes over their range."""
    kept = np.clip(score, SMALLEST_SCORE, 1.0 - SMALLEST_SCORE)
    x = np.log(kept) - np.log1p(-kept)
    half = 0.5 * (x.max() - x.min())
    if half == 0.0:
        return Logits(x, x[:1], np.ones((len(x), 1)))
    count = _node_count(half)
    if count >= len(x):
        return Logits(x, x, np.eye(len(x)))
    middle = x.min() + half
    standard = chebyshev.chebpts1(count)
    # Discrete orthogonality of the polynomials at their own nodes gives the interpolation.
    at_nodes = chebyshev.chebvander(standard, count - 1) * (2.0 / count)
    at_nodes[:, 0] *= 0.5
    spread = chebyshev.chebvander((x - middle) / half, count - 1) @ at_nodes.T
    return Logits(x, middle + half * standard, spread)


def _node_count(half_range: float) -> int:
    # The logistic function's nearest poles lie at a height of pi / slope; they set the rate.
    height = np.pi / (NODES_HOLD_TO_SLOPE * half_range)
    rate = height + np.hypot(1.0, height)
    return int(np.ceil(-np.log(_NODE_ACCURACY) / np.log(rate)))


def intercept_at_slope_one(nodes: FloatArray, weight: FloatArray, events: FloatArray) -> FloatArray:
    """The a, [draws], with sum of weight * logistic(a + x) = events; NaN where there is none.

    nodes [m], weight [draws, m], events [draws] (weight of events).
    """
    a = np.zeros(len(weight))
    total = weight.sum(axis=1)
    # Weights moved to nodes add up but for rounding: only events is not quite only events.
    solvable = (events > _ROUNDING * total) & (events < (1.0 - _ROUNDING) * total)
    for _ in range(_MAX_ITERATIONS):
        p = _logistic(a[:, None] + nodes)
        curvature = (weight * p * (1.0 - p)).sum(axis=1)
        step = ratio(events - (weight * p).sum(axis=1), curvature)
        a += np.clip(np.where(solvable, step, 0.0), -2.0, 2.0)
        if not np.any(np.abs(step[solvable]) > _STEP_TOLERANCE):
            break
    settled = solvable & (np.abs(step) <= _STEP_TOLERANCE)
    return np.where(settled, a, np.nan)


def slope_with_intercept(
    nodes: FloatArray, weight: FloatArray, events: FloatArray, events_x: FloatArray
) -> FloatArray:
    """The b, [draws], of the weighted logistic regression a + b x; NaN where there is none.

    nodes [m], weight [draws, m], events [draws] = sum w y, events_x [draws] = sum w y x.
    """
    intercept = intercept_at_slope_one(nodes, weight, events)
    a = np.nan_to_num(intercept)
    b = np.ones(len(weight))
    size = np.full(len(weight), np.inf)
    for _ in range(_MAX_ITERATIONS):
        step_a, step_b = _newton_step(nodes, weight, events, events_x, a, b)
        size = np.maximum(np.abs(step_a), np.abs(step_b))
        # A long first step can leave the basin: no step moves a parameter by more than 1.
        shorten = 1.0 / np.maximum(1.0, size)
        a += np.nan_to_num(step_a * shorten)
        b += np.nan_to_num(step_b * shorten)
        if not np.any(size > _STEP_TOLERANCE):
            break
    found = (size <= _STEP_TOLERANCE) & (np.abs(b) <= STEEPEST_SLOPE) & np.isfinite(intercept)
    return np.where(found, b, np.nan)


def _newton_step(
    nodes: FloatArray,
    weight: FloatArray,
    events: FloatArray,
    events_x: FloatArray,
    a: FloatArray,
    b: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    p = _logistic(a[:, None] + b[:, None] * nodes)
    expected = weight * p
    spread = expected * (1.0 - p)
    g0 = events - expected.sum(axis=1)
    g1 = events_x - expected @ nodes
    h00, h01, h11 = spread.sum(axis=1), spread @ nodes, spread @ nodes**2
    determinant = h00 * h11 - h01**2
    # Constant scores leave a determinant of rounding only; separated ones no curvature at all.
    curved = (determinant > 1e-10 * h00 * h11) & (h00 > _ROUNDING * weight.sum(axis=1))
    determinant = np.where(curved, determinant, 0.0)
    return (
        ratio(h11 * g0 - h01 * g1, determinant),
        ratio(h00 * g1 - h01 * g0, determinant),
    )


def _logistic(x: FloatArray) -> FloatArray:
    return 0.5 + 0.5 * np.tanh(0.5 * x)


def calibration_slope(y: FloatArray, score: FloatArray, weights: FloatArray) -> FloatArray:
    """Slope b of logit P(y = 1) = a + b logit(score), [draws]; 1 is ideal, below 1 too extreme.

    Cox, Biometrika 1958; Steyerberg and Vergouwe, Eur Heart J 2014. NaN where the draw lacks
    events or non-events, scores do not vary, or scores separate the events.
    y [n], score [n], weights [draws, n].
    """
    spread = logits(score)
    at_nodes = weights @ spread.spread
    events, events_x = weights @ y, weights @ (y * spread.x)
    slope = slope_with_intercept(spread.nodes, at_nodes, events, events_x)
    return resolve_steep(slope, y, spread.x, weights)


def resolve_steep(
    slope: FloatArray, y: FloatArray, x: FloatArray, weights: FloatArray
) -> FloatArray:
    """Replace slopes that the nodes cannot hold by those solved on the rows, [draws]."""
    steep = ~(np.abs(slope) <= NODES_HOLD_TO_SLOPE)
    if not steep.any() or x.min() == x.max():
        return slope
    kept = weights[steep]
    events, events_x = kept @ y, kept @ (y * x)
    exact = slope.copy()
    exact[steep] = slope_with_intercept(*_by_value(x, kept), events, events_x)
    return exact


def _by_value(x: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The distinct values of x [n] and the weights [draws, n] of each: a model may know few."""
    values, number = np.unique(x, return_inverse=True)
    if len(values) > MANY_VALUES * len(x):
        return x, weights
    return values, np.stack([np.bincount(number, one, len(values)) for one in weights])


def calibration_intercept(y: FloatArray, score: FloatArray, weights: FloatArray) -> FloatArray:
    """Calibration in the large: a of logit P(y = 1) = a + logit(score), [draws]; 0 is ideal.

    The slope is held at 1, so above 0 the scores are too low on average: Van Calster et al.,
    J Clin Epidemiol 2016. NaN where the draw lacks events or non-events.
    y [n], score [n], weights [draws, n].
    """
    spread = logits(score)
    return intercept_at_slope_one(spread.nodes, weights @ spread.spread, weights @ y)

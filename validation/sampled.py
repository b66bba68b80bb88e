"""A metric with its bootstrap draws, and the estimates that are made of it."""

import math
from dataclasses import dataclass

import numpy as np

from validation.estimates import Estimate
from validation.interval_forms import Form, form_interval, t_quantile
from validation.intervals import LEVEL, enough_defined, standard_error
from validation.ranking import FloatArray

UNDEFINED = "not defined on these subjects"
NO_SPREAD = "the same difference in every draw, which says nothing of how sure it is"
# A narrower interval is a point: what is left is the rounding of sums in another order.
POINT = 1e-9
_SAME = 1e-12
SINGLE_TAIL = 0.5 * (1.0 - LEVEL)


@dataclass(frozen=True)
class Sampled:
    """One metric of some rows: its value, and samples [draws] under resampled clusters.

    clusters, rows: effective numbers of those that carry the metric.
    """

    value: float
    samples: FloatArray
    form: Form
    clusters: float
    rows: float

    @property
    def error(self) -> float:
        """Standard error; a bootstrap's is that of a variance divided by n, not by n - 1."""
        return standard_error(self.samples) * _unbiased(self.clusters)

    @property
    def is_defined(self) -> bool:
        return math.isfinite(self.value) and enough_defined(self.samples)

    def interval(self, tail: float) -> tuple[float, float]:
        """The interval that leaves the probability `tail` to each end."""
        critical = t_quantile(tail, self.clusters)
        return form_interval(self.form, self.value, self.error, critical, self.clusters, self.rows)


def _unbiased(clusters: float) -> float:
    return math.sqrt(clusters / (clusters - 1.0)) if clusters > 2.0 else math.sqrt(2.0)


def estimate_of(one: Sampled, reason: str | None = None) -> Estimate:
    """A value with its 95 % interval, or nothing and the reason."""
    if reason is None and not one.is_defined:
        reason = UNDEFINED
    if reason is not None:
        return Estimate(reason=reason)
    return _whole(one.value, one.interval(SINGLE_TAIL), one.error)


def paired(
    first: Sampled, second: Sampled, reason: str | None = None, *, same_model: bool = False
) -> Estimate:
    """first minus second on the same rows: two models, or two forms of one. Null as above.

    Value +- t * standard error of the differences by draw: what the two share cancels in them.
    Two models that decide alike about every subject here would not about others: without any
    spread nothing is told, unless they are the same model, whose difference is exactly 0.
    """
    fewest = min(first.clusters, second.clusters)
    rounding = 0.0 if same_model else 1.0
    apart = rounding * (first.samples - second.samples)
    value = rounding * (first.value - second.value) + 0.0  # and no -0
    found = estimate_of(Sampled(value, apart, "plain", fewest, fewest), reason)
    return found if same_model else _with_spread(found)


def same_model(first: FloatArray, second: FloatArray) -> bool:
    """Whether all metrics in all draws [draws, metrics] are one model's, but for rounding.

    The Brier score, or the losses of a forecast, are among them: other scores would move them.
    """
    return np.allclose(first, second, rtol=_SAME, atol=_SAME, equal_nan=True)


def gap_between(
    inside: Sampled, outside: Sampled, tail: float | None, reason: str | None = None
) -> Estimate:
    """inside minus outside, a group minus the rest, by :func:`mover`; null as above.

    tail: what the simultaneous interval leaves to each end; None: the gap has none.
    """
    if reason is None and not (inside.is_defined and outside.is_defined):
        reason = UNDEFINED
    if reason is not None:
        return Estimate(reason=reason)
    value = inside.value - outside.value
    ends, error = mover(inside, outside, SINGLE_TAIL), gap_error(inside, outside)
    found = _with_spread(_whole(value, ends, error))
    if tail is None or found.value is None:
        return found
    low, high = mover(inside, outside, tail)
    return found.model_copy(update={"simultaneous_low": low, "simultaneous_high": high})


def _with_spread(found: Estimate) -> Estimate:
    """Nothing where the interval is a point: it would be shown to hold whatever is true."""
    if found.low is None or found.high is None or found.high - found.low > POINT:
        return found
    return Estimate(reason=NO_SPREAD)


def gap_error(inside: Sampled, outside: Sampled) -> float:
    """Standard error of inside minus outside."""
    own, other = inside.error, outside.error
    shared = 2.0 * _correlation(inside.samples, outside.samples) * own * other
    return math.sqrt(max(own**2 + other**2 - shared, 0.0))


def mover(inside: Sampled, outside: Sampled, tail: float) -> tuple[float, float]:
    """The interval of a difference from the intervals of its two sides.

    Newcombe's hybrid score interval (Stat Med 1998) for any two intervals (Zou and Donner, Stat
    Med 2008: the method of variance estimates recovery), with the correlation of the two sides
    over the shared draws (Zou, Psychological Methods 2007).
    """
    r = _correlation(inside.samples, outside.samples)
    low, high = inside.interval(tail)
    other_low, other_high = outside.interval(tail)
    value = inside.value - outside.value
    below = _combined(inside.value - low, other_high - outside.value, r)
    above = _combined(high - inside.value, outside.value - other_low, r)
    return value - below, value + above


def _combined(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(one**2 + other**2 - 2.0 * correlation * one * other, 0.0))


def _correlation(one: FloatArray, other: FloatArray) -> float:
    """Pearson's, over draws where both exist; 0 where either does not vary."""
    both = np.isfinite(one) & np.isfinite(other)
    one, other = one[both] - one[both].mean(), other[both] - other[both].mean()
    norm = math.sqrt(float(one @ one) * float(other @ other))
    return float(one @ other) / norm if norm > 0.0 else 0.0


def _whole(value: float, ends: tuple[float, float], error: float) -> Estimate:
    low, high = ends
    if not np.isfinite([value, low, high, error]).all():
        return Estimate(reason=UNDEFINED)
    return Estimate(value=value, low=low, high=high, standard_error=error)

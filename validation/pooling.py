"""Partial pooling: a small group's metric drawn towards that of all groups of its attribute.

Normal-normal empirical Bayes on a scale on which a metric's error is about normal. A group whose
own subjects say little is moved most; how much groups truly differ is estimated from them. Shown
beside the value as measured, and never judged.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from validation.estimates import Estimate
from validation.evidence import GroupPerformance, PopulationEvidence
from validation.ranking import FloatArray
from validation.tasks import MetricName


@dataclass(frozen=True)
class _Scale:
    """holds: whether a value lies inside the scale. slope: derivative of `to` at a value."""

    holds: Callable[[float], bool]
    to: Callable[[float], float]
    slope: Callable[[float], float]
    back: Callable[[float], float]


_IDENTITY = _Scale(lambda v: True, lambda v: v, lambda v: 1.0, lambda x: x)
_LOG = _Scale(lambda v: v > 0.0, lambda v: float(np.log(v)), lambda v: 1.0 / v, np.exp)
_LOGIT = _Scale(
    lambda v: 0.0 < v < 1.0,
    lambda v: float(np.log(v) - np.log1p(-v)),
    lambda v: 1.0 / (v * (1.0 - v)),
    lambda x: np.exp(-np.logaddexp(0.0, -x)),
)
_SCALES: Mapping[MetricName, _Scale] = {
    **dict.fromkeys(("auroc", "auprc", "tpr", "fpr", "ppv", "selection_rate"), _LOGIT),
    **dict.fromkeys(("coverage_90", "coverage_50", "hit_rate"), _LOGIT),
    **dict.fromkeys(("brier", "observed_expected", "mae", "qlike", "pinball"), _LOG),
}


def with_pooled(population: PopulationEvidence) -> PopulationEvidence:
    """The same evidence, each group with the pooled value of every metric that has one.

    A metric that a group's subjects cannot carry, or whose error is 0 or outside its scale (a TPR
    of 1), is neither pooled nor draws on the others.
    """
    groups = population.groups
    pooled: list[dict[MetricName, float]] = [{} for _ in groups]
    for attribute in dict.fromkeys(group.attribute for group in groups):
        members = [i for i, group in enumerate(groups) if group.attribute == attribute]
        for name in population.overall.metrics:
            for i, value in _pooled(groups, members, name).items():
                pooled[i][name] = value
    return population.model_copy(
        update={
            "groups": tuple(
                group.model_copy(update={"pooled": found})
                for group, found in zip(groups, pooled, strict=True)
            )
        }
    )


def _pooled(
    groups: Sequence[GroupPerformance], members: Sequence[int], name: MetricName
) -> dict[int, float]:
    """Number of a group -> its pooled value."""
    scale = _SCALES.get(name, _IDENTITY)
    found = {i: on_scale for i in members if (on_scale := _usable(groups[i].metrics[name], scale))}
    if len(found) < 2:
        return {}
    values, errors = np.array(list(found.values())).T
    return {
        i: float(scale.back(value))
        for i, value in zip(found, shrunken(values, errors), strict=True)
    }


def _usable(estimate: Estimate, scale: _Scale) -> tuple[float, float] | None:
    """Value and standard error on the scale (delta method), where both exist."""
    value, error = estimate.value, estimate.standard_error
    if value is None or not error or not scale.holds(value):
        return None
    return scale.to(value), error * scale.slope(value)


def shrunken(values: FloatArray, errors: FloatArray) -> FloatArray:
    """Posterior means [k] of groups with values [k] and standard errors [k] above 0.

    (tau^2 x + s^2 mu) / (tau^2 + s^2), with the mean mu weighted by 1 / (tau^2 + s^2): Efron and
    Morris, J Am Stat Assoc 1975; tau^2 as in :func:`between_groups`.
    """
    spread, own = between_groups(values, errors), errors**2
    weight = 1.0 / (spread + own)
    mean = (weight @ values) / weight.sum()
    posterior: FloatArray = (spread * values + own * mean) * weight
    return posterior


def between_groups(values: FloatArray, errors: FloatArray) -> float:
    """Variance tau^2 between groups by the method of moments, at least 0.

    (Q - (k - 1)) / (sum w - sum w^2 / sum w), w = 1 / s^2, Q = sum w (x - mean)^2: DerSimonian and
    Laird, Control Clin Trials 1986. values [k], errors [k].
    """
    weight = errors**-2.0
    mean = (weight @ values) / weight.sum()
    excess = weight @ (values - mean) ** 2 - (len(values) - 1)
    return max(0.0, float(excess / (weight.sum() - (weight @ weight) / weight.sum())))

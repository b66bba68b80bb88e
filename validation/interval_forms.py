"""Which interval a metric has: on the scale on which its estimates are nearest to normal.

Each is value +- critical * standard error on that scale, the critical value being that of a t
distribution with (clusters - 1) degrees of freedom: few clusters are paid for. Percentile and
bias-corrected intervals of the same draws cover less at 20 to 50 clusters
(benchmarks/gate_calibration.py).
"""

import math
from collections.abc import Mapping
from typing import Literal

from scipy import special

from validation.proportions import effective_trials, wilson

# proportion: a share of trials, Wilson.   share: between 0 and 1, on the logit (Bamber's area;
# Pepe, Statistical Evaluation of Medical Tests, 2003, sec. 5.2).   ratio: above 0, on the
# logarithm.   skill: 1 minus a ratio.   plain: on its own scale.
Form = Literal["proportion", "share", "ratio", "skill", "plain"]

_FORMS: Mapping[Form, tuple[str, ...]] = {
    "proportion": (
        "tpr", "fpr", "ppv", "selection_rate", "coverage_90", "coverage_50", "hit_rate",
        "below_q05", "below_q25", "below_q50", "below_q75", "below_q95",
    ),
    "share": ("auroc", "auprc", "brier"),
    "ratio": ("observed_expected", "relative_error", "mae", "qlike", "pinball"),
    "skill": ("skill", "skill_mae", "skill_qlike", "skill_brier"),
}  # fmt: skip
_FORM_OF: Mapping[str, Form] = {name: form for form, names in _FORMS.items() for name in names}
# The logarithm of a ratio that no double holds: an interval up to there says nothing.
_MOST_REACH = 700.0


def form_of(name: str) -> Form:
    """The form of a metric by name; plain where nothing better is known."""
    return _FORM_OF.get(name, "plain")


def t_quantile(tail: float, clusters: float) -> float:
    """The critical value that leaves `tail` to each end, with so many effective clusters."""
    return float(-special.stdtrit(max(clusters - 1.0, 1.0), tail))


def form_interval(
    form: Form, value: float, error: float, critical: float, clusters: float, rows: float
) -> tuple[float, float]:
    """The interval of a value with its standard error; its ends in the metric's own unit.

    clusters, rows: effective numbers (Kish, Survey Sampling, 1965) behind the value.
    """
    if form == "proportion":
        return wilson(value, effective_trials(value, error, clusters, rows), critical)
    if form == "share":
        if not 0.0 < value < 1.0:
            return wilson(value, clusters, critical)  # no logit: as a share of clusters
        middle, half = math.log(value / (1.0 - value)), error / (value * (1.0 - value))
        return _logistic(middle - critical * half), _logistic(middle + critical * half)
    if form == "ratio" and value > 0.0:
        reach = critical * error / value
        times = math.exp(reach) if reach < _MOST_REACH else math.inf
        return value / times, value * times
    if form == "skill" and value < 1.0:
        low, high = form_interval("ratio", 1.0 - value, error, critical, clusters, rows)
        return 1.0 - high, 1.0 - low
    return value - critical * error, value + critical * error


def _logistic(x: float) -> float:
    return 0.5 + 0.5 * math.tanh(0.5 * x)

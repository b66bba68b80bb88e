"""What is predicted, and what can be measured of it: tasks, metrics, challengers, populations.

Light on purpose: a DAG file and `--help` load it.
"""

from collections.abc import Mapping
from typing import Literal, get_args

# risk: probability of an outcome; direction: probability that a return is above 0; volatility:
# annualised realised volatility; quantiles: of a log return.
Task = Literal["risk", "direction", "volatility", "quantiles"]

RiskMetric = Literal[
    "auroc",
    "auprc",
    "brier",
    "calibration_slope",
    "calibration_intercept",
    "observed_expected",
    "tpr",
    "fpr",
    "ppv",
    "selection_rate",
    "net_benefit",
]
VolatilityMetric = Literal[
    "mae", "qlike", "mean_error", "relative_error", "rank_ic", "skill_mae", "skill_qlike"
]
QuantileMetric = Literal[
    "pinball",
    "mae",
    "mean_error",
    "coverage_90",
    "coverage_50",
    "hit_rate",
    "rank_ic",
    "skill",
    "skill_mae",
]
DirectionMetric = Literal["brier", "hit_rate", "mean_error", "rank_ic", "skill_brier"]
MetricName = RiskMetric | VolatilityMetric | QuantileMetric | DirectionMetric

# The metrics of the task `risk`, in the order of its tables.
METRIC_NAMES: tuple[RiskMetric, ...] = get_args(RiskMetric)
_METRICS_OF: Mapping[Task, tuple[MetricName, ...]] = {
    "risk": METRIC_NAMES,
    "volatility": get_args(VolatilityMetric),
    "quantiles": get_args(QuantileMetric),
    "direction": get_args(DirectionMetric),
}
LOWER_IS_BETTER: frozenset[MetricName] = frozenset({"mae", "qlike", "pinball", "brier"})
# The loss that names the best challenger, and the skill that is 1 minus its ratio.
PRIMARY_LOSS: Mapping[Task, MetricName] = {
    "volatility": "mae",
    "quantiles": "pinball",
    "direction": "brier",
}
PRIMARY_SKILL: Mapping[Task, MetricName] = {
    "volatility": "skill_mae",
    "quantiles": "skill",
    "direction": "skill_brier",
}

_OF_PROBABILITIES = ("logistic_regression", "hist_gradient_boosting", "prevalence")
# The simple models that every audit of a task must hold, beside the network.
CHALLENGERS: Mapping[Task, tuple[str, ...]] = {
    "risk": _OF_PROBABILITIES,
    "direction": _OF_PROBABILITIES,
    "volatility": (
        "last_5_sessions",
        "last_22_sessions",
        "ewma",
        "har",
        "garch",
        "ridge",
        "hist_gradient_boosting",
    ),
    "quantiles": ("random_walk", "historical", "garch", "ridge", "hist_gradient_boosting"),
}

PopulationName = Literal["holdout", "cross_fitted", "walk_forward"]
HarmName = Literal["unequal_error", "regime", "survivorship"]
# The attribute of an instrument in which survivorship shows, and its two levels.
LISTING_STATUS, LISTED, DELISTED = "listing_status", "listed", "delisted"
BEST_CHALLENGER = "best_challenger"
# The release that stands while the next one is audited.
INCUMBENT = "incumbent"
LineKind = Literal["value", "gap", "challenger"]

OVERALL = "overall"
# Between the names, and the levels, of a crossing.
CROSSED = " & "


def metric_names(task: Task) -> tuple[MetricName, ...]:
    """The metrics of a task, in the order in which they are shown."""
    return _METRICS_OF[task]


def losses_of(task: Task) -> tuple[MetricName, ...]:
    """The metrics of a task of which less is better and that are compared with challengers."""
    return tuple(name for name in metric_names(task) if name in LOWER_IS_BETTER)


# The most by which a network may turn out worse than the best simple model. With more a line could
# not close: volatilities lie near .2 (absolute error .05, QLIKE .25), log returns of a week have
# losses near .01, and a coin has a Brier score of .25.
MOST_TOLERATED: Mapping[tuple[Task, MetricName], float] = {
    ("volatility", "mae"): 0.01,
    ("volatility", "qlike"): 0.05,
    ("quantiles", "pinball"): 0.001,
    ("quantiles", "mae"): 0.001,
    ("direction", "brier"): 0.005,
}

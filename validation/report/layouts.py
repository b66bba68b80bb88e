"""Which sections, metrics and words the report of a task has, in reading order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from validation.tasks import MetricName, Task

Section = tuple[str, str, str]
Metrics = tuple[MetricName, ...]


@dataclass(frozen=True)
class Layout:
    """sections: (anchor, heading, template).   quality: of the first table of performance.
    at_threshold: of the second, if any.   forests: a chart of gaps each.   compared: the losses
    of the table of challengers, and those of which the paired difference is shown."""

    sections: tuple[Section, ...]
    quality: Metrics
    at_threshold: Metrics
    forests: Metrics
    group_columns: Metrics
    further_group_columns: Metrics
    challenger_columns: Metrics
    difference_columns: Metrics


CHANGES: Final = "changes"
_BEFORE: Final[tuple[Section, ...]] = (
    (CHANGES, "What changed, number by number", "changes.html.j2"),
    ("use", "Intended use", "use.html.j2"),
    ("data", "Data and exclusions", "data.html.j2"),
    ("checks", "Validation and quarantine", "checks.html.j2"),
    ("limits", "Limits of the data", "limits.html.j2"),
)
_MODEL: Final[Section] = ("model", "Model and tuning", "model.html.j2")
_AFTER: Final[tuple[Section, ...]] = (
    ("monitoring", "Monitoring plan", "monitoring.html.j2"),
    ("inventory", "Inventory entry", "inventory.html.j2"),
    ("profiles", "Rules and guidelines", "profiles.html.j2"),
    ("index", "Evidence index", "index.html.j2"),
)
_RISK: Final[tuple[Section, ...]] = (
    *_BEFORE,
    ("outcome", "Outcome and censoring", "outcome.html.j2"),
    _MODEL,
    ("performance", "Performance", "performance.html.j2"),
    ("challengers", "Challengers", "challengers.html.j2"),
    ("groups", "Groups", "groups.html.j2"),
    ("harms", "Harms to patients", "patient_harms.html.j2"),
    ("mitigation", "Mitigation", "mitigation.html.j2"),
    *_AFTER,
)
_FORECAST: Final[tuple[Section, ...]] = (
    *_BEFORE,
    ("outcome", "Outcome", "outcome.html.j2"),
    _MODEL,
    ("overfitting", "Overfitting", "overfitting.html.j2"),
    ("performance", "Performance", "forecast_performance.html.j2"),
    ("challengers", "Challengers", "forecast_challengers.html.j2"),
    ("groups", "Groups", "forecast_groups.html.j2"),
    ("harms", "Harms looked for", "harms.html.j2"),
    *_AFTER,
)
LAYOUTS: Final[Mapping[Task, Layout]] = {
    "risk": Layout(
        sections=_RISK,
        quality=(
            "auroc",
            "auprc",
            "brier",
            "calibration_slope",
            "calibration_intercept",
            "observed_expected",
        ),
        at_threshold=("tpr", "fpr", "ppv", "selection_rate", "net_benefit"),
        forests=("tpr", "fpr", "ppv", "selection_rate", "auroc", "observed_expected"),
        group_columns=("auroc", "observed_expected", "tpr", "fpr", "ppv", "selection_rate"),
        further_group_columns=(
            "auprc",
            "brier",
            "calibration_slope",
            "calibration_intercept",
            "net_benefit",
        ),
        challenger_columns=("auroc", "auprc", "brier", "net_benefit"),
        difference_columns=("auroc", "auprc"),
    ),
    "volatility": Layout(
        sections=_FORECAST,
        quality=(
            "skill_mae",
            "skill_qlike",
            "mae",
            "qlike",
            "relative_error",
            "mean_error",
            "rank_ic",
        ),
        at_threshold=(),
        forests=("relative_error", "skill_mae", "mae", "qlike"),
        group_columns=("mae", "qlike", "relative_error", "skill_mae"),
        further_group_columns=("mean_error", "rank_ic", "skill_qlike"),
        challenger_columns=("mae", "qlike"),
        difference_columns=("mae", "qlike"),
    ),
    "quantiles": Layout(
        sections=_FORECAST,
        quality=(
            "skill",
            "skill_mae",
            "pinball",
            "mae",
            "coverage_90",
            "coverage_50",
            "mean_error",
            "hit_rate",
            "rank_ic",
        ),
        at_threshold=(),
        forests=("coverage_90", "skill", "pinball", "mean_error"),
        group_columns=("pinball", "skill", "coverage_90", "mean_error"),
        further_group_columns=("mae", "skill_mae", "coverage_50", "hit_rate", "rank_ic"),
        challenger_columns=("pinball", "mae"),
        difference_columns=("pinball", "mae"),
    ),
    "direction": Layout(
        sections=_FORECAST,
        quality=("skill_brier", "brier", "hit_rate", "mean_error", "rank_ic"),
        at_threshold=(),
        forests=("skill_brier", "brier", "hit_rate", "mean_error"),
        group_columns=("brier", "skill_brier", "hit_rate", "mean_error"),
        further_group_columns=("rank_ic",),
        challenger_columns=("brier",),
        difference_columns=("brier",),
    ),
}


def sections_of(task: Task, *, any_change: bool) -> tuple[Section, ...]:
    """The sections of one report; any_change: something could be compared with an earlier audit."""
    return tuple(each for each in LAYOUTS[task].sections if any_change or each[0] != CHANGES)

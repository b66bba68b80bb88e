"""Evidence arranged for the page: the tables and charts of a report, ready to print."""

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from validation.config import AuditConfig
from validation.data_evidence import CheckResult, FlowGroup, FlowStep
from validation.estimates import Estimate
from validation.evidence import Evidence, Gap, GroupPerformance, PopulationEvidence
from validation.report.charts import calibration_chart, precision_recall_chart, roc_chart
from validation.report.forecast_charts import coverage_chart, series_chart
from validation.report.forests import ForestRow, forest_chart
from validation.report.layouts import LAYOUTS
from validation.report.names import metric_full_name, metric_short
from validation.report.units import Units
from validation.tasks import MetricName


@dataclass(frozen=True)
class Curve:
    """A chart with its caption; ``chart`` is null where there is too little to draw."""

    caption: str
    chart: Markup | None


def curves(population: PopulationEvidence) -> list[Curve]:
    """ROC, precision-recall and calibration of a population."""
    metrics, found = population.overall.metrics, population.curves
    fpr, tpr, ppv = (_value(metrics, name) for name in ("fpr", "tpr", "ppv"))
    baseline = next(
        (_value(c.metrics, "auprc") for c in population.challengers if c.name == "prevalence"), None
    )
    return [
        Curve("Cases found against false alarms (ROC)", roc_chart(found.roc, fpr, tpr)),
        Curve(
            "Cases among the selected against cases found (precision-recall)",
            precision_recall_chart(found.precision_recall, baseline, tpr, ppv),
        ),
        Curve(
            "Observed against predicted risk (calibration)", calibration_chart(found.calibration)
        ),
    ]


def _value(metrics: dict[MetricName, Estimate], name: MetricName) -> float | None:
    return metrics[name].value if name in metrics else None


def skill_by_year(population: PopulationEvidence, written: Units, skill: str) -> Curve | None:
    """The skill of each year, with its interval; None where no year was measured."""
    if not population.series:
        return None
    return Curve("Skill by year", series_chart(population.series, written.value(skill)))


def coverage(population: PopulationEvidence) -> Curve | None:
    """Of quantiles: how many outcomes lay below each; None for all other tasks."""
    if not population.coverage:
        return None
    return Curve("Coverage by level", coverage_chart(population.coverage))


def forests(population: PopulationEvidence, policy: AuditConfig, written: Units) -> list[Curve]:
    """One forest per metric: every level of every attribute against all others."""
    return [
        Curve(_caption(metric, written), chart)
        for metric in LAYOUTS[policy.task].forests
        if (chart := _forest(population, policy, metric, written)) is not None
    ]


def _caption(metric: MetricName, written: Units) -> str:
    points = ", percentage points" if written.gap(metric).sign else ""
    return f"{metric_full_name(metric)}{points}"


def _forest(
    population: PopulationEvidence, policy: AuditConfig, metric: MetricName, written: Units
) -> Markup | None:
    rows = [
        _forest_row(gap, policy, population)
        for gap in population.gaps
        if gap.metric == metric and gap.attribute in policy.attributes
    ]
    title = f"Gaps in {metric_short(metric)}"
    return forest_chart(title, rows, written.gap(metric)) if rows else None


def _forest_row(gap: Gap, policy: AuditConfig, population: PopulationEvidence) -> ForestRow:
    place = (gap.metric, gap.attribute, population.population)
    line = next((r for r in policy.gating if (r.metric, r.group, r.on) == place), None)
    return ForestRow(
        heading=gap.attribute.replace("_", " "),
        label=gap.level,
        estimate=gap.estimate,
        detectable=gap.detectable,
        lower=line.lower if line else None,
        upper=line.upper if line else None,
    )


def drawn_gaps(population: PopulationEvidence, policy: AuditConfig) -> list[Gap]:
    """The gaps of the forests, in their order, for a table."""
    return [
        gap
        for metric in LAYOUTS[policy.task].forests
        for gap in population.gaps
        if gap.metric == metric and gap.attribute in policy.attributes
    ]


def group_tables(
    population: PopulationEvidence,
) -> list[tuple[str, list[GroupPerformance]]]:
    """Groups of single attributes, then those of their crossings, each under its title."""
    crossed = [group for group in population.groups if "&" in group.attribute]
    single = [group for group in population.groups if "&" not in group.attribute]
    return [("By group", single), ("Crossings", crossed)]


def largest_population(evidence: Evidence) -> PopulationEvidence | None:
    """The one that decides most of the gaps: of all rows where there is one, else the holdout."""
    return (
        evidence.population("walk_forward")
        or evidence.population("cross_fitted")
        or evidence.population("holdout")
    )


@dataclass(frozen=True)
class FlowTable:
    """The exclusions flow by group: a row a step, a cell a level, and who was left."""

    levels: tuple[tuple[str, str], ...]
    steps: tuple[tuple[FlowStep, tuple[FlowGroup | None, ...]], ...]
    remaining: tuple[FlowGroup | None, ...]


def flow_table(flow: tuple[FlowStep, ...]) -> FlowTable | None:
    """Levels as columns, in the order in which the steps name them."""
    named = [g for step in flow for g in (*step.remaining_groups, *step.excluded_groups)]
    levels = tuple(dict.fromkeys((g.attribute, g.level) for g in named))
    if not levels:
        return None
    return FlowTable(
        levels=levels,
        steps=tuple((step, _cells(step.excluded_groups, levels)) for step in flow),
        remaining=_cells(flow[-1].remaining_groups, levels),
    )


def _cells(
    groups: tuple[FlowGroup, ...], levels: tuple[tuple[str, str], ...]
) -> tuple[FlowGroup | None, ...]:
    found = {(group.attribute, group.level): group for group in groups}
    return tuple(found.get(level) for level in levels)


@dataclass(frozen=True)
class CheckSummary:
    """The checks of one table and kind: how many, how many held."""

    kind: str
    table: str
    checks: tuple[CheckResult, ...]

    @property
    def passed(self) -> int:
        return sum(check.passed for check in self.checks)


def check_summaries(checks: Iterable[CheckResult]) -> list[CheckSummary]:
    """Checks by kind and table, in the order in which they were made."""
    grouped: dict[tuple[str, str], list[CheckResult]] = {}
    for check in checks:
        grouped.setdefault((check.kind, check.table), []).append(check)
    return [CheckSummary(*place, tuple(found)) for place, found in grouped.items()]

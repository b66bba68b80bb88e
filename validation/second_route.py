"""Two routes to one number: group metrics at the threshold, computed again by Fairlearn.

The audit's own metrics are vectorised over bootstrap draws; Fairlearn's MetricFrame takes each
group's rows and calls a function on them. If the two disagree, one of them is wrong, and the gate
must not open on either.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

import fairlearn.metrics as fair
import polars as pl
from sklearn.metrics import precision_score

from validation.config import AuditConfig, MetricName
from validation.evidence import CheckResult, PopulationEvidence
from validation.groups import groups_of
from validation.populations import Population, populations_of
from validation.ranking import IntArray

SHARED_METRICS: Mapping[MetricName, object] = {
    "tpr": fair.true_positive_rate,
    "fpr": fair.false_positive_rate,
    "selection_rate": fair.selection_rate,
    "ppv": precision_score,
}
TOLERANCE = 1e-9


def agreement_with_fairlearn(
    predictions: pl.DataFrame,
    config: AuditConfig,
    measured: Sequence[PopulationEvidence],
    challengers: Sequence[str],
) -> CheckResult:
    """Every group metric that both routes give, compared.

    Metrics that the audit withholds (too few positives, a small cell) are not compared: there
    Fairlearn answers 0 where nothing can be said.
    """
    evidence = {population.population: population for population in measured}
    differences = [
        difference
        for population in populations_of(predictions, config, challengers)
        if population.name in evidence
        for difference in _differences(population, config, evidence[population.name])
    ]
    apart = sum(not difference <= TOLERANCE for difference in differences)
    return CheckResult(
        name="agreement_with_fairlearn",
        table="predictions",
        kind="audit",
        passed=bool(differences) and apart == 0,
        words=f"{len(differences)} group metrics computed again by Fairlearn; {apart} differ by "
        f"more than {TOLERANCE:g}",
        unexpected=apart,
    )


def _differences(
    population: Population, config: AuditConfig, evidence: PopulationEvidence
) -> Iterator[float]:
    ours = {(group.attribute, group.level): group.metrics for group in evidence.groups}
    for group in groups_of(population.attributes, config):
        known = group.rows[population.weight[group.rows] > 0]
        metrics = ours.get((group.attribute, group.level), {})
        shared = [name for name in SHARED_METRICS if name in metrics]
        values = [(name, metrics[name].value) for name in shared]
        if not len(known) or all(value is None for _, value in values):
            continue
        frame = _frame(population, known, group.level, config)
        for name, value in values:
            if value is not None:
                yield _distance(value, float(frame.by_group[name].loc[group.level]))


def _frame(
    population: Population, rows: IntArray, level: str, config: AuditConfig
) -> fair.MetricFrame:
    """One group's rows in Fairlearn's words; censored subjects carry no weight and stay out."""
    y = population.y[rows]
    return fair.MetricFrame(
        metrics=dict(SHARED_METRICS),
        y_true=y,
        y_pred=(population.score[rows] >= config.selected_from).astype(float),
        sensitive_features=[level] * len(y),
        sample_params={name: {"sample_weight": population.weight[rows]} for name in SHARED_METRICS},
    )


def _distance(one: float, other: float) -> float:
    return math.inf if math.isnan(other) else abs(one - other)

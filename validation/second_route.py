"""Two routes to one number: group metrics at the threshold, computed again by Fairlearn.

The audit's own metrics are vectorised over bootstrap draws; Fairlearn's MetricFrame takes each
group's rows and calls a function on them. If the two disagree, one of them is wrong, and the gate
must not open on either.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import fairlearn.metrics as fair
import numpy as np
import polars as pl
from sklearn.metrics import precision_score

from validation.config import AuditConfig
from validation.data_evidence import CheckResult
from validation.estimates import Estimate
from validation.evidence import PopulationEvidence
from validation.forecast_populations import NETWORK, ForecastPopulation, forecast_populations
from validation.forecasts import centre
from validation.groups import JOIN, groups_of
from validation.populations import Population, populations_of
from validation.ranking import FloatArray, IntArray
from validation.tasks import MetricName

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

    Metrics that the audit withholds (too few positives, a small cell, too few blocks of time) are
    not compared: there Fairlearn answers 0 where nothing can be said.
    """
    evidence = {population.population: population for population in measured}
    differences: list[float] = []
    if config.is_forecast:
        for forecasts in forecast_populations(predictions, config, challengers):
            if forecasts.name in evidence:
                differences += _of_forecasts(forecasts, config, evidence[forecasts.name])
    else:
        for population in populations_of(predictions, config, challengers):
            if population.name in evidence:
                differences += _differences(population, config, evidence[population.name])
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
    groups = groups_of(population.attributes, config)
    for attribute in dict.fromkeys(group.attribute for group in groups):
        told: dict[str, dict[MetricName, float]] = {}
        rows: list[IntArray] = []
        for group in (each for each in groups if each.attribute == attribute):
            values = _told(ours.get((attribute, group.level), {}))
            known = group.rows[population.weight[group.rows] > 0]
            if values and len(known):
                told[group.level] = values
                rows.append(known)
        if rows:
            frame = _frame(population, rows, list(told), config)
            for level, values in told.items():
                for name, value in values.items():
                    yield _distance(value, float(frame.by_group[name].loc[level]))


def _told(metrics: Mapping[MetricName, Estimate]) -> dict[MetricName, float]:
    """The values that both routes give."""
    shared = {name: metrics[name].value for name in SHARED_METRICS if name in metrics}
    return {name: value for name, value in shared.items() if value is not None}


def _frame(
    population: Population, rows: Sequence[IntArray], levels: Sequence[str], config: AuditConfig
) -> fair.MetricFrame:
    """Rows [m] of each group in Fairlearn's words; censored subjects carry no weight, stay out."""
    chosen = np.concatenate(rows)
    weight = population.weight[chosen]
    return fair.MetricFrame(
        metrics=dict(SHARED_METRICS),
        y_true=population.y[chosen],
        y_pred=(population.score[chosen] >= config.selected_from).astype(float),
        sensitive_features=np.repeat(levels, [len(one) for one in rows]),
        sample_params={name: {"sample_weight": weight} for name in SHARED_METRICS},
    )


# ---- forecasts ---------------------------------------------------------------------------------


def _mae(label: FloatArray, forecast: FloatArray) -> float:
    return float(np.abs(forecast - label).mean())


def _hit_rate(label: FloatArray, forecast: FloatArray) -> float:
    return float((0.5 * (np.sign(forecast) * np.where(label > 0, 1, -1) + 1)).mean())


def _direction_hit_rate(label: FloatArray, selected: FloatArray) -> float:
    return float((label == selected).mean())


def _brier(label: FloatArray, forecast: FloatArray) -> float:
    return float(np.square(label - forecast).mean())


def _coverage(label: FloatArray, outside: FloatArray) -> float:
    """outside: 1 where the label lies outside of its interval."""
    return 1.0 - float(outside.sum()) / len(label)


def _of_forecasts(
    population: ForecastPopulation, config: AuditConfig, evidence: PopulationEvidence
) -> Iterator[float]:
    """Group metrics by MetricFrame: one frame per metric, for each looks at another forecast."""
    ours = {(group.attribute, group.level): group.metrics for group in evidence.groups}
    label = population.label[population.known]
    for metric, (function, forecast) in _routes(population, config).items():
        for attribute, levels in _attributes(population, config).items():
            frame = fair.MetricFrame(
                metrics=function, y_true=label, y_pred=forecast, sensitive_features=levels
            )
            for level, value in frame.by_group.items():
                shown = ours.get((attribute, str(level)), {}).get(metric)
                if shown is not None and shown.value is not None:
                    yield _distance(shown.value, float(value))


def _attributes(population: ForecastPopulation, config: AuditConfig) -> dict[str, FloatArray]:
    """Levels of every attribute and crossing, of the rows with a known label."""
    known = population.attributes.filter(pl.Series(population.known))
    wanted = [(name,) for name in config.attributes] + list(config.crossings)
    return {
        JOIN.join(names): known.select(pl.concat_str(names, separator=JOIN)).to_series().to_numpy()
        for names in wanted
    }


def _routes(
    population: ForecastPopulation, config: AuditConfig
) -> dict[MetricName, tuple[Callable[[FloatArray, FloatArray], float], FloatArray]]:
    forecast = population.forecasts[NETWORK][population.known]
    label = population.label[population.known]
    middle = centre(config.task, forecast)
    if config.task == "direction":
        selected = (middle >= config.selected_from).astype(float)
        return {"hit_rate": (_direction_hit_rate, selected), "brier": (_brier, middle)}
    if config.task == "volatility":
        return {"mae": (_mae, middle)}
    outside = (label < forecast[:, 0]) | (label > forecast[:, -1])
    return {
        "mae": (_mae, middle),
        "hit_rate": (_hit_rate, middle),
        "coverage_90": (_coverage, outside.astype(float)),
    }


def _distance(one: float, other: float) -> float:
    return math.inf if math.isnan(other) else abs(one - other)

"""Several models on the same rows: metrics with intervals, and differences paired by draw.

Every row was answered by a model that never saw it. Intervals are over clusters, as an audit's; of
a difference what both models share cancels. An interval is of one difference: who picks the best
of many is told too good a number, and so the holdout judges and not this table.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field

from validation import forecast_measuring, measuring
from validation.config import AuditConfig
from validation.estimates import Count, Estimate, Number, Record
from validation.forecast_populations import NETWORK, forecast_columns, walk_forward_population
from validation.forecasts import RATIOS, contributions
from validation.groups import numbers_of
from validation.metrics import metric
from validation.populations import cross_fitted_population
from validation.ranking import FloatArray
from validation.tasks import LOWER_IS_BETTER, PRIMARY_LOSS, MetricName, Task

SHOWN: Mapping[Task, tuple[MetricName, ...]] = {
    "risk": ("auroc", "auprc", "brier", "calibration_slope", "observed_expected"),
    "volatility": ("mae", "qlike", "relative_error"),
    "quantiles": ("pinball", "mae", "coverage_90"),
    "direction": ("brier", "hit_rate"),
}
# Of these the ideal is neither more nor less: they are shown and nobody is better by them.
_IDEAL: frozenset[MetricName] = frozenset(
    {"calibration_slope", "observed_expected", "relative_error", "coverage_90"}
)
_SUFFIX = {True: "_walk_forward", False: "_cross_fitted"}

Kind = Literal["network", "challenger"]
Verdict = Literal["better", "worse", "not more than noise", "cannot tell"]


class ModelResult(Record):
    """One row of the table.

    by_fold: the primary metric on each fold alone; null where a fold cannot give it.
    by_seed: of a network, the primary metric of each seed's networks alone, over all folds.
    to_best_challenger, to_best_network: this model minus that one, by metric; empty of itself.
    """

    name: str
    kind: Kind
    metrics: dict[MetricName, Estimate]
    by_fold: tuple[Number | None, ...]
    by_seed: tuple[Number | None, ...] = ()
    to_best_challenger: dict[MetricName, Estimate] = Field(default_factory=dict)
    to_best_network: dict[MetricName, Estimate] = Field(default_factory=dict)


class ModelCost(Record):
    """What a model took, on the machine that it was tried on; null where it was not counted.

    seconds, processor_seconds: of training all of its networks, or of fitting it to all folds.
    scoring_seconds_per_1000_rows: of processor time; of one network.
    peak_memory_bytes: the most that a training process held, with its libraries.
    parameters: numbers that a network trains.
    """

    networks: Count = 0
    epochs: Count = 0
    seconds: Number | None = None
    processor_seconds: Number | None = None
    scoring_seconds_per_1000_rows: Number | None = None
    peak_memory_bytes: Count | None = None
    parameters: Count | None = None


class Comparison(Record):
    """Models from the best to the worst by the primary metric; an unmeasured one comes last.

    rows: with a known label.    clusters: that these lie in.
    best_challenger, best_network: null where there is none with the primary metric.
    """

    task: Task
    primary: MetricName
    rows: Count
    clusters: Count
    models: tuple[ModelResult, ...]
    best_challenger: str | None
    best_network: str | None

    def model(self, name: str) -> ModelResult:
        """The row of a model. Raises KeyError where it has none."""
        found = {model.name: model for model in self.models}
        return found[name]


def primary_metric(config: AuditConfig) -> MetricName:
    """What models are chosen by: of a risk how it ranks, of a forecast its first loss."""
    return "auroc" if config.task == "risk" else PRIMARY_LOSS[config.task]


def compare_models(
    predictions: pl.DataFrame,
    kinds: Mapping[str, Kind],
    seeds: Mapping[str, Sequence[str]],
    config: AuditConfig,
) -> Comparison:
    """Measure models on the rows that all of them answered.

    Args:
        predictions: every example of the study (those that nobody answered are needed for the
            censoring weights), with subject_id, cluster, split, label, weight, the attributes, of
            a forecast index_time; `fold`, null where not answered; and of each model and seed
            the columns of `forecast_columns` (of a risk one).
        kinds: name of each model -> what it is; of forecasts the study's reference is among them.
        seeds: name of a network -> the columns of its seeds alone.

    Raises:
        UnauditableTable: a column is missing or a row contradicts itself.
    """
    measured = (_forecasts if config.is_forecast else _risks)(predictions, list(kinds), config)
    primary = primary_metric(config)
    ranked = sorted(kinds, key=lambda name: _worth(measured.metrics[name][primary], primary))
    told = [name for name in ranked if measured.metrics[name][primary].value is not None]
    best = {
        kind: next((name for name in told if kinds[name] == kind), None)
        for kind in ("challenger", "network")
    }
    folds = _folds(predictions)
    return Comparison(
        task=config.task,
        primary=primary,
        rows=measured.rows,
        clusters=measured.clusters,
        models=tuple(
            ModelResult(
                name=name,
                kind=kinds[name],
                metrics=measured.metrics[name],
                by_fold=tuple(value_of(primary, fold, name, config) for fold in folds),
                by_seed=tuple(
                    value_of(primary, _answered(predictions), seed, config)
                    for seed in seeds.get(name, ())
                ),
                to_best_challenger=measured.differences(name, best["challenger"]),
                to_best_network=measured.differences(name, best["network"]),
            )
            for name in ranked
        ),
        best_challenger=best["challenger"],
        best_network=best["network"],
    )


def verdict_of(difference: Estimate, name: MetricName) -> Verdict:
    """What a difference in a metric says of its first model: more than noise, or not."""
    if difference.low is None or difference.high is None or name in _IDEAL:
        return "cannot tell"
    if difference.low <= 0.0 <= difference.high:
        return "not more than noise"
    return "better" if (difference.high < 0.0) == (name in LOWER_IS_BETTER) else "worse"


def value_of(
    name: MetricName, frame: pl.DataFrame, model: str, config: AuditConfig
) -> float | None:
    """One metric of one model on the rows of a frame, without an interval.

    null where it cannot be told: no row, no event, or an answer is missing.
    """
    answers = forecast_columns(config.task, model)
    rows = frame.filter(pl.col("label").is_not_null(), pl.col(answers[0]).is_not_null())
    if rows.is_empty():
        return None
    label = numbers_of(rows, "label")
    forecast = np.column_stack([numbers_of(rows, column) for column in answers])
    if config.is_forecast:
        value = _of_forecast(name, label, forecast, config)
    else:
        weight, threshold = numbers_of(rows, "weight")[None], config.selected_from
        value = float(metric(name, label, forecast[:, 0], weight, threshold)[0])
    return value if np.isfinite(value) else None


def _of_forecast(
    name: MetricName, label: FloatArray, forecast: FloatArray, config: AuditConfig
) -> float:
    columns = contributions(config, label, forecast, forecast)
    sums = {each: np.array([column.sum()]) for each, column in columns.items()}
    return float(RATIOS[config.task][name](sums)[0])


class _Measured:
    """What was measured of every model on shared draws, and how two of them are compared."""

    def __init__(
        self,
        rows: int,
        clusters: int,
        metrics: Mapping[str, dict[MetricName, Estimate]],
        pairs: Mapping[tuple[str, str], dict[MetricName, Estimate]],
    ) -> None:
        self.rows, self.clusters, self.metrics, self.pairs = rows, clusters, metrics, pairs

    def differences(self, name: str, other: str | None) -> dict[MetricName, Estimate]:
        """`name` minus `other`; nothing of a model and itself."""
        return {} if other is None or name == other else self.pairs[name, other]


def _risks(predictions: pl.DataFrame, models: list[str], config: AuditConfig) -> _Measured:
    frame = _as_population(predictions, models, config)
    population = cross_fitted_population(frame, config, models)
    everyone = np.arange(len(population.y), dtype=np.intp)
    parts = [
        measuring.part_of(population, everyone, population.challengers[name], config)
        for name in models
    ]
    found = dict(zip(models, measuring.measure_parts(population, parts, config), strict=True))
    shown = SHOWN[config.task]
    known = population.weight > 0
    return _Measured(
        rows=int(known.sum()),
        clusters=len(np.unique(population.clusters[known])),
        metrics={
            name: {each: measuring.metrics_of(one, config)[each] for each in shown}
            for name, one in found.items()
        },
        pairs={
            (name, other): {each: measuring.difference(one, two, each, config) for each in shown}
            for name, one in found.items()
            for other, two in found.items()
            if name != other
        },
    )


def _forecasts(predictions: pl.DataFrame, models: list[str], config: AuditConfig) -> _Measured:
    frame = _as_population(predictions, models, config)
    population = walk_forward_population(frame, config, models)
    everything = np.ones(int(population.known.sum()), dtype=np.bool_)
    parts: dict[tuple[str, ...], tuple[forecast_measuring.Model, forecast_measuring.Rows]] = {
        (name,): (forecast_measuring.model_of(population, name, config), everything)
        for name in models
    }
    measured = forecast_measuring.measure_forecasts(parts, config)
    found = {name: measured[name,] for name in models}
    shown, least = SHOWN[config.task], config.least_blocks
    return _Measured(
        rows=int(population.known.sum()),
        clusters=population.number_of_blocks,
        metrics={
            name: {each: forecast_measuring.metric_of(each, one, least) for each in shown}
            for name, one in found.items()
        },
        pairs={
            (name, other): {
                each: forecast_measuring.difference(one, two, each, least) for each in shown
            }
            for name, one in found.items()
            for other, two in found.items()
            if name != other
        },
    )


def _as_population(
    predictions: pl.DataFrame, models: Sequence[str], config: AuditConfig
) -> pl.DataFrame:
    """The table in the words of an audit's: models are columns with a suffix, one is the score."""
    suffix, task = _SUFFIX[config.is_forecast], config.task
    columns = {
        to + suffix: pl.col(of)
        for name, model in [(NETWORK, models[0]), *((each, each) for each in models)]
        for to, of in zip(forecast_columns(task, name), forecast_columns(task, model), strict=True)
    }
    return predictions.with_columns(**columns)


def _answered(predictions: pl.DataFrame) -> pl.DataFrame:
    return predictions.filter(pl.col("fold").is_not_null())


def _folds(predictions: pl.DataFrame) -> list[pl.DataFrame]:
    return _answered(predictions).sort("fold").partition_by("fold", maintain_order=True)


def _worth(estimate: Estimate, name: MetricName) -> float:
    """Smaller is better; what was not measured is worst."""
    if estimate.value is None:
        return float("inf")
    return estimate.value if name in LOWER_IS_BETTER else -estimate.value

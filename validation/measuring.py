"""Point values and bootstrap samples of all metrics on many sets of rows, on the same draws."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from validation.config import AuditConfig
from validation.estimates import Estimate
from validation.groups import Census, census, why_not
from validation.intervals import draw_counts, percentile_interval, standard_error
from validation.metrics import Measure, prepare
from validation.populations import Population
from validation.ranking import FloatArray, IntArray
from validation.tasks import METRIC_NAMES, MetricName

UNDEFINED = "not defined on these subjects"


@dataclass(frozen=True)
class Part:
    """Some rows of a population, one of its scores, and how to measure them.

    rows [m] are in the order that `measure` wants its weights in.
    """

    rows: IntArray
    measure: Measure
    census: Census


@dataclass(frozen=True)
class Measured:
    """What a part gave: point [metrics] and samples [draws, metrics], NaN where undefined."""

    census: Census
    point: FloatArray
    samples: FloatArray


def part_of(population: Population, rows: IntArray, score: FloatArray, config: AuditConfig) -> Part:
    """rows [m] of a population, judged by score [n] (the network's or a challenger's)."""
    y, weight, score = population.y[rows], population.weight[rows], score[rows]
    measure = prepare(y, score, config.selected_from)
    counted = census(y, weight, score, config.selected_from)
    return Part(rows[measure.ranking.order], measure, counted)


def measure_parts(
    population: Population, parts: Sequence[Part], config: AuditConfig
) -> list[Measured]:
    """Measure every part under the same draws of clusters, so that differences are paired."""

    def statistic(weights: FloatArray) -> FloatArray:
        values = [part.measure(np.take(weights, part.rows, axis=1)) for part in parts]
        return np.stack(values, axis=1)

    points = statistic(population.weight[None])[0]
    drawn = draw_counts(
        population.clusters, draws=config.bootstrap_draws, seed=config.bootstrap_seed
    )
    samples = np.concatenate([statistic(population.weights_of(counts)) for counts in drawn])
    return [Measured(part.census, points[i], samples[:, i]) for i, part in enumerate(parts)]


def estimate(value: float, samples: FloatArray, reason: str | None = None) -> Estimate:
    """A value with its interval from samples [draws], or nothing and the reason."""
    low, high = percentile_interval(samples)
    if reason is None and not np.isfinite([value, low, high]).all():
        reason = UNDEFINED
    if reason is not None:
        return Estimate(reason=reason)
    return Estimate(value=float(value), low=low, high=high, standard_error=standard_error(samples))


def metrics_of(measured: Measured, config: AuditConfig) -> dict[MetricName, Estimate]:
    """Every metric of a part; one that its census cannot carry is null with the reason."""
    return {
        name: estimate(
            measured.point[i], measured.samples[:, i], why_not(name, measured.census, config)
        )
        for i, name in enumerate(METRIC_NAMES)
    }


def difference(
    first: Measured, second: Measured, name: MetricName, config: AuditConfig
) -> Estimate:
    """first minus second in one metric, paired by draw; null where either cannot be told."""
    i = METRIC_NAMES.index(name)
    return estimate(
        first.point[i] - second.point[i],
        first.samples[:, i] - second.samples[:, i],
        why_not(name, first.census, config) or _of_the_others(name, second.census, config),
    )


def _of_the_others(name: MetricName, counted: Census, config: AuditConfig) -> str | None:
    reason = why_not(name, counted, config)
    return None if reason is None else f"{reason} to compare with"

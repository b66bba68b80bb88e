"""Point values and bootstrap samples of all metrics on many sets of rows, on the same draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from validation.cluster_sums import measure_of
from validation.config import AuditConfig
from validation.effective import Effective, effective_sizes
from validation.estimates import Estimate
from validation.groups import Census, census, why_not
from validation.interval_forms import form_of
from validation.intervals import draw_counts
from validation.metrics import Measure, prepare
from validation.populations import Population
from validation.ranking import FloatArray, IntArray
from validation.sampled import UNDEFINED, Sampled, estimate_of, gap_between, paired, same_model
from validation.seed_spread import seed_offsets
from validation.tasks import METRIC_NAMES, MetricName
from validation.too_few import why_not_compared

__all__ = ["UNDEFINED", "Measured", "Part", "difference", "gap", "measure_parts", "part_of"]


@dataclass(frozen=True)
class Part:
    """Some rows of a population, one of its scores, and how to measure them.

    rows [m] are in the order that `measure` wants its weights in.   seeded: the score is the
    network's, which other seeds would have given otherwise.
    """

    rows: IntArray
    seeded: bool
    measure: Measure
    census: Census
    effective: Mapping[MetricName, Effective]


@dataclass(frozen=True)
class Measured:
    """What a part gave: point [metrics] and samples [draws, metrics], NaN where undefined."""

    census: Census
    effective: Mapping[MetricName, Effective]
    point: FloatArray
    samples: FloatArray

    def sampled(self, name: MetricName) -> Sampled:
        """One metric with its draws."""
        i, size = METRIC_NAMES.index(name), self.effective[name]
        value, samples = float(self.point[i]), self.samples[:, i]
        return Sampled(value, samples, form_of(name), size.clusters, size.rows)


def part_of(population: Population, rows: IntArray, score: FloatArray, config: AuditConfig) -> Part:
    """rows [m] of a population, judged by score [n] (the network's or a challenger's)."""
    judged, score = score, score[rows]
    y, weight = population.y[rows], population.weight[rows]
    clusters, threshold = population.clusters[rows], config.selected_from
    measure = prepare(y, score, threshold)
    return Part(
        rows=rows[measure.ranking.order],
        seeded=judged is population.score,
        measure=measure,
        census=census(y, weight, score, threshold, clusters),
        effective=effective_sizes(y, weight, score >= threshold, clusters),
    )


def measure_parts(
    population: Population,
    parts: Sequence[Part],
    config: AuditConfig,
    names: Sequence[MetricName] = METRIC_NAMES,
) -> list[Measured]:
    """Measure every part under the same draws of clusters and seeds: differences are paired.

    names: metrics that nobody asked for are NaN; only SUM_METRICS are given without ranking rows.
    """
    measures = [measure_of(population, part.rows, part.measure, names) for part in parts]

    def statistic(counts: FloatArray, weights: FloatArray) -> FloatArray:
        return np.stack([measure(counts, weights) for measure in measures], axis=1)

    everyone = np.ones((1, len(population.y)))
    points = statistic(everyone, population.weight[None])[0]
    drawn = draw_counts(
        population.clusters, draws=config.bootstrap_draws, seed=config.bootstrap_seed
    )
    samples = np.concatenate([statistic(counts, population.weights_of(counts)) for counts in drawn])
    rows = [part.rows if part.seeded else None for part in parts]
    samples += seed_offsets(population, rows, config)
    return [
        Measured(part.census, part.effective, points[i], samples[:, i])
        for i, part in enumerate(parts)
    ]


def metrics_of(measured: Measured, config: AuditConfig) -> dict[MetricName, Estimate]:
    """Every metric of a part; one that its census cannot carry is null with the reason."""
    return {
        name: estimate_of(measured.sampled(name), why_not(name, measured.census, config))
        for name in METRIC_NAMES
    }


def difference(
    first: Measured, second: Measured, name: MetricName, config: AuditConfig
) -> Estimate:
    """first minus second on the same rows, paired by draw; null where either cannot be told."""
    reason = why_not_both(first, second, name, config)
    same = same_model(first.samples, second.samples)
    return paired(first.sampled(name), second.sampled(name), reason, same_model=same)


def gap(
    inside: Measured,
    outside: Measured,
    name: MetricName,
    config: AuditConfig,
    tail: float | None = None,
) -> Estimate:
    """A group minus the rest; tail: see :func:`validation.sampled.gap_between`."""
    reason = why_not_both(inside, outside, name, config)
    return gap_between(inside.sampled(name), outside.sampled(name), tail, reason)


def why_not_both(
    first: Measured, second: Measured, name: MetricName, config: AuditConfig
) -> str | None:
    """Why two parts cannot be compared in a metric; None if they can."""
    return why_not_compared(
        why_not(name, first.census, config), why_not(name, second.census, config)
    )

"""Sums of a part's rows by cluster, so that a bootstrap draw need not look at rows.

Where the rows' weights are the same in every draw, a sum over drawn rows is counts of clusters
times the clusters' sums: [draws x clusters] work instead of [draws x rows], and all that is a
ratio of sums (rates at the threshold, Brier score, O:E, net benefit) follows from it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from validation.metrics import SUM_METRICS, Measure
from validation.populations import Population
from validation.ranking import FloatArray, IntArray
from validation.tasks import METRIC_NAMES, MetricName


@dataclass(frozen=True)
class ClusterSums:
    """Of one part: firsts [c], a row of the population in each cluster that the part has rows in,
    and sums [c, f] of its rows' weighted features."""

    firsts: IntArray
    sums: FloatArray

    def of(self, counts: FloatArray) -> FloatArray:
        """Sums [d, f] of rows drawn counts [d, n] times, whole clusters alike."""
        drawn: FloatArray = counts[:, self.firsts] @ self.sums
        return drawn


def cluster_sums(population: Population, rows: IntArray, measure: Measure) -> ClusterSums | None:
    """The sums of a part, rows [m] in the measure's order; None where a draw changes weights."""
    if population.censoring is not None:
        return None
    clusters = population.clusters[rows]
    order = np.argsort(clusters, kind="stable")
    is_first = np.diff(clusters[order], prepend=clusters[order][:1] - 1) != 0
    weighted = measure.features[order] * population.weight[rows[order], None]
    starts = np.flatnonzero(is_first)
    return ClusterSums(rows[order[starts]], np.add.reduceat(weighted, starts, axis=0))


def measure_of(
    population: Population, rows: IntArray, measure: Measure, names: Sequence[MetricName]
) -> Callable[[FloatArray, FloatArray], FloatArray]:
    """How a part is measured: (counts [d, n], weights [d, n]) -> metrics [d, METRIC_NAMES].

    By clusters' sums where it can be; rows are gathered for what needs their ranks or for weights
    that change with the draw. Metrics not among `names` may be NaN.
    """
    by_cluster = cluster_sums(population, rows, measure)
    if by_cluster is None or not set(names) <= set(SUM_METRICS):

        def ranked(counts: FloatArray, weights: FloatArray) -> FloatArray:
            sums = None if by_cluster is None else by_cluster.of(counts)
            return measure(np.take(weights, rows, axis=1), sums)

        return ranked

    def summed(counts: FloatArray, weights: FloatArray) -> FloatArray:
        values = measure.of_sums(by_cluster.of(counts))
        nothing = np.full(len(counts), np.nan)
        return np.stack([values.get(name, nothing) for name in METRIC_NAMES], axis=1)

    return summed

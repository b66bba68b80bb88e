"""A draw measured by its clusters' sums is the draw measured row by row."""

import numpy as np
import pytest

from tests.validation.audit_examples import CHALLENGERS, policy, simulated
from tests.validation.test_censoring import followed
from validation.cluster_sums import cluster_sums, measure_of
from validation.intervals import draw_counts
from validation.measuring import measure_parts, part_of
from validation.metrics import SUM_METRICS, metric
from validation.populations import Population, populations_of
from validation.ranking import IntArray
from validation.tasks import METRIC_NAMES

CONFIG = policy(bootstrap_draws=100)


@pytest.fixture(scope="module")
def population() -> Population:
    return populations_of(simulated(subjects=1500), CONFIG, CHALLENGERS)[0]


def rows_of(population: Population, sex: str) -> IntArray:
    return np.flatnonzero((population.attributes["sex"] == sex).to_numpy())


def test_sums_of_clusters_give_the_values_of_one_metric_after_the_other(
    population: Population,
) -> None:
    rows = rows_of(population, "male")
    part = part_of(population, rows, population.score, CONFIG)
    found = measure_parts(population, [part], CONFIG)[0]
    counts = np.concatenate(
        list(draw_counts(population.clusters, draws=100, seed=CONFIG.bootstrap_seed))
    )
    weights = counts[:, rows] * population.weight[rows]
    y, score = population.y[rows], population.score[rows]
    for i, name in enumerate(METRIC_NAMES):
        expected = metric(name, y, score, weights, CONFIG.selected_from)
        np.testing.assert_allclose(found.samples[:, i], expected, rtol=1e-7, err_msg=name)
        value = metric(name, y, score, population.weight[None, rows], CONFIG.selected_from)[0]
        assert found.point[i] == pytest.approx(value, rel=1e-7)


def test_who_asks_for_sums_alone_gets_the_same_sums_and_nothing_else(
    population: Population,
) -> None:
    part = part_of(population, rows_of(population, "female"), population.score, CONFIG)
    everything = measure_parts(population, [part], CONFIG)[0]
    sums = measure_parts(population, [part], CONFIG, SUM_METRICS)[0]
    for i, name in enumerate(METRIC_NAMES):
        if name in SUM_METRICS:
            np.testing.assert_array_equal(sums.samples[:, i], everything.samples[:, i])
        else:
            assert np.isnan(sums.samples[:, i]).all()


def test_one_rank_among_the_metrics_asked_for_ranks_rows(population: Population) -> None:
    part = part_of(population, rows_of(population, "male"), population.score, CONFIG)
    found = measure_parts(population, [part], CONFIG, ("tpr", "auroc"))[0]
    assert np.isfinite(found.samples[:, METRIC_NAMES.index("auroc")]).all()


def test_weights_that_change_with_the_draw_are_not_summed_once() -> None:
    population = populations_of(followed(subjects=600), CONFIG, CHALLENGERS)[1]
    part = part_of(population, rows_of(population, "male"), population.score, CONFIG)
    assert cluster_sums(population, part.rows, part.measure) is None
    measure = measure_of(population, part.rows, part.measure, SUM_METRICS)
    # The weights handed in decide, not those of the table.
    only_events = (population.weight * population.y)[None]
    found = measure(np.ones_like(only_events), only_events)[0]
    assert found[METRIC_NAMES.index("ppv")] == 1.0

"""Fairlearn agrees with the audit of forecasts on every group, and one wrong number is noticed."""

import polars as pl
import pytest

from tests.validation.forecast_examples import CHALLENGERS, policy, simulated
from validation.estimates import Estimate
from validation.evidence import PopulationEvidence
from validation.forecast_audit import audit_forecasts
from validation.second_route import agreement_with_fairlearn
from validation.tasks import MetricName, Task

SHARED: dict[Task, tuple[MetricName, ...]] = {
    "volatility": ("mae",),
    "quantiles": ("mae", "hit_rate", "coverage_90"),
    "direction": ("hit_rate", "brier"),
}
CROSSED = [["size", "era"]]


def measured(task: Task) -> tuple[pl.DataFrame, tuple[PopulationEvidence, ...]]:
    frame = simulated(task, names=9, sessions=200)
    unknown = pl.when(pl.col("subject_id") + pl.col("cluster") < 4).then(None).otherwise("label")
    frame = frame.with_columns(label=unknown)
    config = policy(task, crossings=CROSSED, bootstrap_draws=100)
    return frame, audit_forecasts(frame, config, CHALLENGERS[task])


@pytest.mark.parametrize("task", SHARED)
def test_every_shared_group_metric_is_the_same_by_fairlearn(task: Task) -> None:
    frame, found = measured(task)
    config = policy(task, crossings=CROSSED)
    check = agreement_with_fairlearn(frame, config, found, CHALLENGERS[task])
    shown = sum(
        group.metrics[name].value is not None
        for population in found
        for group in population.groups
        for name in SHARED[task]
    )
    assert check.passed
    assert check.words.startswith(f"{shown} group metrics")
    assert shown > 20 * len(SHARED[task])


@pytest.mark.parametrize(
    ("task", "metric"), [(task, metric) for task, metrics in SHARED.items() for metric in metrics]
)
def test_one_number_that_differs_fails_the_check(task: Task, metric: MetricName) -> None:
    frame, found = measured(task)
    group = found[1].groups[0]
    value = group.metrics[metric].value
    assert value is not None
    altered = group.model_copy(
        update={"metrics": group.metrics | {metric: Estimate(value=value + 1e-8)}}
    )
    second = found[1].model_copy(update={"groups": (altered, *found[1].groups[1:])})
    config = policy(task, crossings=CROSSED)
    check = agreement_with_fairlearn(frame, config, [found[0], second], CHALLENGERS[task])
    assert (check.passed, check.unexpected) == (False, 1)

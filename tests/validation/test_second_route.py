"""Fairlearn agrees with the audit on whole group tables, and one wrong number is noticed."""

import pytest

from tests.validation.audit_examples import CHALLENGERS, policy, simulated
from validation.audit import audit_predictions_table
from validation.estimates import Estimate
from validation.evidence import PopulationEvidence
from validation.second_route import agreement_with_fairlearn

PREDICTIONS = simulated(subjects=1500)
CONFIG = policy(bootstrap_draws=100)
MEASURED = audit_predictions_table(PREDICTIONS, CONFIG, challengers=CHALLENGERS)


def with_altered(metric: str, by: float) -> list[PopulationEvidence]:
    """The evidence with one metric of one group moved."""
    group = MEASURED[0].groups[0]
    value = group.metrics[metric].value  # type: ignore[index]
    assert value is not None
    altered = group.model_copy(
        update={"metrics": {**group.metrics, metric: Estimate(value=value + by)}}
    )
    first = MEASURED[0].model_copy(update={"groups": (altered, *MEASURED[0].groups[1:])})
    return [first, *MEASURED[1:]]


def test_every_shared_group_metric_is_the_same_by_fairlearn() -> None:
    check = agreement_with_fairlearn(PREDICTIONS, CONFIG, MEASURED, CHALLENGERS)

    shown = sum(
        group.metrics[name].value is not None
        for population in MEASURED
        for group in population.groups
        for name in ("tpr", "fpr", "selection_rate", "ppv")
    )
    assert check.passed
    assert check.words.startswith(f"{shown} group metrics")
    assert shown > 50


@pytest.mark.parametrize("metric", ["tpr", "fpr", "selection_rate", "ppv"])
def test_one_number_that_differs_fails_the_check(metric: str) -> None:
    check = agreement_with_fairlearn(PREDICTIONS, CONFIG, with_altered(metric, 1e-6), CHALLENGERS)

    assert (check.passed, check.unexpected) == (False, 1)


def test_nothing_compared_is_no_agreement() -> None:
    assert not agreement_with_fairlearn(PREDICTIONS, CONFIG, [], CHALLENGERS).passed

"""Every fault of the matrix: the flow ends well or clearly, and its table is that of a calm one."""

import os
from itertools import count

import pytest

from tests.cluster.faults import FAULTS, Fault
from tests.cluster.flow import Row
from tests.cluster.topology import Cluster
from tests.cluster.trials import awake, calm_flow, keep, trial

pytestmark = [pytest.mark.faults, pytest.mark.slow]

TRIALS = int(os.environ.get("EQUIPOISE_FAULT_TRIALS", "1"))
NUMBERS = count()


@pytest.fixture(scope="module")
def calm(running_cluster: Cluster) -> list[Row]:
    return calm_flow(running_cluster, "calm")


@pytest.mark.parametrize("attempt", range(TRIALS))
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_after_a_fault_the_table_is_that_of_a_run_without(
    running_cluster: Cluster, calm: list[Row], fault: Fault, attempt: int
) -> None:
    with awake(running_cluster) as cluster:
        outcome = trial(cluster, fault, f"trial_{next(NUMBERS):02}", calm)
    keep(outcome)
    assert outcome.violations == []

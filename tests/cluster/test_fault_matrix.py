"""Every fault of the matrix: the flow ends well or clearly, and its table is that of a calm one."""

from itertools import count

import pytest

from tests.cluster.faults import FAULTS, Fault
from tests.cluster.inspection import Calm
from tests.cluster.topology import Cluster
from tests.cluster.trials import TRIALS, awake, calm_flow, keep, trial

pytestmark = [pytest.mark.faults, pytest.mark.slow]

NUMBERS = count()


@pytest.fixture(scope="module")
def calm(running_cluster: Cluster) -> Calm:
    return calm_flow(running_cluster, "calm")


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=fault.marks, id=fault.name) for fault in FAULTS]
)
@pytest.mark.parametrize("attempt", range(TRIALS))
def test_after_a_fault_the_table_is_that_of_a_run_without(
    running_cluster: Cluster, calm: Calm, fault: Fault, attempt: int
) -> None:
    with awake(running_cluster) as cluster:
        outcome = trial(cluster, fault, f"trial_{next(NUMBERS):02}", calm)
    keep(outcome)
    assert outcome.violations == []

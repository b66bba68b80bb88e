"""Every fault of the matrix: the flow ends well or clearly, and its table is that of a calm one."""

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import count

import pytest

from tests.cluster.faults import FAULTS, Fault
from tests.cluster.inspection import Calm
from tests.cluster.networks import MAY_MOUNT, machine
from tests.cluster.topology import Cluster, cluster
from tests.cluster.trials import TRIALS, awake, calm_flow, keep, trial

pytestmark = [pytest.mark.faults, pytest.mark.slow]

NUMBERS = count()


@pytest.fixture(scope="module")
def struck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The worker that scores and publishes has a machine of its own, where one can be made."""
    with (
        machine() if MAY_MOUNT else nullcontext() as other,
        cluster(tmp_path_factory.mktemp("struck"), machine=other) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def calm(struck: Cluster) -> Calm:
    return calm_flow(struck, "calm")


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=fault.marks, id=fault.name) for fault in FAULTS]
)
@pytest.mark.parametrize("attempt", range(TRIALS))
def test_after_a_fault_the_table_is_that_of_a_run_without(
    struck: Cluster, calm: Calm, fault: Fault, attempt: int
) -> None:
    with awake(struck) as made:
        outcome = trial(made, fault, f"trial_{next(NUMBERS):02}", calm)
    keep(outcome)
    assert outcome.violations == []

"""The cable between the worker that scores and publishes, and all else, is cut for a while."""

import time
from collections.abc import Iterator

import pytest

from tests.cluster.conftest import EPOCHS
from tests.cluster.faults import LOST, PUBLISHING, RETRY, SCORING, Fault, Strike
from tests.cluster.inspection import Calm
from tests.cluster.networks import Machine, machine, needs_root
from tests.cluster.small_study import small_study, write_people
from tests.cluster.topology import Cluster, cluster
from tests.cluster.trials import TRIALS, awake, calm_flow, keep, trial
from tests.dags.installations import write_studies

pytestmark = [pytest.mark.faults, pytest.mark.slow, needs_root]

# Longer than the heartbeat timeout of a hurried cluster, and shorter.
CUTS = {"long": 45.0, "short": 10.0}
STRIKES = {"scoring": SCORING, "publishing": PUBLISHING}


@pytest.fixture(scope="module")
def far() -> Iterator[Machine]:
    with machine() as made:
        yield made


@pytest.fixture(scope="module")
def far_cluster(far: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("far")
    trials = (f"{cut}_{strike}_{n}" for cut in CUTS for strike in STRIKES for n in range(TRIALS))
    texts = dict.fromkeys(["calm", *trials], small_study(EPOCHS))
    studies = write_studies(folder / "studies", **texts)
    write_people(folder / "data")
    prefixes = {"worker-cpu": far.prefix}
    with cluster(folder, studies, folder / "data", host=far.host, prefixes=prefixes) as made:
        yield made


@pytest.fixture(scope="module")
def calm(far_cluster: Cluster) -> Calm:
    return calm_flow(far_cluster, "calm")


@pytest.mark.parametrize("attempt", range(TRIALS))
@pytest.mark.parametrize("strike", STRIKES)
@pytest.mark.parametrize("cut", CUTS)
def test_a_worker_that_was_cut_off_leaves_the_table_of_a_run_without(
    far: Machine, far_cluster: Cluster, calm: Calm, cut: str, strike: str, attempt: int
) -> None:
    def act(_: Strike) -> None:
        far.cut()
        time.sleep(CUTS[cut])
        far.mend()

    fault = Fault(
        f"network cut for {CUTS[cut]:.0f} s, {strike}", STRIKES[strike], act, LOST + RETRY
    )
    with awake(far_cluster) as made:
        outcome = trial(made, fault, f"{cut}_{strike}_{attempt}", calm)
    keep(outcome)
    assert outcome.violations == []

"""One cluster for all of a module's tests, with a study for each trial."""

from collections.abc import Iterator

import pytest

from tests.cluster.faults import FAULTS
from tests.cluster.small_study import small_study, write_people
from tests.cluster.topology import Cluster, cluster
from tests.cluster.trials import TRIALS
from tests.dags.installations import write_studies

# Long enough to be killed in the midst of.
EPOCHS = 40


@pytest.fixture(scope="module")
def running_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    text = small_study(EPOCHS)
    names = [
        "calm",
        "killed",
        *(f"trial_{number:02}" for number in range(TRIALS * (len(FAULTS) + 1))),
    ]
    studies = write_studies(folder / "studies", **dict.fromkeys(names, text))
    write_people(folder / "data")
    with cluster(folder, studies, folder / "data") as made:
        yield made

"""One cluster for all of a module's tests."""

from collections.abc import Iterator

import pytest

from tests.cluster.topology import Cluster, cluster


@pytest.fixture(scope="module")
def running_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as made:
        yield made

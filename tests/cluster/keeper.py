"""What compose's `restart: unless-stopped` does: a service that ended is started again."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.topology import COMMANDS, Cluster

RESTART_SECONDS = 2.0


class Keeper(threading.Thread):
    """Looks every two seconds; what it started again is in ``restarted``."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(daemon=True)
        self.restarted: list[str] = []
        self.left_alone: set[str] = set()
        self._cluster = cluster
        self._ends = threading.Event()

    def run(self) -> None:
        while not self._ends.wait(RESTART_SECONDS):
            for name in COMMANDS:
                if name in self.left_alone or self._cluster.service(name).leader() is not None:
                    continue
                self._cluster.start(name)
                self.restarted.append(name)

    def end(self) -> None:
        self._ends.set()
        self.join()


@contextmanager
def kept(cluster: Cluster) -> Iterator[Keeper]:
    """Services come back while the block runs."""
    keeper = Keeper(cluster)
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.end()

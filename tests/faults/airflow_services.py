"""A running Airflow: api-server, scheduler, dag processor, triggerer, and who is logged in."""

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.dags.installations import python

SERVICES = ("-m", "dags.services")
PATIENCE_SECONDS = 900.0
FINISHED = {"success", "failed"}


@dataclass
class Airflow:
    """A running installation and the tokens for its API."""

    home: Path
    env: dict[str, str]
    url: str
    tokens: dict[str, str] = field(default_factory=dict)

    def ask(
        self,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        by: str = "admin",
        method: str | None = None,
    ) -> Any:
        """GET, or POST (or another method) with a JSON body."""
        headers = {"Content-Type": "application/json"}
        if by in self.tokens:
            headers["Authorization"] = f"Bearer {self.tokens[by]}"
        request = urllib.request.Request(  # noqa: S310 - our own http address
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers=headers,
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)

    def runs(self, dag: str) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = self.ask(f"/api/v2/dags/{dag}/dagRuns")["dag_runs"]
        return runs

    def start(self, dag: str, *, by: str = "admin") -> None:
        self.ask(f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None}, by=by)

    def states(self, dag: str, run: str) -> dict[str, str]:
        """Task -> state of one run."""
        tasks = self.ask(f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
        return {task["task_id"]: task["state"] for task in tasks}

    def log_in(self, name: str, password: str) -> None:
        answer = self.ask("/auth/token", {"username": name, "password": password}, by="nobody")
        self.tokens[name] = answer["access_token"]


@contextmanager
def running(home: Path, env: dict[str, str]) -> Iterator[Airflow]:
    """Start the services, log every user in, and stop the services."""
    port = free_port()
    env = env | {"EQUIPOISE_WEB_PORT": str(port)}
    code, output, errors = python(*SERVICES, "up", env=env, timeout_s=PATIENCE_SECONDS)
    assert code == 0, errors
    assert f"127.0.0.1:{port}" in output
    try:
        airflow = Airflow(home, env, f"http://127.0.0.1:{port}")
        for name, password in json.loads(passwords(home).read_text()).items():
            airflow.log_in(name, password)
        yield airflow
    finally:
        python(*SERVICES, "down", env=env)


def passwords(home: Path) -> Path:
    return home / "secrets" / "airflow_passwords.json"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(what: Callable[[], bool]) -> None:
    """A server that is busy, and refuses or does not answer, is asked again."""
    ends, said = time.monotonic() + PATIENCE_SECONDS, "nothing"
    while time.monotonic() < ends:
        try:
            if what():
                return
        except OSError as error:
            said = str(error)
        time.sleep(1)
    raise AssertionError(f"waited for too long; last refused with: {said}")


def refusal(call: Callable[[], Any]) -> int:
    """The status that the server answers instead of doing it."""
    try:
        call()
    except urllib.error.HTTPError as refused:
        refused.close()
        return refused.code
    return 200

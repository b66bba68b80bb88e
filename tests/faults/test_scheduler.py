"""The DAGs under a real scheduler, dag processor, triggerer and api-server, ended without rest."""

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.dags.installations import (
    environment,
    processes_of,
    python,
    quick_study,
    write_studies,
)

pytestmark = pytest.mark.faults

SERVICES = ("-m", "dags.services")
PATIENCE_SECONDS = 900.0
FINISHED = {"success", "failed"}


@dataclass
class Airflow:
    """A running installation and a token for its API."""

    home: Path
    env: dict[str, str]
    url: str
    token: str = ""

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """GET, or POST a JSON body."""
        request = urllib.request.Request(  # noqa: S310 - our own http address
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)

    def runs(self, dag: str) -> list[dict[str, Any]]:
        runs: list[dict[str, Any]] = self.ask(f"/api/v2/dags/{dag}/dagRuns")["dag_runs"]
        return runs

    def log_in(self, password: str) -> None:
        answer = self.ask("/auth/token", {"username": "admin", "password": password})
        self.token = answer["access_token"]


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    home = tmp_path_factory.mktemp("scheduler") / "home"
    studies = write_studies(home.parent / "studies", quick=quick_study())
    port = free_port()
    env = environment(home, studies, toy=False) | {"EQUIPOISE_WEB_PORT": str(port)}
    code, output, errors = python(*SERVICES, "up", env=env, timeout_s=PATIENCE_SECONDS)
    assert code == 0, errors
    assert f"127.0.0.1:{port}" in output
    try:
        running = Airflow(home, env, f"http://127.0.0.1:{port}")
        running.log_in(json.loads(passwords(home).read_text())["admin"])
        yield running
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
    ends = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < ends, "waited for too long"
        time.sleep(2)


def test_training_started_by_the_api_releases_and_its_release_starts_scoring(
    airflow: Airflow,
) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        airflow.log_in("not the password")
    refused.value.close()
    assert refused.value.code == 401
    assert passwords(airflow.home).stat().st_mode & 0o077 == 0
    assert airflow.ask("/api/v2/importErrors")["import_errors"] == []

    airflow.ask("/api/v2/dags/train__quick/dagRuns", {"logical_date": None})
    wait_for(lambda: {run["state"] for run in airflow.runs("train__quick")} <= FINISHED)
    assert [run["state"] for run in airflow.runs("train__quick")] == ["success"]
    wait_for(lambda: bool(airflow.runs("score__quick")))
    wait_for(lambda: {run["state"] for run in airflow.runs("score__quick")} <= FINISHED)
    [scoring] = airflow.runs("score__quick")
    assert (scoring["state"], scoring["run_type"]) == ("success", "asset_triggered")
    assert scoring["logical_date"] is None

    train = airflow.runs("train__quick")[0]["dag_run_id"]
    tasks = airflow.ask(f"/api/v2/dags/train__quick/dagRuns/{train}/taskInstances")
    pools = {task["task_id"]: task["pool"] for task in tasks["task_instances"]}
    assert pools.pop("train_model") == "gpu"
    assert set(pools.values()) == {"default_pool"}

    command = ("-m", "tests.pipelines.equipoise", "show", "quick", "--json")
    shown = json.loads(python(*command, env=airflow.env)[1])
    assert [generation["is_current"] for generation in shown["generations"]] == [True]
    assert shown["rows"]["rows_in"] == 539_757


def test_the_trigger_form_takes_a_date_and_refuses_anything_else(airflow: Airflow) -> None:
    runs = "/api/v2/dags/score__quick/dagRuns"
    with pytest.raises(urllib.error.HTTPError) as refused:
        airflow.ask(runs, {"logical_date": None, "conf": {"as_of": "last spring"}})
    refused.value.close()
    assert refused.value.code == 400
    run = airflow.ask(runs, {"logical_date": None, "conf": {"as_of": "2009-06-30"}})
    path = f"{runs}/{run['dag_run_id']}"
    wait_for(lambda: airflow.ask(path)["state"] in FINISHED)
    task = airflow.ask(f"{path}/taskInstances/build_sequences")
    assert task["state"] == "success"
    assert "2009-06-30" in json.dumps(task["rendered_fields"])


def test_a_second_start_leaves_what_runs_alone(airflow: Airflow) -> None:
    before = python(*SERVICES, "status", env=airflow.env)
    assert python(*SERVICES, "up", env=airflow.env)[0] == 0
    assert python(*SERVICES, "status", env=airflow.env) == before
    assert before[0] == 0


def test_the_services_end_with_all_they_started(airflow: Airflow) -> None:
    assert len(processes_of(airflow.home)) >= 4
    code, output, _ = python(*SERVICES, "down", env=airflow.env)
    assert (code, output.strip()) == (0, "stopped")
    assert processes_of(airflow.home) == []
    assert python(*SERVICES, "status", env=airflow.env)[0] == 1

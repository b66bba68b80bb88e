"""The DAGs under a real scheduler, dag processor, triggerer and api-server, ended without rest."""

import json
from collections.abc import Iterator

import pytest

from tests.dags.installations import (
    environment,
    processes_of,
    python,
    quick_study,
    write_studies,
)
from tests.faults.airflow_services import (
    FINISHED,
    SERVICES,
    Airflow,
    passwords,
    refusal,
    running,
    wait_for,
)

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    home = tmp_path_factory.mktemp("scheduler") / "home"
    studies = write_studies(home.parent / "studies", quick=quick_study())
    with running(home, environment(home, studies, toy=False)) as services:
        yield services


def test_training_started_by_the_api_releases_and_its_release_starts_scoring(
    airflow: Airflow,
) -> None:
    assert refusal(lambda: airflow.log_in("admin", "not the password")) == 401
    assert passwords(airflow.home).stat().st_mode & 0o077 == 0
    assert airflow.ask("/api/v2/importErrors")["import_errors"] == []

    airflow.start("train__quick")
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


@pytest.mark.slow
def test_the_trigger_form_takes_a_date_and_refuses_anything_else(airflow: Airflow) -> None:
    runs = "/api/v2/dags/score__quick/dagRuns"
    wrong = {"logical_date": None, "conf": {"as_of": "last spring"}}
    assert refusal(lambda: airflow.ask(runs, wrong)) == 400
    run = airflow.ask(runs, {"logical_date": None, "conf": {"as_of": "2009-06-30"}})
    path = f"{runs}/{run['dag_run_id']}"
    wait_for(lambda: airflow.ask(path)["state"] in FINISHED)
    task = airflow.ask(f"{path}/taskInstances/merge_sequences")
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

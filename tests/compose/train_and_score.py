"""From a trigger through the API to a table that an analyst reads."""

import secrets
import time
from collections.abc import Callable
from typing import Any

from tests.compose.docker import Failed
from tests.compose.stack import Stack
from tests.faults.airflow_services import FINISHED, Airflow

# Of nafld_diabetes: who is eligible on the day of scoring, whatever the day.
ROWS = 12_140
# Two slow cores and a whole training; CI gives the whole test 90 minutes.
PATIENCE_SECONDS = 3600.0


def train_and_score(airflow: Airflow, study: str) -> None:
    """Train, and wait for the scoring that the release starts; each task on its own queue."""
    assert airflow.ask("/api/v2/importErrors")["import_errors"] == []
    train, score = f"train__{study}", f"score__{study}"
    airflow.start(train)
    _wait_for(lambda: {run["state"] for run in airflow.runs(train)} <= FINISHED)
    [trained] = airflow.runs(train)
    assert trained["state"] == "success", airflow.states(train, trained["dag_run_id"])
    _wait_for(lambda: bool(_by_release(airflow, score)))
    _wait_for(lambda: {run["state"] for run in _by_release(airflow, score)} <= FINISHED)
    [scored] = _by_release(airflow, score)
    assert scored["state"] == "success", airflow.states(score, scored["dag_run_id"])
    run = f"/api/v2/dags/{train}/dagRuns/{trained['dag_run_id']}/taskInstances"
    hosts = {task["queue"]: task["hostname"] for task in airflow.ask(run)["task_instances"]}
    assert set(hosts) == {"default", "gpu"}
    assert len(set(hosts.values())) == 2


def _by_release(airflow: Airflow, dag: str) -> list[dict[str, Any]]:
    """The runs that a release started; the study's own hour may come meanwhile."""
    return [run for run in airflow.runs(dag) if run["run_type"] == "asset_triggered"]


def read_as_analyst(stack: Stack, study: str) -> None:
    """A login of its own with an analyst's role reads the rows of its study, and no more.

    One that is there already was restored with its role and its grant: it lacks a password alone.
    """
    password = secrets.token_urlsafe(24)
    if _as_superuser(stack, "SELECT count(*) FROM pg_roles WHERE rolname = 'ada'") == "0":
        _as_superuser(
            stack,
            "CREATE ROLE ada LOGIN; GRANT equipoise_analyst TO ada;"  # noqa: S608 - own words
            f"INSERT INTO equipoise.study_grants VALUES ('ada', '{study}')",
        )
    _as_superuser(stack, f"ALTER ROLE ada PASSWORD '{password}'")
    rows = "SELECT count(*) FROM equipoise.predictions_current"
    assert _as_ada(stack, password, rows) == str(ROWS)
    for refused in (
        "SELECT count(*) FROM equipoise.event_log",
        "DELETE FROM equipoise.predictions",
    ):
        assert not _may(stack, password, refused)
    assert not _may(stack, password, "SELECT 1", database="airflow")


def _wait_for(what: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < ends, "waited for too long"
        time.sleep(5)


def _as_superuser(stack: Stack, statements: str) -> str:
    words = ("psql", "-v", "ON_ERROR_STOP=1", "-qtA", "-h", "/var/run/postgresql", "-U", "postgres")
    return stack.execute("postgres", *words, "equipoise", text_in=statements).strip()


def _as_ada(stack: Stack, password: str, query: str, database: str = "equipoise") -> str:
    """Over the network, with a password, as from a machine of its own."""
    script = f"IFS= read -r PGPASSWORD; export PGPASSWORD; psql -h 127.0.0.1 -U ada -qtA {database}"
    sent = f"{password}\n{query};\n"
    return stack.execute(
        "postgres", "sh", "-c", f"{script} -v ON_ERROR_STOP=1", text_in=sent
    ).strip()


def _may(stack: Stack, password: str, query: str, database: str = "equipoise") -> bool:
    try:
        _as_ada(stack, password, query, database)
    except Failed:
        return False
    return True

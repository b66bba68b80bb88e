"""The topology of docker-compose.yml as plain processes: a machine dies in mid-training."""

import json
import re
from pathlib import Path

import pytest

from dags.processes import stop
from pipelines.publication.postgres.cluster_databases import PIPELINE_ROLES
from pipelines.stage import store
from pipelines.stages.train_model import train_model
from tests.cluster.faults import FAULTS, LOST, RETRY
from tests.cluster.flow import CALM_SECONDS, ENDED, EPOCHS, Flow, wait_until
from tests.cluster.inspection import weights
from tests.cluster.keeper import kept
from tests.cluster.settings import HURRIED, hurried, shipped
from tests.cluster.strikes import KILL, wait_for_checkpoint
from tests.cluster.topology import WORKERS, Cluster
from tests.dags.installations import processes_of, python

pytestmark = pytest.mark.faults

STUDY = "killed"


def test_a_killed_machines_training_goes_on_elsewhere_to_the_same_weights(
    running_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = Flow(running_cluster, STUDY)
    flow.start()
    flow.wait_for_task(flow.train, "train_model")
    first = flow.host("train_model")
    assert first in ("worker-gpu-1", "worker-gpu-2")
    wait_for_checkpoint(flow)
    running_cluster.service(first).signal(KILL)
    wait_until(lambda: running_cluster.service(first).members() == [], 30)

    bound = sum(float(running_cluster.env[name]) for name in LOST + RETRY)
    wait_until(lambda: flow.state(flow.train, "train_model") == "success", bound + CALM_SECONDS)
    assert {first, flow.host("train_model")} == {"worker-gpu-1", "worker-gpu-2"}
    assert flow.tries() == {"train_model": 2}
    went_on = _epochs(running_cluster)
    assert went_on[0] > 2
    assert went_on == [*range(went_on[0], EPOCHS + 1)]
    assert _weights(running_cluster, monkeypatch, again=False) == _weights(
        running_cluster, monkeypatch, again=True
    )
    with kept(running_cluster):
        wait_until(lambda: dict(flow.runs())[flow.train] in ENDED, CALM_SECONDS)
    assert dict(flow.runs())[flow.train] == "success"


def test_only_training_runs_on_workers_with_a_gpu(running_cluster: Cluster) -> None:
    tasks = Flow(running_cluster, STUDY).tasks()
    places = {task: host for _, task, state, host, _ in tasks if state == "success"}
    assert places.pop("train_model").startswith("worker-gpu")
    assert set(places.values()) == {"worker-cpu"}


def test_no_login_sees_anothers_database_nor_makes_roles(running_cluster: Cluster) -> None:
    rights = "rolname, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication"
    found = running_cluster.sql(
        f"SELECT {rights} FROM pg_roles WHERE rolname IN ('airflow', 'pipeline', 'results') "  # noqa: S608
        "ORDER BY 1"
    )
    assert found == [(name, *[False] * 5) for name in ("airflow", "pipeline", "results")]
    connects = running_cluster.sql(
        "SELECT rolname, datname FROM pg_roles, pg_database WHERE rolname IN "
        "('airflow', 'pipeline', 'results') AND datname IN ('airflow', 'equipoise') "
        "AND has_database_privilege(rolname, datname, 'CONNECT') ORDER BY 1"
    )
    assert connects == [("airflow", "airflow"), ("pipeline", "equipoise"), ("results", "airflow")]
    member = running_cluster.sql(
        "SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid "
        "JOIN pg_roles u ON u.oid = m.member WHERE u.rolname = 'pipeline'"
    )
    assert {name for (name,) in member} == set(PIPELINE_ROLES)


def test_the_workers_did_their_work_with_a_login_of_the_results_alone(
    running_cluster: Cluster,
) -> None:
    [(results,)] = running_cluster.sql("SELECT count(*) FROM celery_taskmeta")
    assert isinstance(results, int)
    assert results > len(WORKERS)
    seen = running_cluster.sql(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "AND relkind IN ('r', 'v', 'm', 'p') AND (has_table_privilege('results', oid, 'SELECT') "
        "OR has_any_column_privilege('results', oid, 'UPDATE')) ORDER BY 1"
    )
    assert seen == [("celery_taskmeta",), ("celery_tasksetmeta",)]
    assert not any("Failed to log action" in running_cluster.log(name) for name in WORKERS)


@pytest.mark.slow
def test_a_second_preparation_changes_nothing(running_cluster: Cluster) -> None:
    before = _state(running_cluster)
    code, said, errors = python("-m", "dags.cluster", "init", env=running_cluster.env)
    assert code == 0, said + errors
    assert _state(running_cluster) == before
    passwords = json.loads(
        (running_cluster.home / "secrets" / "airflow_passwords.json").read_text()
    )
    assert not any(password in said + errors for password in passwords.values())


def test_every_bound_of_the_matrix_and_every_scaled_setting_is_a_shipped_one() -> None:
    assert {name for fault in FAULTS for name in fault.bound} <= shipped().keys()
    assert HURRIED.items() <= hurried().items()
    longest = 24 * 3600
    assert int(shipped()["AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT"]) > longest


def test_the_cluster_ends_with_all_it_started(running_cluster: Cluster) -> None:
    assert len(processes_of(running_cluster.home)) >= 5
    stop(running_cluster.services, patience_seconds=8)
    assert processes_of(running_cluster.home) == []


def _weights(cluster: Cluster, patch: pytest.MonkeyPatch, *, again: bool) -> dict[str, str]:
    """The network that the cluster trained, or of one trained here without a break."""
    patch.setenv("EQUIPOISE_HOME", str(cluster.home))
    patch.setenv("EQUIPOISE_STUDIES", cluster.env["EQUIPOISE_STUDIES"])
    patch.setenv("EQUIPOISE_DATA", cluster.env["EQUIPOISE_DATA"])
    [model] = [
        path
        for path in (cluster.home / "artefacts/train_model").iterdir()
        if path.is_dir() and not path.name.startswith(".")
    ]
    key = f"train_model/{model.name}"
    if not again:
        return weights(store(), key)
    inputs: dict[str, str] = store().manifest(key)["recipe"]["inputs"]
    other = cluster.home.parent / "uninterrupted"
    (other / "artefacts").mkdir(parents=True)
    name = Path(inputs["sequences"]).parent.name
    (other / "artefacts" / name).symlink_to(cluster.home / "artefacts" / name)
    patch.setenv("EQUIPOISE_HOME", str(other))
    patch.setenv("OMP_NUM_THREADS", cluster.env["OMP_NUM_THREADS"])
    assert train_model(STUDY, inputs["sequences"]) == key
    return weights(store(), key)


def _epochs(cluster: Cluster) -> list[int]:
    """The epochs that the second attempt says it ran, in order."""
    folder = cluster.home / "airflow" / "logs"
    files = folder.glob(f"**/dag_id=train__{STUDY}/**/task_id=train_model/attempt=2.log")
    said = "".join(file.read_text() for file in files)
    return [int(number) for number in re.findall(r"seed_0 epoch (\d+) of", said)]


def _state(cluster: Cluster) -> list[object]:
    """Pools, roles and users as they stand."""
    pools = cluster.sql("SELECT pool, slots FROM slot_pool ORDER BY 1")
    roles = cluster.sql("SELECT rolname, rolsuper FROM pg_roles ORDER BY 1")
    tables = cluster.sql(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'equipoise' "
        "ORDER BY 1",
        "equipoise",
    )
    return [*pools, *roles, *tables, _passwords(cluster)]


def _passwords(cluster: Cluster) -> str:
    return (cluster.home / "secrets" / "airflow_passwords.json").read_text()

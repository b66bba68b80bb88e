"""The settings of the cluster under test: the shipped file, and what a machine adds to it."""

import os
from collections.abc import Mapping
from pathlib import Path

from tests.dags.installations import ROOT

SHIPPED = ROOT / "docker" / "airflow.env"
# What a default run scales, so that it waits for seconds where a cluster waits for minutes.
HURRIED = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "5",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "45",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "20",
}
# Of this machine alone: it has few cores, and a new study is to be seen soon.
HERE = {
    "AIRFLOW__API__WORKERS": "1",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "10",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": "tests.cluster.names.host_name",
}


def shipped() -> dict[str, str]:
    """The lines of docker/airflow.env, read as compose reads them."""
    lines = (line.strip() for line in SHIPPED.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


def hurried(scaled: Mapping[str, str] = HURRIED) -> dict[str, str]:
    """The shipped settings with some timeouts scaled down; all names must be shipped ones."""
    unknown = scaled.keys() - shipped().keys()
    assert not unknown, f"the cluster ships no {sorted(unknown)}"
    return shipped() | dict(scaled)


def clean_environment() -> dict[str, str]:
    """This process's variables without those that would tell a service whose it is."""
    return {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("AIRFLOW", "EQUIPOISE", "CELERY"))
    } | {"PYTHONPATH": str(ROOT)}


def secret(folder: Path, name: str, text: str) -> str:
    """Write a secret's file; the command that reads it, as compose names it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = folder / name
    file.write_text(text)
    file.chmod(0o600)
    return f"cat {file}"

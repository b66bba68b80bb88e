"""A real Airflow in which people are asked about small studies, and how a test answers there."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipelines.stages.request_approval import request_approval
from tests.dags.installations import ROOT, environment, write_studies
from tests.faults.airflow_services import FINISHED, Airflow, running, wait_for
from tests.pipelines.approval_examples import audited_study

# How many rows a reader sees of a published study.
ROWS = 4
# Tess trains, Ada and Grace approve, Vic may look.
USERS = "tess:user, ada:user, grace:user, vic:viewer"


@contextmanager
def asking(
    folder: Path, texts: Mapping[str, str], *, trained: tuple[str, ...] = ()
) -> Iterator[Airflow]:
    """All studies audited and before people.

    Args:
        texts: the YAML of each study.
        trained: those that a run of ``train`` puts before people, started by Tess.
    """
    home = folder / "home"
    studies = write_studies(folder / "studies", **texts)
    stages = ROOT / "tests" / "dags" / "approval_stages"
    env = environment(home, studies, toy=False) | {
        "EQUIPOISE_AIRFLOW_USERS": USERS,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(stages)]),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_HOME", str(home))
        patch.setenv("EQUIPOISE_STUDIES", str(studies))
        audits = {study: audited_study(study) for study in texts}
        with running(home, env) as services:
            for study in trained:
                services.start(f"train__{study}", by="tess")
            for study in [name for name in texts if name not in trained]:
                assert request_approval(study, audits[study], "tess")
                services.start(f"approve__{study}")
            yield services


def questions(airflow: Airflow, study: str) -> list[dict[str, Any]]:
    """The questions that wait, oldest first."""
    path = f"/api/v2/dags/approve__{study}/dagRuns/~/hitlDetails?response_received=false"
    found: list[dict[str, Any]] = airflow.ask(path)["hitl_details"]
    return [each for each in found if each["task_instance"]["state"] == "awaiting_input"]


def question(airflow: Airflow, study: str) -> dict[str, Any]:
    """The oldest question that waits, once the scheduler knows that its task was parked.

    An answer before that leaves a loaded scheduler with a task that ended while it was queued
    again: it then waits for the retry's delay and asks anew.
    """
    wait_for(lambda: bool(questions(airflow, study)))
    found = questions(airflow, study)[0]
    run = found["task_instance"]["dag_run_id"]
    parked = f"dag_id='approve__{study}', task_id='ask_people', run_id='{run}'"
    log = airflow.home / "airflow" / "services" / "scheduler.log"
    wait_for(lambda: _has_line(log, "Received executor event", parked))
    return found


def _has_line(file: Path, *words: str) -> bool:
    return any(all(word in line for word in words) for line in file.read_text().splitlines())


def answer(airflow: Airflow, study: str, option: str, by: str, reason: str = "looked") -> str:
    """Answer the question that waits; the run that it was asked in."""
    run: str = question(airflow, study)["task_instance"]["dag_run_id"]
    path = f"/api/v2/dags/approve__{study}/dagRuns/{run}/taskInstances/ask_people/-1/hitlDetails"
    body = {"chosen_options": [option], "params_input": {"reason": reason}}
    airflow.ask(path, body, by=by, method="PATCH")
    return run


def ended(airflow: Airflow, study: str, run: str) -> tuple[str, dict[str, str]]:
    """The state of a run of ``approve`` and of its tasks, once it has ended."""
    path = f"/api/v2/dags/approve__{study}/dagRuns/{run}"
    wait_for(lambda: airflow.ask(path)["state"] in FINISHED)
    return airflow.ask(path)["state"], airflow.states(f"approve__{study}", run)

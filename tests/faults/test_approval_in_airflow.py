"""Approval by people in a real Airflow: what a reader of the published table then sees.

One installation serves all: each case has a study of its own.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.approvals import list_requests
from pipelines.stages.request_approval import request_approval
from tests.dags.installations import ROOT, environment, write_studies
from tests.faults.airflow_services import FINISHED, Airflow, refusal, running, wait_for
from tests.pipelines.approval_examples import asking_study, audited_study, rewrite, rows_read

pytestmark = pytest.mark.faults

ROWS = 4
# Long enough for the question to be put, short enough to wait for.
EXPIRES_SECONDS = 60.0
STUDIES = {
    "approved": asking_study(),
    "rejected": asking_study(),
    "expired": asking_study(expires_after_days=EXPIRES_SECONDS / 24 / 3600),
    "watched": asking_study(),
    "changed": asking_study(),
    "two": asking_study(approvers=2),
    "trained": asking_study(),
}
# Tess trains, Ada and Grace approve, Vic may look.
USERS = "tess:user, ada:user, grace:user, vic:viewer"


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """All studies audited and, but for the one that is trained here, before people."""
    home = tmp_path_factory.mktemp("approval") / "home"
    studies = write_studies(home.parent / "studies", **STUDIES)
    stages = ROOT / "tests" / "dags" / "approval_stages"
    env = environment(home, studies, toy=False) | {
        "EQUIPOISE_AIRFLOW_USERS": USERS,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(stages)]),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_HOME", str(home))
        patch.setenv("EQUIPOISE_STUDIES", str(studies))
        audits = {study: audited_study(study) for study in STUDIES}
        with running(home, env) as services:
            services.start("train__approved", by="tess")
            for study in [name for name in STUDIES if name != "approved"]:
                assert request_approval(study, audits[study], "tess")
                services.start(f"approve__{study}")
            yield services


def questions(airflow: Airflow, study: str) -> list[dict[str, Any]]:
    """The questions that wait, oldest first."""
    path = f"/api/v2/dags/approve__{study}/dagRuns/~/hitlDetails?response_received=false"
    found: list[dict[str, Any]] = airflow.ask(path)["hitl_details"]
    return [each for each in found if each["task_instance"]["state"] == "awaiting_input"]


def question(airflow: Airflow, study: str) -> dict[str, Any]:
    wait_for(lambda: bool(questions(airflow, study)))
    return questions(airflow, study)[0]


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


def test_who_approves_after_training_releases_and_scoring_follows(airflow: Airflow) -> None:
    asked = question(airflow, "approved")
    assert "Ranks well enough" in asked["body"]
    wait_for(lambda: airflow.runs("train__approved")[0]["state"] in FINISHED)
    [train] = airflow.runs("train__approved")
    assert train["state"] == "success"
    states = airflow.states("train__approved", train["dag_run_id"])
    assert (states["request_approval"], states["release_model"]) == ("success", "skipped")
    [request] = list_requests("approved")
    assert request.request.trained_by == "tess"
    assert (rows_read("approved"), airflow.runs("score__approved")) == (0, [])

    run = answer(airflow, "approved", "Approve", "ada", "few subjects")
    state, tasks = ended(airflow, "approved", run)
    assert (state, tasks["release_model"], tasks["ask_again"]) == ("success", "success", "skipped")
    wait_for(lambda: {one["state"] for one in airflow.runs("score__approved")} == {"success"})
    assert rows_read("approved") == ROWS
    [request] = list_requests("approved")
    assert request.state == "used"
    assert [(a.by, a.reason, a.through) for a in request.answers] == [
        ("ada", "few subjects", "airflow")
    ]


def test_who_may_only_look_cannot_answer(airflow: Airflow) -> None:
    asked = question(airflow, "watched")
    assert refusal(lambda: answer(airflow, "watched", "Approve", "vic")) == 403
    assert question(airflow, "watched")["subject"] == asked["subject"]
    [request] = list_requests("watched")
    assert (request.state, request.answers, rows_read("watched")) == ("waiting", (), 0)


def test_a_rejection_is_an_answer_and_nothing_is_released(airflow: Airflow) -> None:
    state, tasks = ended(
        airflow, "rejected", answer(airflow, "rejected", "Reject", "ada", "too few women")
    )
    assert (state, tasks["release_model"], tasks["ask_again"]) == ("success", "skipped", "skipped")
    [request] = list_requests("rejected")
    assert (request.state, request.why) == ("rejected", "too few women")
    assert (rows_read("rejected"), airflow.runs("score__rejected")) == (0, [])


def test_an_approval_of_what_was_changed_since_counts_for_nothing(airflow: Airflow) -> None:
    question(airflow, "changed")
    [request] = list_requests("changed")
    model = airflow.home / "artefacts" / request.request.bound.model_key
    rewrite(model / "weights.txt", b"other weights")

    state, tasks = ended(airflow, "changed", answer(airflow, "changed", "Approve", "ada"))
    assert (state, tasks["record_answer"]) == ("failed", "failed")
    assert tasks["release_model"] == "upstream_failed"
    [request] = list_requests("changed")
    assert (request.state, request.answers) == ("void", ())
    assert (rows_read("changed"), airflow.runs("score__changed")) == (0, [])


def test_who_trained_is_refused_and_another_person_is_asked(airflow: Airflow) -> None:
    state, tasks = ended(airflow, "trained", answer(airflow, "trained", "Approve", "tess"))
    assert (state, tasks["release_model"], tasks["ask_again"]) == ("success", "skipped", "success")
    assert "tess started the training" in question(airflow, "trained")["body"]
    [request] = list_requests("trained")
    assert (request.state, request.answers) == ("waiting", ())
    assert (rows_read("trained"), airflow.runs("score__trained")) == (0, [])


def test_one_of_two_approvers_releases_nothing_however_often_they_answer(
    airflow: Airflow,
) -> None:
    for _ in range(2):
        ended(airflow, "two", answer(airflow, "two", "Approve", "ada"))
        assert (rows_read("two"), airflow.runs("score__two")) == (0, [])
    [request] = list_requests("two")
    assert [each.by for each in request.answers] == ["ada"]
    assert [each.why for each in request.refused] == ["ada has answered already"]

    ended(airflow, "two", answer(airflow, "two", "Approve", "grace"))
    wait_for(lambda: {one["state"] for one in airflow.runs("score__two")} == {"success"})
    assert rows_read("two") == ROWS


def test_a_question_that_nobody_answers_ends_when_it_expires(airflow: Airflow) -> None:
    [run] = airflow.runs("approve__expired")
    state, tasks = ended(airflow, "expired", run["dag_run_id"])
    assert (state, tasks["ask_people"]) == ("failed", "failed")
    assert tasks["release_model"] == "upstream_failed"
    [request] = list_requests("expired")
    assert request.state == "expired"
    assert (rows_read("expired"), airflow.runs("score__expired")) == (0, [])


def test_a_question_that_is_marked_as_answered_by_hand_is_no_answer(airflow: Airflow) -> None:
    run = question(airflow, "watched")["task_instance"]["dag_run_id"]
    path = f"/api/v2/dags/approve__watched/dagRuns/{run}/taskInstances/ask_people"
    airflow.ask(path, {"new_state": "success"}, by="ada", method="PATCH")

    state, tasks = ended(airflow, "watched", run)
    assert (state, tasks["ask_people"], tasks["record_answer"]) == ("failed", "success", "failed")
    [request] = list_requests("watched")
    assert (request.state, request.answers) == ("waiting", ())
    assert (rows_read("watched"), airflow.runs("score__watched")) == (0, [])

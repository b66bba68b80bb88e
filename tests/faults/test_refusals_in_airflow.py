"""Approval in a real Airflow, rarer ends: who may not, nobody, an answer made up by hand."""

from collections.abc import Iterator

import pytest

from pipelines.approvals.requests import list_requests
from tests.faults.airflow_services import Airflow, refusal
from tests.faults.approval_services import answer, asking, ended, question
from tests.pipelines.approval_examples import asking_study, rows_read

pytestmark = [pytest.mark.faults, pytest.mark.slow]

# Long enough for the question to be put, short enough to wait for.
EXPIRES_SECONDS = 60.0
STUDIES = {
    "expired": asking_study(expires_after_days=EXPIRES_SECONDS / 24 / 3600),
    "watched": asking_study(),
    "trained": asking_study(),
}


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    with asking(tmp_path_factory.mktemp("refusals"), STUDIES) as services:
        yield services


def test_who_may_only_look_cannot_answer(airflow: Airflow) -> None:
    asked = question(airflow, "watched")
    assert refusal(lambda: answer(airflow, "watched", "Approve", "vic")) == 403
    assert question(airflow, "watched")["subject"] == asked["subject"]
    [request] = list_requests("watched")
    assert (request.state, request.answers, rows_read("watched")) == ("waiting", (), 0)


def test_who_trained_is_refused_and_another_person_is_asked(airflow: Airflow) -> None:
    state, tasks = ended(airflow, "trained", answer(airflow, "trained", "Approve", "tess"))
    assert (state, tasks["release_model"], tasks["ask_again"]) == ("success", "skipped", "success")
    assert "tess started the training" in question(airflow, "trained")["body"]
    [request] = list_requests("trained")
    assert (request.state, request.answers) == ("waiting", ())
    assert (rows_read("trained"), airflow.runs("score__trained")) == (0, [])


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

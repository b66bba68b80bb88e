"""Approval by people in a real Airflow: what a reader of the published table then sees.

One installation serves all: each case has a study of its own.
"""

from collections.abc import Iterator

import pytest

from pipelines.approvals.requests import list_requests
from tests.faults.airflow_services import FINISHED, Airflow, wait_for
from tests.faults.approval_services import ROWS, answer, asking, ended, question
from tests.pipelines.approval_examples import asking_study, rewrite, rows_read

pytestmark = pytest.mark.faults

STUDIES = {
    "approved": asking_study(),
    "rejected": asking_study(),
    "changed": asking_study(),
    "two": asking_study(approvers=2),
}


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    folder = tmp_path_factory.mktemp("approval")
    with asking(folder, STUDIES, trained=("approved",)) as services:
        yield services


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

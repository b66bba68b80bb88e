"""Who answered what is what the API's record says, read over HTTP, and nothing else."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from dags.answers import read_answer
from dags.recording import record_answer
from pipelines.approvals.requests import list_requests
from pipelines.errors import ApprovalRefused, SecretMissing
from pipelines.stages.request_approval import request_approval
from tests.dags.installations import write_studies
from tests.pipelines.approval_examples import asking_study, audited_study

STUDY = "demo"
PATH = "/api/v2/dags/approve__demo/dagRuns/manual__1%2B00%3A00/taskInstances/ask_people/-1/"
RUN = "manual__1+00:00"
ANSWERED = {
    "subject": "Release the model of demo? (request 0123456789abcdef)",
    "response_received": True,
    "responded_by_user": {"id": "7", "name": "Ada"},
    "chosen_options": ["Approve"],
    "params_input": {"reason": "few subjects"},
}


class Api(HTTPServer):
    """Gives a token for one password, and the record for that token."""

    record: dict[str, Any] = ANSWERED


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = body == {"username": "reader", "password": "open"} and self.path == "/auth/token"
        self._say(201 if known else 401, {"access_token": "a token"})

    def do_GET(self) -> None:
        known = self.headers["Authorization"] == "Bearer a token"
        found = self.path == f"{PATH}hitlDetails"
        self._say(200 if known and found else 404, self.server.record)

    def _say(self, status: int, body: dict[str, Any]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    server = Api(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    secrets = tmp_path / "home" / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "airflow_reader.json").write_text('{"username": "reader", "password": "open"}')
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path / "studies"))
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", f"http://127.0.0.1:{server.server_port}/")
    yield server
    server.shutdown()
    server.server_close()


def test_the_record_says_who_chose_what_and_why_about_which_request(api: Api) -> None:
    read = read_answer("approve__demo", RUN, "ask_people")
    assert (read.request_id, read.decision) == ("0123456789abcdef", "approved")
    assert (read.by, read.account, read.reason) == ("Ada", "7", "few subjects")


@pytest.mark.parametrize(
    "odd",
    [
        {"response_received": False},
        {"responded_by_user": None},
        {"chosen_options": []},
        {"chosen_options": ["Approve", "Reject"]},
        {"chosen_options": ["approved"]},
        {"subject": "Release the model of demo?"},
        {"subject": "(request 0123456789abcdef) and more"},
    ],
)
def test_a_record_without_one_answer_of_a_person_is_none(api: Api, odd: dict[str, Any]) -> None:
    api.record = ANSWERED | odd
    with pytest.raises(ApprovalRefused, match="none of a person"):
        read_answer("approve__demo", RUN, "ask_people")


def test_without_an_account_that_may_read_it_nothing_is_believed(api: Api, tmp_path: Path) -> None:
    (tmp_path / "home" / "secrets" / "airflow_reader.json").unlink()
    with pytest.raises(SecretMissing):
        read_answer("approve__demo", RUN, "ask_people")


def test_a_task_that_begins_anew_writes_the_answer_once(api: Api, tmp_path: Path) -> None:
    write_studies(tmp_path / "studies", demo=asking_study(approvers=2))
    audit = audited_study(STUDY)
    request = request_approval(STUDY, audit, "Tess").removeprefix("approvals/")
    api.record = ANSWERED | {"subject": f"Release the model of demo? (request {request})"}

    for _ in range(2):
        assert record_answer(STUDY, "approve__demo", RUN) == audit
    [listed] = list_requests(STUDY)
    assert [answer.by for answer in listed.answers] == ["Ada"]
    assert (listed.refused, listed.state) == ((), "waiting")


def test_another_persons_answer_in_the_same_run_is_another_answer(api: Api, tmp_path: Path) -> None:
    write_studies(tmp_path / "studies", demo=asking_study(approvers=2))
    audit = audited_study(STUDY)
    request = request_approval(STUDY, audit, "Tess").removeprefix("approvals/")
    api.record = ANSWERED | {"subject": f"Release the model of demo? (request {request})"}
    assert record_answer(STUDY, "approve__demo", RUN) == audit
    # Somebody cleared the task, and Grace answers the question that is put again.
    api.record |= {
        "responded_by_user": {"id": "8", "name": "Grace"},
        "chosen_options": ["Reject"],
    }

    assert record_answer(STUDY, "approve__demo", RUN) == audit
    [listed] = list_requests(STUDY)
    said = [(answer.by, answer.decision) for answer in listed.answers]
    assert said == [("Ada", "approved"), ("Grace", "rejected")]
    assert listed.state == "rejected"


def test_an_answer_to_a_question_that_another_audit_took_the_place_of_is_kept_without_alarm(
    api: Api, tmp_path: Path
) -> None:
    write_studies(tmp_path / "studies", demo=asking_study())
    request = request_approval(STUDY, audited_study(STUDY), "Tess").removeprefix("approvals/")
    assert request_approval(STUDY, audited_study(STUDY, b"other weights"), "Tess")
    api.record = ANSWERED | {"subject": f"Release the model of demo? (request {request})"}

    assert record_answer(STUDY, "approve__demo", RUN) == ""
    [old, new] = list_requests(STUDY)
    assert (old.state, old.answers, len(old.refused)) == ("void", (), 1)
    assert (new.state, new.answers, new.refused) == ("waiting", (), ())


def test_an_answer_to_a_request_that_is_not_there_is_refused(api: Api, tmp_path: Path) -> None:
    write_studies(tmp_path / "studies", demo=asking_study())
    with pytest.raises(ApprovalRefused, match="Nobody was asked"):
        record_answer(STUDY, "approve__demo", RUN)

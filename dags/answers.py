"""Who answered what: from the API's own record, read as a user who may read and no more.

Neither XCom nor a task's state is asked: both can be set by hand, and after a rejection the run
is a success like any other.
"""

import json
import os
import ssl
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pipelines.errors import ApprovalRefused, SecretMissing
from pipelines.settings import settings

if TYPE_CHECKING:
    from pipelines.approvals.record import Decision

SECONDS = 60.0
APPROVE, REJECT = "Approve", "Reject"
REASON = "reason"
DECISIONS: "dict[str, Decision]" = {APPROVE: "approved", REJECT: "rejected"}


@dataclass(frozen=True)
class RecordedAnswer:
    """One person's answer. account: the server's id of the person."""

    request_id: str
    decision: "Decision"
    by: str
    account: str
    reason: str


def read_answer(dag: str, run: str, task: str) -> RecordedAnswer:
    """The answer that the API's record holds for a task of a run.

    Raises:
        ApprovalRefused: nobody answered, whatever the state of the task says.
        SecretMissing: the account that reads the record is not there.
    """
    from pipelines.approvals.page import request_in

    record = _record(dag, run, task)
    person, chosen = record.get("responded_by_user"), record.get("chosen_options") or []
    request_id = request_in(record.get("subject", ""))
    if not record.get("response_received") or not person or request_id is None:
        raise _nobody(dag, run)
    if len(chosen) != 1 or chosen[0] not in DECISIONS:
        raise _nobody(dag, run)
    return RecordedAnswer(
        request_id=request_id,
        decision=DECISIONS[chosen[0]],
        by=person["name"],
        account=person["id"],
        reason=str(record.get("params_input", {}).get(REASON, "")),
    )


def _record(dag: str, run: str, task: str) -> dict[str, Any]:
    url = _server()
    token = _post(f"{url}/auth/token", _reader())["access_token"]
    instance = f"dagRuns/{quote(run, safe='')}/taskInstances/{task}/-1"
    path = f"/api/v2/dags/{dag}/{instance}/hitlDetails"
    return _open(urllib.request.Request(url + path, headers={"Authorization": f"Bearer {token}"}))  # noqa: S310 - our own server


def _server() -> str:
    """Where the API is: as the services say it, or as Airflow's own configuration does."""
    url = os.environ.get("AIRFLOW__API__BASE_URL")
    if not url:
        from airflow.sdk.configuration import conf

        url = str(conf.get("api", "base_url"))
    return url.rstrip("/")


def _reader() -> dict[str, str]:
    """Name and password of the account that reads the record."""
    file = settings().secrets_dir / "airflow_reader.json"
    try:
        account: dict[str, str] = json.loads(file.read_text())
    except OSError:
        raise SecretMissing(
            "The account that reads who answered is missing.",
            where=str(file),
            remedy="Start the services with `make up`, or write the file: "
            '{"username": …, "password": …} of a user who may read DAG runs.',
        ) from None
    return account


def _post(url: str, body: dict[str, str]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    return _open(urllib.request.Request(url, json.dumps(body).encode(), headers))  # noqa: S310 - our own server


def _open(request: urllib.request.Request) -> dict[str, Any]:
    # A cluster's certificates are of an authority of its own.
    trusted = ssl.create_default_context(cafile=os.environ.get("AIRFLOW__API__SSL_CA_FILE"))
    with urllib.request.urlopen(request, timeout=SECONDS, context=trusted) as answer:  # noqa: S310 - our own server
        content: dict[str, Any] = json.load(answer)
    return content


def _nobody(dag: str, run: str) -> ApprovalRefused:
    return ApprovalRefused(
        "The record of answers holds none of a person for this run.",
        where=f"{dag}, run {run}",
        remedy="Nothing is released. Start the DAG again: it asks again.",
    )

"""From Airflow's record of who answered into ours: the same record as the command line's."""

import logging

from dags.answers import RecordedAnswer, read_answer
from pipelines.approvals.answering import answer, tell_store
from pipelines.approvals.request import ApprovalAnswer, ListedRequest
from pipelines.approvals.requests import SUPERSEDED, list_requests
from pipelines.errors import ApprovalRefused

log = logging.getLogger(__name__)


def record_answer(study: str, dag: str, run: str) -> str:
    """Write down the answer to a run's question; returns the key of the audit it is about, empty
    where another audit has taken its place.

    An answer that cannot count is refused and kept, and the question is put again while it waits.

    Raises:
        ApprovalRefused: nobody answered, or the request is no longer open.
    """
    read = read_answer(dag, run, "ask_people")
    known = _request(study, read.request_id)
    if known is not None and any(_is_written(each, read, run) for each in known.answers):
        # This task was ended after it had written, and begins anew.
        tell_store(known)
        return known.request.bound.audit_key
    try:
        listed = answer(
            study,
            read.decision,
            by=read.by,
            account=read.account,
            reason=read.reason,
            through="airflow",
            request_id=read.request_id,
            run=run,
        )
    except ApprovalRefused as refused:
        if known is not None and known.why == SUPERSEDED:
            # The old question still stood open; the newer one is what people answer.
            log.warning("%s", refused)
            return ""
        waiting = _request(study, read.request_id)
        if waiting is None or waiting.state != "waiting":
            raise
        log.warning("%s", refused)
        return waiting.request.bound.audit_key
    return listed.request.bound.audit_key


def _is_written(known: ApprovalAnswer, read: RecordedAnswer, run: str) -> bool:
    """Whether this is what was written before; of a cleared task another person may answer."""
    written = (known.run, known.account, known.decision)
    return written == (run, read.account, read.decision)


def _request(study: str, request_id: str) -> ListedRequest | None:
    named = (each for each in list_requests(study) if each.request.request_id == request_id)
    return next(named, None)

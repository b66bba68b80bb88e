"""May a model be released on what people approved, or do they still have to be asked?"""

from pipelines.approvals.answering import tell_store
from pipelines.approvals.audited import Audited
from pipelines.approvals.record import ApprovalRecord
from pipelines.approvals.request import ListedRequest
from pipelines.approvals.requests import list_requests, newest_request, open_request, record_of
from pipelines.errors import AwaitingApproval, GateClosed
from pipelines.identity import Verdict
from pipelines.journal import JournalEntry, append_entry
from pipelines.notices import Asked, send
from pipelines.releases import list_releases, withdrawal_of_model
from pipelines.stage import store

_SAYS: dict[Verdict, str] = {
    "pass": "passed",
    "fail": "failed by a narrow margin",
    "cannot_tell": "cannot tell",
}


def approval_by_people(
    found: Audited, *, started_by: str, started_from: str | None
) -> ApprovalRecord:
    """The approval of people that stands for these very bytes; without one they are asked.

    Args:
        started_from: the operating system's account of this run; None under a server.

    Raises:
        AwaitingApproval: they have not all answered.
        GateClosed: they rejected it, or withdrew this very model.
    """
    bound = found.bound
    releases = list_releases(bound.study)
    withdrawn = withdrawal_of_model(bound.model_sha256, releases)
    if withdrawn is not None:
        raise _not_released(found, f"{withdrawn.by} withdrew this very model: {withdrawn.reason}")
    current = [each.release.approval for each in releases if each.state == "current"]
    of_these_bytes = [each for each in list_requests(bound.study) if each.request.bound == bound]
    for listed in reversed(of_these_bytes):
        record = record_of(listed)
        if record is None:
            continue
        if listed.state == "rejected":
            # The store may have been locked when it was to be told.
            tell_store(listed)
            by = ", ".join(record.decided_by)
            raise _not_released(found, f"{by} rejected it: {record.reason}")
        # An approval releases once; what was withdrawn or superseded since is asked about anew.
        if listed.state == "approved" or (listed.state == "used" and record in current):
            return record
    policy = found.spec.audit.approval
    listed, made = open_request(bound, found.reasons, policy, started_by, started_from)
    key = f"approvals/{listed.request.request_id}"
    append_entry(
        JournalEntry(bound.study, "request_approval", key, made=made, seconds=0.0, counts={})
    )
    if made:
        send(_notice(listed))
    raise awaiting(listed, str(found.report))


def awaiting_now(study: str) -> AwaitingApproval:
    """What is said of a study whose newest audit is before people."""
    listed = newest_request(study)
    if listed is None:
        return AwaitingApproval(
            f"The audit of {study} awaits approval.",
            where=study,
            remedy=f"See what waits: equipoise approvals {study}",
        )
    return awaiting(listed, str(store().path(listed.request.bound.audit_key) / "report.html"))


def awaiting(listed: ListedRequest, where: str) -> AwaitingApproval:
    """What is said while people are asked: what the gate could not decide, and how to answer."""
    request = listed.request
    study, people = request.bound.study, listed.missing
    other = "" if request.trainer_may_approve else f", not by {request.trained_by} who trained it"
    return AwaitingApproval(
        f"The audit of {study} {_SAYS[request.bound.verdict]} and awaits approval:\n"
        + "\n".join(f"  {reason}" for reason in request.reasons or ("the study asks people",)),
        where=where,
        remedy=f"{people} more {'person' if people == 1 else 'people'} must approve by "
        f"{request.expires_at:%Y-%m-%d %H:%M} UTC{other}; one rejection rejects:\n"
        f"  equipoise approve {study} --request {request.request_id} --as NAME --reason …\n"
        f"  equipoise reject {study} --request {request.request_id} --as NAME --reason …",
    )


def _notice(listed: ListedRequest) -> Asked:
    request = listed.request
    until, at = (
        f"{each:%Y-%m-%dT%H:%M:%S+00:00}" for each in (request.expires_at, request.requested_at)
    )
    return Asked(study=request.bound.study, request=request.request_id, until=until, at=at)


def _not_released(found: Audited, why: str) -> GateClosed:
    return GateClosed(
        f"Nothing is released for {found.bound.study}: {why}.",
        where=str(found.report),
        remedy="Read the audit's report; then change the study and train anew, or let a person "
        "reinstate what a person withdrew.",
    )

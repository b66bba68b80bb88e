"""request_approval: a verdict that the study puts before people waits for their answer."""

from pipelines.approvals.audited import audited
from pipelines.approvals.awaiting import approval_by_people
from pipelines.approvals.people import starter, starter_account
from pipelines.approvals.requests import newest_request
from pipelines.errors import AwaitingApproval, GateClosed


def request_approval(study: str, audit: str, started_by: str = "") -> str:
    """Ask people about an audit, if its verdict is theirs to decide and they have not decided.

    Args:
        started_by: whom Airflow names as the one who started this run; empty in this process.

    Returns:
        The key of the request that waits; empty where nobody has to be asked.
    """
    try:
        found = audited(study, audit)
    except GateClosed:
        # release_model says so, and why.
        return ""
    if found.verdict.decision == "release":
        return ""
    try:
        approval_by_people(
            found, started_by=starter(started_by), started_from=starter_account(started_by)
        )
    except AwaitingApproval:
        newest = newest_request(study)
        return f"approvals/{newest.request.request_id}" if newest is not None else ""
    except GateClosed:
        pass
    return ""

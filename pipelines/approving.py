"""A person answers: the record of approvals, and the store's table of them."""

from pipelines.approval_record import Decision
from pipelines.approval_request import Channel, ListedRequest
from pipelines.approvals import answer_request


def answer(
    study: str,
    decision: Decision,
    *,
    by: str,
    account: str,
    reason: str,
    through: Channel,
    request_id: str | None = None,
) -> ListedRequest:
    """Write down an answer; what people have decided with it enters the store's table at once.

    Raises:
        ApprovalRefused: the answer does not count.
    """
    listed = answer_request(
        study,
        decision,
        by=by,
        account=account,
        reason=reason,
        through=through,
        request_id=request_id,
    )
    return listed

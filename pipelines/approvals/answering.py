"""A person answers: the record of approvals, and the store's table of them."""

from pipelines.approvals.record import Decision
from pipelines.approvals.request import Channel, ListedRequest
from pipelines.approvals.requests import answer_request, record_of
from pipelines.errors import DatabaseUnavailable, StoreLocked
from pipelines.publication.store import record_approval
from pipelines.settings import settings


def answer(
    study: str,
    decision: Decision,
    *,
    by: str,
    account: str,
    reason: str,
    through: Channel,
    request_id: str | None = None,
    run: str | None = None,
) -> ListedRequest:
    """Write down an answer; what people have decided with it enters the store's table at once.

    Raises:
        ApprovalRefused: the answer does not count.
        StoreLocked, DatabaseUnavailable: the store cannot be told. The answer stands and is not
            given again.
    """
    listed = answer_request(
        study,
        decision,
        by=by,
        account=account,
        reason=reason,
        through=through,
        request_id=request_id,
        run=run,
    )
    try:
        tell_store(listed)
    except (StoreLocked, DatabaseUnavailable) as away:
        raise type(away)(
            f"The answer is written down and counts; the store could not be told: {away.cause}",
            where=away.where,
            remedy=f"Do not answer again. Once the store can be used: equipoise run {study}",
        ) from None
    return listed


def tell_store(listed: ListedRequest) -> None:
    """Let the store's table hold what people decided; telling it twice adds nothing.

    Raises:
        StoreLocked: another process keeps the store. The answer stands; a later run tells it.
    """
    if (record := record_of(listed)) is not None:
        record_approval(record, settings())

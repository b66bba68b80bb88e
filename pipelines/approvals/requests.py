"""The record of approvals: who was asked about which bytes, who answered what.

One append-only, hash-chained ledger per study. A state is never written but worked out at each
reading from the entries, the clock, the record of releases and the bytes in the store, so there
is no field whose edit would turn one state into another.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from pipelines.approvals.bound_bytes import changed
from pipelines.approvals.people import is_same_person, no_person, shown_name
from pipelines.approvals.record import ApprovalRecord, Decision
from pipelines.approvals.request import (
    ENTRY,
    ApprovalAnswer,
    ApprovalEntry,
    ApprovalRequest,
    Binding,
    Channel,
    ListedRequest,
    RefusedAnswer,
    RequestState,
    TrainingEntry,
    VoidedRequest,
)
from pipelines.errors import ApprovalRefused
from pipelines.ledger import Ledger, corrupt
from pipelines.releases import list_releases, require_study_name
from pipelines.settings import settings
from validation.config import ApprovalConfig

SUPERSEDED = "another audit was put before people afterwards"


def note_trainer(study: str, model_key: str, by: str, account: str | None = None) -> None:
    """Write down who started the training of a model; of one that is known already, nothing.

    Args:
        account: of the operating system; None where a server's login started it.
    """
    ledger = _ledger(study)
    with ledger.writing():
        if _trainer(_entries(study), model_key) is None:
            entry = TrainingEntry(model_key=model_key, by=by, account=account, at=_now())
            _add(ledger, entry)


def trainer_of(study: str, model_key: str) -> str | None:
    """Who started the training of a model, if that was noted."""
    found = _trainer(_entries(study), model_key)
    return None if found is None else found.by


def open_request(
    bound: Binding,
    reasons: Sequence[str],
    policy: ApprovalConfig,
    started_by: str,
    started_from: str | None = None,
) -> tuple[ListedRequest, bool]:
    """Ask people about these bytes; the same bytes have one open request.

    A request about other bytes that is still open becomes void: people answer the newest audit.

    Args:
        started_by: who started this run; the trainer where nobody else was noted.
        started_from: the operating system's account of this run, where it is known.

    Returns:
        The request, and whether it was made now.
    """
    ledger = _ledger(bound.study)
    with ledger.writing():
        listed = list_requests(bound.study)
        for known in listed:
            if known.request.bound == bound and known.state in ("waiting", "approved"):
                return known, False
        for known in listed:
            if known.state in ("waiting", "approved"):
                _add(ledger, _void(known.request.request_id, SUPERSEDED))
        now = _now()
        trainer = _trainer(_entries(bound.study), bound.model_key)
        request = ApprovalRequest.of(
            bound,
            reasons=(*reasons, *_rejections(bound, listed)),
            trained_by=trainer.by if trainer else started_by,
            trained_from=trainer.account if trainer else started_from,
            approvers=policy.approvers,
            trainer_may_approve=policy.trainer_may_approve,
            requested_at=now,
            expires_at=now + timedelta(days=policy.expires_after_days),
        )
        _add(ledger, request)
    return ListedRequest(request=request, state="waiting"), True


def answer_request(
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
    """Write down one person's answer to a request; the newest one if none is named.

    Where the newest follows one that was never decided, it must be named: people may have read
    the other one.

    Raises:
        ApprovalRefused: there is no such request or it is no longer open, a byte of what it is
            about was changed, or this person cannot answer it. The attempt is kept.
    """
    ledger = _ledger(study)
    with ledger.writing():
        listed = _wanted(study, request_id)
        if listed.state == "void" and not _was_voided(study, listed.request.request_id):
            _add(ledger, _void(listed.request.request_id, listed.why or "changed"))
        by = shown_name(by)
        is_trainers = through == "command line" and account == listed.request.trained_from
        why = _refusal(listed, decision, by, reason) or _refused_account(
            listed, decision, account, through, is_trainers=is_trainers
        )
        named = {"request_id": listed.request.request_id, "by": by or "nobody"}
        if why is not None:
            entry = RefusedAnswer(**named, account=account, why=why, through=through, at=_now())
            _add(ledger, entry)
            raise _refused(listed, why)
        _add(
            ledger,
            ApprovalAnswer(
                **named,
                decision=decision,
                account=account,
                reason=reason.strip(),
                through=through,
                run=run,
                from_trainers_account=is_trainers,
                at=_now(),
            ),
        )
    return _wanted(study, listed.request.request_id)


def list_requests(study: str) -> tuple[ListedRequest, ...]:
    """Every request of the study, oldest first, with its state of this moment.

    Raises:
        ArtefactCorrupt: the record was edited.
    """
    entries = _entries(study)
    used = {listed.release.approval.request_id for listed in list_releases(study)}
    requests = [entry for entry in entries if isinstance(entry, ApprovalRequest)]
    return tuple(_listed(request, entries, used) for request in requests)


def newest_request(study: str, audit: str | None = None) -> ListedRequest | None:
    """The request that was made last, of all or about one audit, if there is one."""
    listed = reversed(list_requests(study))
    return next((one for one in listed if audit in (None, one.request.bound.audit_key)), None)


def approvals_of(audit_key: str) -> tuple[ListedRequest, ...]:
    """What people were asked and answered about an audit, oldest first, whatever its study."""
    folder = settings().approvals_dir
    studies = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    return tuple(
        listed
        for study in studies
        for listed in list_requests(study)
        if listed.request.bound.audit_key == audit_key
    )


def record_of(listed: ListedRequest) -> ApprovalRecord | None:
    """The decision of people as a release and the store carry it; None while they have not decided.

    Of an approval: everybody who approved, in the order of answering. Of a rejection: who rejected.
    """
    rejection = listed.rejection
    deciding = (rejection,) if rejection else listed.approvals
    if rejection is None and listed.missing:
        return None
    request = listed.request
    named = len(deciding) > 1
    return ApprovalRecord.by_people(
        **request.bound.model_dump(exclude={"model_key"}),
        request_id=request.request_id,
        decision="rejected" if rejection else "approved",
        decided_by=tuple(answer.by for answer in deciding),
        reason="; ".join(f"{a.by}: {a.words}" if named else a.words for a in deciding),
        decided_at=deciding[-1].at,
        expires_at=request.expires_at,
    )


# ---- states ----------------------------------------------------------------------------------


def _listed(
    request: ApprovalRequest, entries: Sequence[ApprovalEntry], used: set[str]
) -> ListedRequest:
    """A request's answers, and the state that follows; the first of these that holds."""
    of_it = [each for each in entries if getattr(each, "request_id", None) == request.request_id]
    listed = ListedRequest(
        request=request,
        state="waiting",
        answers=tuple(each for each in of_it if isinstance(each, ApprovalAnswer)),
        refused=tuple(each for each in of_it if isinstance(each, RefusedAnswer)),
    )
    state, why = _state(listed, [e for e in of_it if isinstance(e, VoidedRequest)], used)
    return listed.model_copy(update={"state": state, "why": why})


def _state(
    listed: ListedRequest, voided: Sequence[VoidedRequest], used: set[str]
) -> tuple[RequestState, str | None]:
    if listed.request.request_id in used:
        return "used", None
    if listed.rejection is not None:
        return "rejected", listed.rejection.reason
    if voided:
        return "void", voided[0].why
    if _now() >= listed.request.expires_at:
        return "expired", None
    if found := changed(listed.request.bound):
        return "void", "; ".join(found)
    return ("waiting" if listed.missing else "approved"), None


# ---- who may answer --------------------------------------------------------------------------

_CLOSED_BECAUSE: dict[RequestState, str] = {
    "approved": "enough people have approved already",
    "rejected": "it was rejected",
    "expired": "it has expired",
    "used": "a release was made on it already",
}


def _refusal(listed: ListedRequest, decision: Decision, by: str, reason: str) -> str | None:
    """Why this answer cannot count; None if it can."""
    if listed.state == "void":
        return f"it is void: {listed.why}"
    if listed.state in _CLOSED_BECAUSE:
        return _CLOSED_BECAUSE[listed.state]
    if not reason.strip():
        return "an answer needs a reason and the name of a person"
    if (why := no_person(by)) is not None:
        return why
    if any(is_same_person(answer.by, by) for answer in listed.answers):
        return f"{by} has answered already"
    request = listed.request
    is_trainer = is_same_person(by, request.trained_by)
    if decision == "approved" and is_trainer and not request.trainer_may_approve:
        return f"{by} started the training: another person must approve"
    return None


def _refused_account(
    listed: ListedRequest, decision: Decision, account: str, through: Channel, *, is_trainers: bool
) -> str | None:
    """A name on the command line is what somebody says of themselves; an account is known."""
    request = listed.request
    if any((each.through, each.account) == (through, account) for each in listed.answers):
        return f"an answer was given from the account {account} already"
    strict = request.approvers > 1 and not request.trainer_may_approve
    if decision == "approved" and is_trainers and strict:
        return f"the training was started from the account {account}: another one must approve"
    return None


def _rejections(bound: Binding, listed: Sequence[ListedRequest]) -> Iterator[str]:
    """That people rejected this very model before, under whatever audit, in words."""
    for one in listed:
        said = one.rejection
        if said is not None and one.request.bound.model_sha256 == bound.model_sha256:
            yield f"{said.by} rejected this very model on {said.at:%Y-%m-%d}: {said.reason}"


def _refused(listed: ListedRequest, why: str) -> ApprovalRefused:
    request = listed.request
    return ApprovalRefused(
        f"This answer does not count: {why}.",
        where=f"request {request.request_id} on {request.bound.audit_key}",
        remedy="Let another person answer."
        if listed.state == "waiting"
        else f"See `equipoise approvals {request.bound.study}`; "
        f"`equipoise run {request.bound.study}` audits and asks anew where that is due.",
    )


def _wanted(study: str, request_id: str | None) -> ListedRequest:
    listed = list_requests(study)
    named = [each for each in listed if request_id in (None, each.request.request_id)]
    if request_id is None and len(listed) > 1 and listed[-2].state in ("void", "expired"):
        raise _unnamed(listed[-1])
    if named:
        return named[-1]
    raise ApprovalRefused(
        f"Nobody was asked about {study}{f' in a request {request_id}' if request_id else ''}.",
        where=str(_ledger(study).folder),
        remedy=f"See what waits: equipoise approvals {study}",
    )


def _unnamed(newest: ListedRequest) -> ApprovalRefused:
    """Whoever read the request before answers another one than they read."""
    request = newest.request
    return ApprovalRefused(
        f"The newest request of {request.bound.study} follows one that people never decided.",
        where=f"request {request.request_id} on {request.bound.audit_key}",
        remedy=f"Read it, then name what you answer: --request {request.request_id}",
    )


# ---- the ledger ------------------------------------------------------------------------------


def _void(request_id: str, why: str) -> VoidedRequest:
    return VoidedRequest(request_id=request_id, why=why, at=_now())


def _was_voided(study: str, request_id: str) -> bool:
    return any(
        isinstance(entry, VoidedRequest) and entry.request_id == request_id
        for entry in _entries(study)
    )


def _trainer(entries: Sequence[ApprovalEntry], model_key: str) -> TrainingEntry | None:
    training = (entry for entry in entries if isinstance(entry, TrainingEntry))
    return next((entry for entry in training if entry.model_key == model_key), None)


def _now() -> datetime:
    return datetime.now(UTC)


def _ledger(study: str) -> Ledger:
    return Ledger(settings().approvals_dir / require_study_name(study))


def _entries(study: str) -> list[ApprovalEntry]:
    ledger = _ledger(study)
    try:
        return [ENTRY.validate_python(content) for content in ledger.entries()]
    except ValidationError:
        raise corrupt(ledger.folder, "holds an entry that is none of an approval") from None


def _add(ledger: Ledger, entry: ApprovalEntry) -> None:
    ledger.add(entry.model_dump(mode="json"))

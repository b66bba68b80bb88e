"""What is put before people, and what they answer: the entries of a study's record of approvals."""

import hashlib
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from pipelines.approvals.record import Decision
from pipelines.identity import Key, Sha256, StudyName, UtcMoment, Verdict

RequestState = Literal["waiting", "approved", "rejected", "expired", "void", "used"]
Channel = Literal["command line", "airflow"]
RequestId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Binding(_Entry):
    """The bytes that people are asked about; an answer is of these and of no others."""

    study: StudyName
    audit_key: Key
    evidence_sha256: Sha256
    verdict: Verdict
    model_key: Key
    model_sha256: Sha256
    data_sha256: Sha256
    policy_sha256: Sha256


class ApprovalRequest(_Entry):
    """One question to people; make it with ``ApprovalRequest.of``.

    reasons: the gate's own words for why it does not decide by itself.
    trained_by: who started the training of this model.
    trained_from: the operating system's account that it was started from; None where unknown.
    approvers: so many different people must approve.
    """

    kind: Literal["request"] = "request"
    request_id: RequestId
    bound: Binding
    reasons: tuple[str, ...]
    trained_by: Key
    approvers: int = Field(ge=1)
    trainer_may_approve: bool
    requested_at: UtcMoment
    expires_at: UtcMoment
    trained_from: str | None = None

    @classmethod
    def of(
        cls,
        bound: Binding,
        *,
        reasons: tuple[str, ...],
        trained_by: str,
        approvers: int,
        trainer_may_approve: bool,
        requested_at: datetime,
        expires_at: datetime,
        trained_from: str | None = None,
    ) -> Self:
        """A request named by its content."""
        unnamed = cls.model_construct(
            request_id="",
            bound=bound,
            reasons=reasons,
            trained_by=trained_by,
            approvers=approvers,
            trainer_may_approve=trainer_may_approve,
            requested_at=requested_at,
            expires_at=expires_at,
            trained_from=trained_from,
        )
        return cls.model_validate(
            unnamed.model_dump(exclude={"request_id"}) | {"request_id": _identity(unnamed)}
        )

    @model_validator(mode="after")
    def _is_named_by_its_content(self) -> Self:
        if self.request_id != _identity(self):
            raise ValueError("request_id is not the hash of this request's content")
        return self


class ApprovalAnswer(_Entry):
    """What one person answered.

    account: of the operating system, or the server's id of the person.
    from_trainers_account: given on the command line from the account that started the training.
    run: of Airflow, in which the question was put; one question takes one answer.
    """

    kind: Literal["answer"] = "answer"
    request_id: RequestId
    decision: Decision
    by: Key
    account: Key
    reason: Key
    through: Channel
    run: str | None = None
    from_trainers_account: bool = False
    at: UtcMoment

    @property
    def words(self) -> str:
        """The reason, and what must be known beside it."""
        note = " (from the account that started the training)"
        return self.reason + (note if self.from_trainers_account else "")


class RefusedAnswer(_Entry):
    """An answer that does not count, and why; kept, so that an attempt can be seen."""

    kind: Literal["refused"] = "refused"
    request_id: RequestId
    by: Key
    account: Key
    why: Key
    through: Channel
    at: UtcMoment


class VoidedRequest(_Entry):
    """What people were asked about is no longer there; no answer can bring it back."""

    kind: Literal["void"] = "void"
    request_id: RequestId
    why: Key
    at: UtcMoment


class TrainingEntry(_Entry):
    """Who started the training of a model: noted once, by whoever made it.

    account: of the operating system; None where a server's login started it.
    """

    kind: Literal["training"] = "training"
    model_key: Key
    by: Key
    account: str | None = None
    at: UtcMoment


ApprovalEntry = Annotated[
    ApprovalRequest | ApprovalAnswer | RefusedAnswer | VoidedRequest | TrainingEntry,
    Field(discriminator="kind"),
]
ENTRY: TypeAdapter[ApprovalEntry] = TypeAdapter(ApprovalEntry)


class ListedRequest(_Entry):
    """A request with all that came of it.

    why: of a void request, what changed; of a rejected one, the reason.
    """

    request: ApprovalRequest
    state: RequestState
    answers: tuple[ApprovalAnswer, ...] = ()
    refused: tuple[RefusedAnswer, ...] = ()
    why: str | None = None

    @property
    def missing(self) -> int:
        """How many more people must approve."""
        return max(0, self.request.approvers - len(self.approvals))

    @property
    def approvals(self) -> tuple[ApprovalAnswer, ...]:
        return tuple(answer for answer in self.answers if answer.decision == "approved")

    @property
    def rejection(self) -> ApprovalAnswer | None:
        return next((each for each in self.answers if each.decision == "rejected"), None)


def _identity(request: ApprovalRequest) -> str:
    """16 hex digits of the sha256 of the request's JSON; fields in their order, none unsaid."""
    text = request.model_dump_json(exclude={"request_id"}, exclude_none=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

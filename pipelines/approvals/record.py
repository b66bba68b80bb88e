"""What a release rests on: the gate's own pass, or the answer of people, bound to bytes.

Whatever changes afterwards in evidence, model, data or policy is another thing than was approved.
"""

import hashlib
from datetime import UTC, datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.identity import Key, Sha256, StudyName, UtcMoment, Verdict

Decision = Literal["approved", "rejected"]
Grounds = Literal["gate", "people"]

# Who answers when nobody has to: a pass that the study lets release by itself.
GATE = "gate"


class ApprovalRecord(BaseModel):
    """One decision on one audited model; make it with ``by_gate`` or ``by_people``.

    data_sha256: one hash over the events and sequences that the model was trained on.
    request_id: of the request that people answered; "none" where nobody was asked.
    decided_by: everybody whose answer counted, in the order of answering.
    expires_at: a release must have been made before; None where the gate decided.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    approval_id: str
    study: StudyName
    audit_key: Key
    evidence_sha256: Sha256
    verdict: Verdict
    model_sha256: Sha256
    data_sha256: Sha256
    policy_sha256: Sha256
    request_id: Key
    decision: Decision
    grounds: Grounds
    decided_by: tuple[Key, ...] = Field(min_length=1)
    reason: Key
    decided_at: UtcMoment
    expires_at: UtcMoment | None = None

    @classmethod
    def by_gate(
        cls,
        *,
        study: str,
        audit_key: str,
        evidence_sha256: str,
        model_sha256: str,
        data_sha256: str,
        policy_sha256: str,
        decided_at: datetime | None = None,
    ) -> Self:
        """The approval of a pass that needs no person; decided now if no moment is given."""
        return cls._named(
            {
                "study": study,
                "audit_key": audit_key,
                "evidence_sha256": evidence_sha256,
                "verdict": "pass",
                "model_sha256": model_sha256,
                "data_sha256": data_sha256,
                "policy_sha256": policy_sha256,
                "request_id": "none",
                "decision": "approved",
                "grounds": "gate",
                "decided_by": (GATE,),
                "reason": "the audit passed",
            },
            decided_at=decided_at or datetime.now(UTC),
            expires_at=None,
        )

    @classmethod
    def by_people(
        cls,
        *,
        study: str,
        audit_key: str,
        evidence_sha256: str,
        verdict: Verdict,
        model_sha256: str,
        data_sha256: str,
        policy_sha256: str,
        request_id: str,
        decision: Decision,
        decided_by: tuple[str, ...],
        reason: str,
        decided_at: datetime,
        expires_at: datetime,
    ) -> Self:
        """What people answered to a request."""
        return cls._named(
            {
                "study": study,
                "audit_key": audit_key,
                "evidence_sha256": evidence_sha256,
                "verdict": verdict,
                "model_sha256": model_sha256,
                "data_sha256": data_sha256,
                "policy_sha256": policy_sha256,
                "request_id": request_id,
                "decision": decision,
                "grounds": "people",
                "decided_by": decided_by,
                "reason": reason,
            },
            decided_at=decided_at,
            expires_at=expires_at,
        )

    @classmethod
    def _named(
        cls, content: dict[str, object], *, decided_at: datetime, expires_at: datetime | None
    ) -> Self:
        moments = {"decided_at": decided_at, "expires_at": expires_at}
        return cls.model_validate(content | moments | {"approval_id": _identity(content)})

    @model_validator(mode="after")
    def _is_named_by_its_content(self) -> Self:
        content = self.model_dump(exclude={"approval_id", "decided_at", "expires_at"})
        if self.approval_id != _identity(content):
            raise ValueError("approval_id is not the hash of this approval's content")
        return self

    @model_validator(mode="after")
    def _nobody_speaks_for_people(self) -> Self:
        """The gate approves a pass and nothing else; people's answers have an end."""
        by_gate = self.grounds == "gate"
        if by_gate and (self.verdict, self.decision) != ("pass", "approved"):
            raise ValueError("the gate approves a pass and nothing else")
        if by_gate != (self.decided_by == (GATE,)) or (not by_gate and GATE in self.decided_by):
            raise ValueError("decided_by does not agree with the grounds")
        if by_gate != (self.expires_at is None) or by_gate != (self.request_id == "none"):
            raise ValueError("a request and an end belong to what people decide")
        return self

    @property
    def releases(self) -> bool:
        """Whether a model may be released on it."""
        return self.decision == "approved"


def _identity(content: dict[str, object]) -> str:
    """16 hex digits of the sha256 of the content, one field a line in sorted order."""
    text = "\n".join(f"{name}={content[name]}" for name in sorted(content))
    return hashlib.sha256(text.encode()).hexdigest()[:16]

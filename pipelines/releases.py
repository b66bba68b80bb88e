"""The record of releases: the newest entry decides which model, if any, may score.

A release stands until another release or a withdrawal follows it; after a withdrawal nothing
stands, and no older model comes back by itself: a person reinstates one.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipelines.approvals.record import ApprovalRecord
from pipelines.errors import GateClosed, NoRelease, StudyInvalid
from pipelines.identity import STUDY_NAME, Key, Sha256, StudyName, UtcMoment, Verdict
from pipelines.ledger import Ledger, corrupt
from pipelines.settings import Settings, settings

EntryKind = Literal["release", "withdrawal", "reinstatement"]
ReleaseState = Literal["current", "superseded", "withdrawn"]


class Release(BaseModel):
    """A model, its audit, what it rests on, and their hashes; make one with ``Release.of``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release_id: str
    study: StudyName
    model_key: Key
    model_sha256: Sha256
    audit_key: Key
    audit_sha256: Sha256
    verdict: Verdict
    events_key: Key
    sequences_key: Key
    records_sha256: Sha256
    policy_sha256: Sha256
    threshold: float | None = Field(ge=0, le=1)
    approval: ApprovalRecord
    created_at: UtcMoment

    @classmethod
    def of(
        cls,
        *,
        study: str,
        model_key: str,
        model_sha256: str,
        audit_key: str,
        audit_sha256: str,
        verdict: Verdict,
        events_key: str,
        sequences_key: str,
        records_sha256: str,
        policy_sha256: str,
        threshold: float | None,
        approval: ApprovalRecord,
    ) -> Self:
        """A release created now.

        Args:
            audit_sha256: of the audit's evidence.json.
            records_sha256: of the study's records section that the model was trained under.
            policy_sha256: of the audit policy that the model was judged under.
            threshold: the probability from which a score is a decision; None where the model
                predicts a number and nothing is decided.
            approval: of this very model, evidence and policy.
        """
        content: dict[str, Any] = {
            "study": study,
            "model_key": model_key,
            "model_sha256": model_sha256,
            "audit_key": audit_key,
            "audit_sha256": audit_sha256,
            "verdict": verdict,
            "events_key": events_key,
            "sequences_key": sequences_key,
            "records_sha256": records_sha256,
            "policy_sha256": policy_sha256,
            "threshold": None if threshold is None else float(threshold),
            "approval": approval.model_dump(),
        }
        return cls.model_validate(
            content | {"release_id": _identity(content), "created_at": datetime.now(UTC)}
        )

    @model_validator(mode="before")
    @classmethod
    def _approved_before_people_could_be(cls, content: Any) -> Any:
        """A release of the time before approvals rests on the gate's pass, which it names."""
        named = {"study", "audit_key", "audit_sha256", "model_sha256", "policy_sha256"}
        if not isinstance(content, dict) or "approval" in content:
            return content
        if not content.keys() >= named | {"created_at"}:
            return content  # The schema says what is missing.
        made_of = f"{content.get('events_key')}\n{content.get('sequences_key')}"
        approval = ApprovalRecord.by_gate(
            study=content["study"],
            audit_key=content["audit_key"],
            evidence_sha256=content["audit_sha256"],
            model_sha256=content["model_sha256"],
            data_sha256=hashlib.sha256(made_of.encode()).hexdigest(),
            policy_sha256=content["policy_sha256"],
            decided_at=content["created_at"],
        )
        return content | {"approval": approval.model_dump()}

    @model_validator(mode="after")
    def _is_named_by_its_content(self) -> Self:
        if self.release_id != _identity(self.model_dump(exclude={"release_id", "created_at"})):
            raise ValueError("release_id is not the hash of this release's content")
        return self

    @model_validator(mode="after")
    def _was_approved(self) -> Self:
        """Bound to the bytes: an approval of anything else is none."""
        approval = self.approval
        approved = (
            approval.study,
            approval.audit_key,
            approval.evidence_sha256,
            approval.verdict,
            approval.model_sha256,
            approval.policy_sha256,
        )
        released = (
            self.study,
            self.audit_key,
            self.audit_sha256,
            self.verdict,
            self.model_sha256,
            self.policy_sha256,
        )
        if approved != released or not approval.releases:
            raise ValueError("the approval is not one of this model, evidence and policy")
        return self


class ReleaseEntry(BaseModel):
    """One entry of the record: what happened to which release, by whom, why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: EntryKind
    release: Release
    reason: Key
    by: Key
    at: UtcMoment


class ListedRelease(BaseModel):
    """A release and how it stands; ``reason``, ``by`` and ``at`` are its newest entry's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: Release
    state: ReleaseState
    reason: str
    by: str
    at: UtcMoment


def record_release(
    study: str, release: Release, *, closed_by: Callable[[], Sequence[str]] = tuple
) -> Release:
    """Make ``release`` the study's current one; recording the current one again adds nothing.

    Returns the release that stands: with its first ``created_at`` when it was there already.

    Args:
        closed_by: asked while nobody else can release: why this must not follow what stands.

    Raises:
        GateClosed: people withdrew its model, under whatever audit; it stood before and another
            release followed it; or ``closed_by`` says so.
        StudyInvalid: it is another study's release.
    """
    ledger = _ledger(study)
    if release.study != study:
        raise _study_invalid(f"A release of {release.study} cannot be recorded for {study}.")
    with ledger.writing():
        listed = list_releases(study)
        for known in listed:
            if known.release.release_id == release.release_id and known.state == "current":
                return known.release
        withdrawn = withdrawal_of_model(release.model_sha256, listed)
        if withdrawn is not None:
            raise _gate_closed(release, f"{withdrawn.by} withdrew this very model")
        if release.release_id in {known.release.release_id for known in listed}:
            raise _was_superseded(release)
        if why := closed_by():
            raise _gate_closed(release, "; ".join(why))
        approval = release.approval
        by = ", ".join(approval.decided_by)
        _add(ledger, "release", release, reason=approval.reason, by=by)
    return release


def current_release(study: str) -> Release:
    """The release that stands.

    Raises:
        NoRelease: none was recorded, or the last one was withdrawn.
    """
    entries = _entries(study)
    if not entries:
        raise _no_release(study, f"{study} has no release.")
    if entries[-1].kind == "withdrawal":
        raise _no_release(study, f"The release of {study} was withdrawn by {entries[-1].by}.")
    return entries[-1].release


def withdraw_release(study: str, reason: str, by: str) -> Release:
    """Withdraw the release that stands; nothing stands until people act.

    Raises:
        NoRelease: none stands.
        GateClosed: the reason or the name is empty.
    """
    ledger = _ledger(study)
    with ledger.writing():
        release = current_release(study)
        _add(ledger, "withdrawal", release, reason=reason, by=by)
    return release


def reinstate_release(study: str, release_id: str, reason: str, by: str) -> Release:
    """Make a recorded release current again, withdrawn or superseded.

    Raises:
        NoRelease: the study has no release of that name.
        GateClosed: the reason or the name is empty.
    """
    ledger = _ledger(study)
    with ledger.writing():
        known = {listed.release.release_id: listed.release for listed in list_releases(study)}
        if release_id not in known:
            raise _no_release(study, f"{study} has no release {release_id}.")
        _add(ledger, "reinstatement", known[release_id], reason=reason, by=by)
    return known[release_id]


def list_releases(study: str, installation: Settings | None = None) -> tuple[ListedRelease, ...]:
    """Every release of the study in the order of its first recording, with its state."""
    entries = _entries(study, installation)
    newest = {entry.release.release_id: entry for entry in entries}
    first = {entry.release.release_id: entry.release for entry in reversed(entries)}
    return tuple(
        ListedRelease(
            release=first[release_id],
            state=_state(entry, is_last=entry is entries[-1]),
            reason=entry.reason,
            by=entry.by,
            at=entry.at,
        )
        for release_id, entry in newest.items()
    )


def withdrawal_of_model(
    model_sha256: str, listed: tuple[ListedRelease, ...]
) -> ListedRelease | None:
    """The withdrawn release of these very weights, if there is one.

    Another audit is another release, but the harm is in the model: only a reinstatement of what
    was withdrawn clears it.
    """
    of_model = (known for known in listed if known.release.model_sha256 == model_sha256)
    return next((known for known in of_model if known.state == "withdrawn"), None)


def require_words(reason: str, by: str) -> None:
    """A change of state is somebody's, for a reason.

    Raises:
        GateClosed: one of them is empty.
    """
    if not reason.strip() or not by.strip():
        raise GateClosed(
            "A change of state needs a reason and the name of a person.",
            where="the request",
            remedy="Say both: --reason and --as.",
        )


def require_study_name(study: str) -> str:
    """The name, when it can be a file's name.

    Raises:
        StudyInvalid: it holds other characters than letters, digits, - and _.
    """
    if re.fullmatch(STUDY_NAME, study) is None:
        raise _study_invalid("A study's name is letters, digits, - and _.")
    return study


def _state(entry: ReleaseEntry, *, is_last: bool) -> ReleaseState:
    if entry.kind == "withdrawal":
        return "withdrawn"
    return "current" if is_last else "superseded"


def _ledger(study: str, installation: Settings | None = None) -> Ledger:
    return Ledger((installation or settings()).releases_dir / require_study_name(study))


def _entries(study: str, installation: Settings | None = None) -> list[ReleaseEntry]:
    ledger = _ledger(study, installation)
    try:
        return [ReleaseEntry.model_validate(content) for content in ledger.entries()]
    except ValidationError:
        raise corrupt(ledger.folder, "holds an entry that is no release") from None


def _add(ledger: Ledger, kind: EntryKind, release: Release, *, reason: str, by: str) -> None:
    require_words(reason, by)
    entry = ReleaseEntry(kind=kind, release=release, reason=reason, by=by, at=datetime.now(UTC))
    ledger.add(entry.model_dump(mode="json"))


def _identity(content: dict[str, Any]) -> str:
    """16 hex digits of the sha256 of the content, one field a line in sorted order.

    What the gate approves follows from the rest; the answer of people is named.
    """
    approval = content["approval"]
    named = {} if approval["grounds"] == "gate" else {"approval": approval["approval_id"]}
    content = {name: value for name, value in content.items() if name != "approval"} | named
    text = "\n".join(f"{name}={content[name]}" for name in sorted(content))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _gate_closed(release: Release, why: str) -> GateClosed:
    return GateClosed(
        f"Nothing is released for {release.study}: {why}.",
        where=release.audit_key,
        remedy="Read the audit's report; then change the study and train anew, "
        "or let a person reinstate what a person withdrew.",
    )


def _was_superseded(release: Release) -> GateClosed:
    study, known = release.study, release.release_id
    return GateClosed(
        f"Release {known} of {study} stood before and another one followed it.",
        where=f"release {known}",
        remedy="No run brings it back; a person may: "
        f"equipoise reinstate {study} {known} --as NAME --reason …",
    )


def _no_release(study: str, cause: str) -> NoRelease:
    return NoRelease(
        cause,
        where=str(_ledger(study).folder),
        remedy=f"Train and audit a model: equipoise run {study}",
    )


def _study_invalid(cause: str) -> StudyInvalid:
    return StudyInvalid(
        cause,
        where="the study's name",
        remedy="Name the study by its YAML file, without the ending.",
    )

"""The record of releases: small files that are only ever added, each naming the one before it.

The newest entry decides. A release stands until another release or a withdrawal follows it; after
a withdrawal nothing stands, and no older model comes back by itself: a person reinstates one.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from pipelines.errors import ArtefactCorrupt, GateClosed, NoRelease, StudyInvalid
from pipelines.publication.durable import only_writer, rename_into_place
from pipelines.settings import settings

Verdict = Literal["pass", "fail", "cannot_tell"]
EntryKind = Literal["release", "withdrawal", "reinstatement"]
ReleaseState = Literal["current", "superseded", "withdrawn"]

STUDY_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
StudyName = Annotated[str, StringConstraints(pattern=STUDY_NAME)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Key = Annotated[str, StringConstraints(min_length=1)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

BEFORE_THE_FIRST = "0" * 64
LOCK_WAIT_SECONDS = 10.0
ENTRY_MODE = 0o440


def _in_utc(moment: datetime) -> datetime:
    """A moment without a zone is read as UTC: a date in a DAG's parameters carries none."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


UtcMoment = Annotated[datetime, AfterValidator(_in_utc)]


class Release(BaseModel):
    """A model whose audit passed, with all that names it; make one with ``Release.of``."""

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
    threshold: float = Field(ge=0, le=1)
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
        threshold: float,
    ) -> Self:
        """A release created now. ``audit_sha256`` is that of the audit's evidence.json."""
        content = {
            "study": study,
            "model_key": model_key,
            "model_sha256": model_sha256,
            "audit_key": audit_key,
            "audit_sha256": audit_sha256,
            "verdict": verdict,
            "events_key": events_key,
            "sequences_key": sequences_key,
            "threshold": float(threshold),
        }
        return cls.model_validate(
            content | {"release_id": _identity(content), "created_at": datetime.now(UTC)}
        )

    @model_validator(mode="after")
    def _is_named_by_its_content(self) -> Self:
        if self.release_id != _identity(self.model_dump(exclude={"release_id", "created_at"})):
            raise ValueError("release_id is not the hash of this release's content")
        return self


class LedgerEntry(BaseModel):
    """One file of the record: what happened to which release, by whom, why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: EntryKind
    release: Release
    reason: Words
    by: Words
    at: UtcMoment
    previous_sha256: Sha256


class ListedRelease(BaseModel):
    """A release and how it stands; ``reason`` and ``by`` belong to its newest entry."""

    model_config = ConfigDict(frozen=True)

    release: Release
    state: ReleaseState
    reason: str
    by: str
    at: datetime


def record_release(study: str, release: Release) -> Release:
    """Make ``release`` the study's current one; recording the current one again adds nothing.

    Returns the release that stands: with the first ``created_at`` when it was there already.

    Raises:
        GateClosed: its audit did not pass, or people withdrew this very release.
    """
    if release.study != study:
        raise StudyInvalid(
            f"A release of {release.study} cannot be recorded for {study}.",
            where=str(_folder(study)),
            remedy="Give the audit of the study itself.",
        )
    if release.verdict != "pass":
        raise _gate_closed(release, f"its verdict is {release.verdict}")
    with _only_recorder(study):
        known = {listed.release.release_id: listed for listed in list_releases(study)}
        listed = known.get(release.release_id)
        if listed is not None and listed.state == "withdrawn":
            raise _gate_closed(release, f"{listed.by} withdrew this very release")
        if listed is not None and listed.state == "current":
            return listed.release
        _append(study, "release", release, reason="the audit passed", by="gate")
    return release


def current_release(study: str) -> Release:
    """The release that stands.

    Raises:
        NoRelease: none was recorded, or the last one was withdrawn.
    """
    entries = _entries(study)
    if entries and entries[-1].kind != "withdrawal":
        return entries[-1].release
    cause = f"{study} has no release"
    if entries:
        cause = f"The release of {study} was withdrawn by {entries[-1].by}"
    raise NoRelease(
        f"{cause}.",
        where=str(_folder(study)),
        remedy=f"Train and audit a model: equipoise run {study}",
    )


def withdraw_release(study: str, reason: str, by: str) -> Release:
    """Withdraw the release that stands; nothing stands until people act.

    Raises:
        NoRelease: none stands.
        GateClosed: the reason or the name is empty.
    """
    with _only_recorder(study):
        release = current_release(study)
        _append(study, "withdrawal", release, reason=reason, by=by)
    return release


def reinstate_release(study: str, release_id: str, reason: str, by: str) -> Release:
    """Make a recorded release current again, withdrawn or superseded.

    Raises:
        NoRelease: the study has no release of that name.
        GateClosed: the reason or the name is empty.
    """
    with _only_recorder(study):
        known = {listed.release.release_id: listed.release for listed in list_releases(study)}
        if release_id not in known:
            raise NoRelease(
                f"{study} has no release {release_id}.",
                where=str(_folder(study)),
                remedy=f"See the releases: equipoise show {study}",
            )
        _append(study, "reinstatement", known[release_id], reason=reason, by=by)
    return known[release_id]


def list_releases(study: str) -> tuple[ListedRelease, ...]:
    """Every release of the study by first recording, with its state."""
    entries = _entries(study)
    newest = {entry.release.release_id: entry for entry in entries}
    first = {entry.release.release_id: entry.release for entry in reversed(entries)}
    return tuple(
        ListedRelease(
            release=first[release_id],
            state=_state(newest[release_id], is_last=newest[release_id] is entries[-1]),
            reason=newest[release_id].reason,
            by=newest[release_id].by,
            at=newest[release_id].at,
        )
        for release_id in newest
    )


def _state(entry: LedgerEntry, *, is_last: bool) -> ReleaseState:
    if entry.kind == "withdrawal":
        return "withdrawn"
    return "current" if is_last else "superseded"


def require_words(reason: str, by: str) -> None:
    """A change of state is somebody's, for a reason.

    Raises:
        GateClosed: one of them is empty.
    """
    if not reason.strip() or not by.strip():
        raise GateClosed(
            "A change of state needs a reason and the name of a person.",
            where="the request",
            remedy="Say both: --reason and --by.",
        )


def _identity(content: dict[str, object]) -> str:
    """16 hex digits of the sha256 of the content, written one field a line in sorted order."""
    text = "\n".join(f"{name}={content[name]}" for name in sorted(content))
    return _sha256(text.encode())[:16]


def _gate_closed(release: Release, why: str) -> GateClosed:
    return GateClosed(
        f"Nothing is released for {release.study}: {why}.",
        where=release.audit_key,
        remedy="Read the audit's report; then change the study and train anew, "
        "or let a person reinstate what a person withdrew.",
    )


def _folder(study: str) -> Path:
    if re.match(STUDY_NAME, study) is None:
        raise StudyInvalid(
            "A study's name is letters, digits, - and _.",
            where="the study's name",
            remedy="Name the study by its YAML file, without the ending.",
        )
    return settings().releases_dir / study


def _files(study: str) -> list[Path]:
    return sorted(_folder(study).glob("[0-9]" * 6 + ".json"))


def _entries(study: str) -> Sequence[LedgerEntry]:
    """All entries, oldest first, each checked against the one before it."""
    entries: list[LedgerEntry] = []
    expected = BEFORE_THE_FIRST
    for file in _files(study):
        text = file.read_bytes()
        try:
            entry = LedgerEntry.model_validate_json(text)
        except ValidationError:
            raise _corrupt(file, "cannot be read as an entry") from None
        if entry.previous_sha256 != expected:
            raise _corrupt(file, "does not follow the entry before it")
        expected = _sha256(text)
        entries.append(entry)
    return entries


@contextmanager
def _only_recorder(study: str) -> Iterator[None]:
    """Deciding and adding are one step: a withdrawal cannot slip in between."""
    folder = _folder(study)
    folder.mkdir(parents=True, exist_ok=True)
    with only_writer(folder / ".lock", LOCK_WAIT_SECONDS):
        yield


def _append(study: str, kind: EntryKind, release: Release, *, reason: str, by: str) -> None:
    """Add one file; its caller is the only recorder."""
    require_words(reason, by)
    files = _files(study)
    entry = LedgerEntry(
        kind=kind,
        release=release,
        reason=reason,
        by=by,
        at=datetime.now(UTC),
        previous_sha256=_sha256(files[-1].read_bytes()) if files else BEFORE_THE_FIRST,
    )
    draft = _folder(study) / ".draft"
    draft.unlink(missing_ok=True)
    draft.write_text(entry.model_dump_json(indent=1))
    rename_into_place(draft, _folder(study) / f"{len(files) + 1:06d}.json", ENTRY_MODE)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _corrupt(file: Path, found: str) -> ArtefactCorrupt:
    return ArtefactCorrupt(
        f"The record of releases cannot be trusted: {file.name} {found}.",
        where=str(file),
        remedy="Restore the folder from the backup: entries are only ever added, never edited.",
    )

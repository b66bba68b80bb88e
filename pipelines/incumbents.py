"""The release with which a new model is compared, and the predictions that it was audited on."""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from pipelines.errors import ArtefactCorrupt
from pipelines.ledger import Ledger, corrupt
from pipelines.releases import Release, ReleaseEntry, require_study_name
from pipelines.settings import settings
from pipelines.stage import store

NOTHING_STANDS = "no other model of this study stands released"
NOT_READABLE = (
    "a model stands released, but the predictions that it was audited on are not there to compare"
)


@dataclass(frozen=True)
class Incumbent:
    """Another model that stands released.

    predictions, audit: keys of what it was audited on and of that audit; None where unreadable.
    """

    release_id: str
    predictions: str | None
    audit: str | None = None


def incumbent_of(study: str, model: str) -> Incumbent | None:
    """The release that `model` would follow; None where no other model stands.

    A model that was released itself is compared with what stood before it, as at its first audit:
    that an audit led to a release must not change what the audit compares.

    Args:
        model: key of the audited model.

    Raises:
        ArtefactCorrupt: the record of releases is broken.
    """
    release = _standing_before(study, model)
    if release is None:
        return None
    audit = release.audit_key
    return Incumbent(
        release.release_id,
        predictions=_readable(lambda: _predictions_of(audit)),
        audit=_readable(lambda: audit),
    )


def _predictions_of(audit: str) -> str:
    return str(store().manifest(audit)["recipe"]["inputs"]["predictions"])


def _readable(find: Callable[[], str]) -> str | None:
    """The key that `find` gives, if each of its files is the one that was written."""
    try:
        key = find()
        store().open(key)
    except ArtefactCorrupt:
        return None
    return key


def _standing_before(study: str, model: str) -> Release | None:
    entries = _entries(study)
    while entries and entries[-1].release.model_key == model:
        entries.pop()
    if not entries or entries[-1].kind == "withdrawal":
        return None
    return entries[-1].release


def _entries(study: str) -> list[ReleaseEntry]:
    ledger = Ledger(settings().releases_dir / require_study_name(study))
    try:
        return [ReleaseEntry.model_validate(content) for content in ledger.entries()]
    except ValidationError:
        raise corrupt(ledger.folder, "holds an entry that is no release") from None

"""The release with which a new model is compared, and the predictions that it was audited on."""

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
    """Another model that stands released. predictions: a key, None where they cannot be read."""

    release_id: str
    predictions: str | None


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
    try:
        predictions = store().manifest(release.audit_key)["recipe"]["inputs"]["predictions"]
        store().open(predictions)
    except ArtefactCorrupt:
        return Incumbent(release.release_id, None)
    return Incumbent(release.release_id, predictions)


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

"""Erase a person, a right in many laws: from the tables, the readers' files and the crosswalk.

What remains is a tombstone (a keyed hash, when, by whom, on what ground), the commitments of the
rows, which tell nobody anything, and the chain of events, which still verifies. Later publications
leave the subject out.

Not reached from here, and told instead: artefacts that hold the subject (events, sequences,
predictions, listed by key, so that a person removes and makes them anew), the source files, what
readers copied, backups, and the dead rows that PostgreSQL keeps until its next VACUUM. A model
that learned from the subject is trained anew by who decides so. ``ground`` is kept for good: it
names a law or a letter, never the person.
"""

import polars as pl
from pydantic import BaseModel, ConfigDict

from pipelines.errors import SourceMissing
from pipelines.publication.crosswalk import forget_pair, read_crosswalk
from pipelines.publication.erasure_search import search_artefacts
from pipelines.publication.store import open_store
from pipelines.publication.subject_pages import forget_subject_page
from pipelines.publication.tombstones import subject_hash
from pipelines.releases import require_words
from pipelines.settings import Settings
from pipelines.stage import store_of


class ErasureReceipt(BaseModel):
    """What an erasure came to.

    held_by: keys of artefacts that still hold the subject.
    unread: what could not be looked into: keys of artefacts, or the shared store as a whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: str
    rows: int
    held_by: tuple[str, ...]
    unread: tuple[str, ...] = ()


def erase(study: str, source_id: str, ground: str, by: str, settings: Settings) -> ErasureReceipt:
    """Erase who the source calls ``source_id`` from what the study published.

    Killed on the way, it is finished by being called again, until the pair is forgotten. Then only
    artefacts are looked through: whatever cannot be read there keeps nobody's pair.

    Raises:
        GateClosed: the ground or the name is empty.
        SourceMissing: the study's crosswalk does not know this id, or there is none.
        StoreLocked: another process keeps the store.
        DatabaseUnavailable: the PostgreSQL cannot be used, or its login is no eraser.
    """
    require_words(ground, by)
    subject_id = _subject_of(study, source_id, settings)
    hashed = subject_hash(study, subject_id)
    rows = open_store(settings).erase_subject(study, subject_id, ground, by)
    forget_subject_page(study, subject_id, settings)
    forget_pair(study, subject_id, hashed, settings)
    found = search_artefacts(store_of(settings), {str(subject_id), source_id})
    return ErasureReceipt(study=study, rows=rows, held_by=found.held_by, unread=found.unread)


def _subject_of(study: str, source_id: str, settings: Settings) -> int:
    pairs = read_crosswalk(study, settings).filter(pl.col("source_id") == source_id)
    if pairs.is_empty():
        # Which id was asked for is a person's: it is not said again.
        raise SourceMissing(
            f"The crosswalk of {study} does not know this id, or it was erased before.",
            where=f"the crosswalk of {study}",
            remedy="Look up how the source writes the id; leading zeros count.",
        )
    return int(pairs["subject_id"].item())

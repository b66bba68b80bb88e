"""Take published predictions back, or bring them back: rows are added, none is removed."""

from datetime import UTC, datetime
from typing import Literal

import duckdb

from pipelines.errors import NoRelease
from pipelines.publication.anchor import write_anchor
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.recording import add_row, head_of
from pipelines.publication.snapshot import refresh_snapshot, repair_snapshot
from pipelines.publication.writer import LOCK_WAIT_SECONDS, open_writer, transaction
from pipelines.releases import require_words
from pipelines.settings import Settings

State = Literal["withdrawn", "reinstated"]

STUDY_GENERATIONS = """
SELECT generation_id, stands FROM publication_states WHERE study = $study ORDER BY generation_number
"""
NEXT_NUMBER = "SELECT COALESCE(max(change_number), 0) + 1 FROM withdrawals"


def withdraw(
    study: str, reason: str, by: str, settings: Settings, *, generation_id: str | None = None
) -> tuple[str, ...]:
    """See ``PublicationStore.withdraw``."""
    return _change_state("withdrawn", study, generation_id, _words(reason, by), settings)


def reinstate(
    study: str, generation_id: str, reason: str, by: str, settings: Settings
) -> tuple[str, ...]:
    """See ``PublicationStore.reinstate``."""
    return _change_state("reinstated", study, generation_id, _words(reason, by), settings)


def finish_changes(settings: Settings) -> None:
    """Show readers what a killed process had committed: a withdrawal counts from its commit.

    For callers who may refuse before they publish; ``publish`` and ``withdraw`` do it themselves.

    Raises:
        StoreLocked: another process publishes.
        ArtefactCorrupt: the writer's database was changed by hand.
    """
    folders = PublicationFolders(settings.publication_dir)
    if folders.writer.exists():
        with open_writer(folders, LOCK_WAIT_SECONDS) as writer:
            repair_snapshot(writer, folders)


def _words(reason: str, by: str) -> dict[str, object]:
    require_words(reason, by)
    return {"reason": reason, "changed_by": by, "changed_at": datetime.now(UTC)}


def _change_state(
    state: State,
    study: str,
    generation_id: str | None,
    words: dict[str, object],
    settings: Settings,
) -> tuple[str, ...]:
    folders = PublicationFolders(settings.publication_dir)
    if not folders.writer.exists():
        raise _unknown(study, generation_id, folders)
    with open_writer(folders, LOCK_WAIT_SECONDS) as writer:
        asked = _asked(writer, study, generation_id, folders)
        changed = tuple(name for name, stands in asked.items() if stands == (state == "withdrawn"))
        with transaction(writer):
            for name in changed:
                ((number,),) = writer.execute(NEXT_NUMBER).fetchall()
                named = {"change_number": number, "generation_id": name, "study": study}
                add_row(writer, "withdrawals", state, named | {"state": state} | words)
        refresh_snapshot(writer, folders, keep_previous=False)
        write_anchor(head_of(writer), settings)
    return changed


def _asked(
    writer: duckdb.DuckDBPyConnection,
    study: str,
    generation_id: str | None,
    folders: PublicationFolders,
) -> dict[str, bool]:
    """Generation -> whether it stands, for those that the request names."""
    known = dict(writer.execute(STUDY_GENERATIONS, {"study": study}).fetchall())
    if not known or generation_id not in (None, *known):
        raise _unknown(study, generation_id, folders)
    return known if generation_id is None else {generation_id: known[generation_id]}


def _unknown(study: str, generation_id: str | None, folders: PublicationFolders) -> NoRelease:
    return NoRelease(
        f"{study} published nothing{f' named {generation_id}' if generation_id else ''}.",
        where=str(folders.snapshot),
        remedy=f"See what was published: equipoise show {study}",
    )

"""The readers' files, built anew from the writer's tables and renamed into place.

An open reader keeps the old file; who opens next gets the new one; nobody sees a mix. A process
killed between the commit and the rename leaves the old files; whoever opens the writer next finds
the snapshot behind and builds new ones first, whatever becomes of the rest of its work. So does
who opens it first after an upgrade: a snapshot with other columns is behind too. The
snapshot is renamed last, so that one which is not behind tells that the Parquet is new too.
"""

from pathlib import Path
from typing import NamedTuple

import duckdb

from pipelines.durable import READ_ONLY_MODE, fsync_path, rename_into_place
from pipelines.errors import ArtefactCorrupt
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.parquet import place_parquet
from pipelines.publication.schema import VIEWS

COPIES = (
    "CREATE TABLE snapshot.audits AS SELECT * FROM writer.audits",
    "CREATE TABLE snapshot.releases AS SELECT * FROM writer.releases",
    "CREATE TABLE snapshot.generations AS SELECT * FROM writer.generations",
    "CREATE TABLE snapshot.predictions AS SELECT * FROM writer.predictions",
    "CREATE TABLE snapshot.state_changes AS SELECT * FROM writer.state_changes",
)

# A row added by hand under a generation that passed breaks no key; its count gives it away.
UNCOUNTED = """
SELECT generations.generation_id
FROM generations
LEFT JOIN (
    SELECT generation_id, count(*) AS found FROM predictions GROUP BY generation_id
) AS counted ON counted.generation_id = generations.generation_id
WHERE COALESCE(counted.found, 0) <> generations.row_count
"""

# The newest state change and the newest generation of a database, 0 where there is none, and the
# columns that it shows.
NEWEST = """
SELECT
    (SELECT COALESCE(max(change_number), 0) FROM {database}.state_changes),
    (SELECT COALESCE(max(generation_number), 0) FROM {database}.generations),
    (
        SELECT string_agg(table_name || '.' || column_name, ' ' ORDER BY table_name, column_index)
        FROM duckdb_columns() WHERE database_name = '{database}' AND NOT internal
    )
"""

EXPORT = """
COPY (SELECT * FROM predictions_current ORDER BY study, subject_id)
TO $path (FORMAT parquet, COMPRESSION zstd)
"""


class Newest(NamedTuple):
    """How far a database is: its newest change and generation, and its columns in one text."""

    change: int
    generation: int
    columns: str


def refresh_snapshot(
    writer: duckdb.DuckDBPyConnection, folders: PublicationFolders, *, keep_previous: bool
) -> Path:
    """Build the snapshot and its Parquet from the writer and put both in their places.

    Returns the Parquet file. ``keep_previous`` leaves the one before beside it.

    Raises:
        ArtefactCorrupt: a generation does not hold the rows that were published.
    """
    _require_whole_generations(writer, folders)
    snapshot, parquet = folders.draft("predictions.duckdb"), folders.draft("predictions.parquet")
    writer.execute("ATTACH $path AS snapshot", {"path": str(snapshot)})
    try:
        for statement in COPIES:
            writer.execute(statement)
        writer.execute("USE snapshot")
        for statement in VIEWS:
            writer.execute(statement)
        writer.execute(EXPORT, {"path": str(parquet)})
    finally:
        writer.execute("USE writer")
        writer.execute("DETACH snapshot")
    placed = place_parquet(parquet, folders, keep_previous=keep_previous)
    _place(snapshot, folders.snapshot)
    return placed


def repair_snapshot(writer: duckdb.DuckDBPyConnection, folders: PublicationFolders) -> bool:
    """Refresh the readers' files if a killed process left them behind; tells whether it did.

    Raises:
        ArtefactCorrupt: a generation does not hold the rows that were published.
    """
    committed = _newest(writer, "writer")
    if not folders.snapshot.exists() and (committed.change, committed.generation) == (0, 0):
        return False
    shown = _shown(writer, folders)
    if shown == committed:
        return False
    same_changes = shown is not None and shown.change == committed.change
    refresh_snapshot(writer, folders, keep_previous=same_changes)
    return True


def _shown(writer: duckdb.DuckDBPyConnection, folders: PublicationFolders) -> Newest | None:
    """What readers see; None for a file that cannot be read."""
    try:
        writer.execute("ATTACH $path AS shown (READ_ONLY)", {"path": str(folders.snapshot)})
    except duckdb.Error:
        return None
    try:
        return _newest(writer, "shown")
    except duckdb.Error:
        return None
    finally:
        writer.execute("DETACH shown")


def _newest(writer: duckdb.DuckDBPyConnection, database: str) -> Newest:
    ((change, generation, columns),) = writer.execute(NEWEST.format(database=database)).fetchall()
    return Newest(change, generation, columns)


def _place(draft: Path, target: Path) -> None:
    """Rename the database, after any log that a stray writer of the old one left beside it.

    DuckDB would try to replay that log into the new file, and readers could not open it. The file
    is read-only so that nobody but root leaves one.
    """
    log = target.with_name(target.name + ".wal")
    if log.exists():
        log.unlink()
        fsync_path(target.parent)
    rename_into_place(draft, target, READ_ONLY_MODE)


def _require_whole_generations(
    writer: duckdb.DuckDBPyConnection, folders: PublicationFolders
) -> None:
    uncounted = [row[0] for row in writer.execute(UNCOUNTED).fetchall()]
    if uncounted:
        raise ArtefactCorrupt(
            f"{len(uncounted)} generations do not hold the rows that were published: "
            f"{', '.join(uncounted[:5])}. Somebody changed them by hand.",
            where=str(folders.writer),
            remedy="Restore the file from the backup. Readers keep the last good snapshot.",
        )

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
from pipelines.publication.views import DUCKDB_VIEWS

# What readers need no key for: who knows a row's key could test a guess at an erased row.
COPIES = (
    "CREATE TABLE snapshot.audits AS SELECT * FROM writer.audits",
    "CREATE TABLE snapshot.approvals AS SELECT * FROM writer.approvals",
    "CREATE TABLE snapshot.releases AS SELECT * FROM writer.releases",
    "CREATE TABLE snapshot.publications AS SELECT * FROM writer.publications",
    "CREATE TABLE snapshot.predictions AS "
    "SELECT * EXCLUDE (row_key, commitment) FROM writer.predictions",
    "CREATE TABLE snapshot.withdrawals AS SELECT * FROM writer.withdrawals",
    "CREATE TABLE snapshot.erasures AS "
    "SELECT erasure_number, study, erased_at FROM writer.erasures",
)

# A row added by hand under a generation that passed breaks no key; its count gives it away.
UNCOUNTED = """
SELECT publications.generation_id
FROM publications
LEFT JOIN (
    SELECT generation_id, count(*) AS found
    FROM (
        SELECT generation_id FROM predictions UNION ALL SELECT generation_id FROM erased_rows
    )
    GROUP BY generation_id
) AS counted ON counted.generation_id = publications.generation_id
WHERE COALESCE(counted.found, 0) <> publications.row_count
"""

# The newest of a database, 0 where there is none, and the columns that it shows to readers.
NEWEST = """
SELECT
    (SELECT COALESCE(max(change_number), 0) FROM {database}.withdrawals),
    (SELECT COALESCE(max(erasure_number), 0) FROM {database}.erasures),
    (SELECT COALESCE(max(generation_number), 0) FROM {database}.publications),
    (SELECT count(*) FROM {database}.approvals),
    (
        SELECT string_agg(table_name || '.' || column_name, ' ' ORDER BY table_name, column_index)
        FROM duckdb_columns()
        WHERE database_name = '{database}' AND NOT internal
            AND table_name NOT IN ('event_log', 'erasures', 'erased_rows')
            AND column_name NOT IN ('row_key', 'commitment')
    )
"""

EXPORT = """
COPY (SELECT * FROM predictions_current ORDER BY study, subject_id)
TO $path (FORMAT parquet, COMPRESSION zstd)
"""


class Newest(NamedTuple):
    """How far a database is; its columns in one text."""

    change: int
    erasure: int
    generation: int
    approvals: int
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
        for statement in DUCKDB_VIEWS:
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
    if not folders.snapshot.exists() and committed.generation == 0:
        return False
    shown = _shown(writer, folders)
    if shown == committed:
        return False
    nothing_hidden = shown is not None and shown[:2] == committed[:2]
    refresh_snapshot(writer, folders, keep_previous=nothing_hidden)
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
    (found,) = writer.execute(NEWEST.format(database=database)).fetchall()
    return Newest(*found)


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

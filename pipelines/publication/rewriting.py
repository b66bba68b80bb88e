"""The writer's DuckDB written anew into another file, which is then renamed over it.

DuckDB cannot add a constraint to a table that is there, and a deleted row leaves its bytes in the
file. A process killed on the way leaves the old file as it was.
"""

from collections.abc import Callable

import duckdb

from pipelines.durable import PRIVATE_FILE_MODE, fsync_path, rename_into_place
from pipelines.publication.connection import connect
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.schema import TABLES


def rewrite(folders: PublicationFolders, copy: Callable[[duckdb.DuckDBPyConnection], None]) -> None:
    """Make a file with the tables of this version, let ``copy`` fill it out of ``old``, place it.

    The caller holds the writer's lock and has no connection to its file.
    """
    draft = folders.draft("writer.duckdb")
    with connect(str(draft)) as new:
        # Attached for writing: what a killed publisher left in the log goes into the file first.
        new.execute("ATTACH $path AS old", {"path": str(folders.writer)})
        new.execute("CHECKPOINT old")
        for statement in TABLES.values():
            new.execute(statement)
        copy(new)
        new.execute("DETACH old")
        new.execute("CHECKPOINT")
    _remove_log(folders)
    rename_into_place(draft, folders.writer, PRIVATE_FILE_MODE)


def _remove_log(folders: PublicationFolders) -> None:
    """Remove the old file's empty log: DuckDB would replay it into the new one."""
    log = folders.writer.with_name(folders.writer.name + ".wal")
    if log.exists():
        log.unlink()
        fsync_path(log.parent)

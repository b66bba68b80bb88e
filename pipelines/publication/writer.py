"""The private database of the publisher: made whole, opened by one process, checked each time."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import duckdb

from pipelines.durable import PRIVATE_FILE_MODE, only_writer, rename_into_place
from pipelines.errors import ArtefactCorrupt, EquipoiseError, StoreLocked
from pipelines.publication.connection import connect, table_definitions
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.rewriting import rewrite
from pipelines.publication.schema import TABLES
from pipelines.publication.snapshot import repair_snapshot
from pipelines.publication.upgrade import upgrade_of
from pipelines.publication.views import DUCKDB_VIEWS

LOCK_WAIT_SECONDS = 60.0


@contextmanager
def open_writer(
    folders: PublicationFolders, lock_wait_seconds: float
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Hold the writer's database alone, made at first use; the catalog's name is ``writer``.

    A database of a version before is copied into one of this version. Readers' files that are
    of that version, or that a killed process left behind the database, are built anew first.

    Raises:
        StoreLocked: another process publishes, or holds the file open.
        ArtefactCorrupt: the file is not a database, its tables are not those of the contract, or
            readers' files had to be built anew and rows were changed by hand.
    """
    with alone(folders, lock_wait_seconds), open_held(folders) as connection:
        yield connection


@contextmanager
def alone(folders: PublicationFolders, lock_wait_seconds: float) -> Iterator[None]:
    """Hold the writer's lock; raises StoreLocked where another process holds it."""
    folders.make_private()
    with only_writer(folders.lock, lock_wait_seconds):
        yield


@contextmanager
def open_held(folders: PublicationFolders) -> Iterator[duckdb.DuckDBPyConnection]:
    """``open_writer`` for who holds the lock already."""
    if not folders.writer.exists():
        _make_writer(folders)
    _upgrade(folders)
    with _connected(folders.writer) as connection:
        _require_contract(connection, folders.writer)
        for statement in DUCKDB_VIEWS:
            connection.execute(statement)
        repair_snapshot(connection, folders)
        yield connection


@contextmanager
def transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All of the block, or nothing."""
    connection.begin()
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _upgrade(folders: PublicationFolders) -> None:
    with _connected(folders.writer) as connection:
        copy = upgrade_of(connection)
    if copy is not None:
        rewrite(folders, copy)


def _make_writer(folders: PublicationFolders) -> None:
    """Make the file as a draft: DuckDB cannot open one that was killed while it was being made."""
    draft = folders.draft("writer.duckdb")
    with connect(str(draft)) as connection:
        for statement in TABLES.values():
            connection.execute(statement)
    rename_into_place(draft, folders.writer, PRIVATE_FILE_MODE)


@contextmanager
def _connected(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    try:
        connection = connect(str(path))
    except duckdb.IOException as error:
        raise _not_opened(path, str(error)) from None
    with connection:
        yield connection


def _not_opened(path: Path, message: str) -> EquipoiseError:
    if "lock" in message:
        holder = re.search(r"PID (\d+)", message)
        return StoreLocked(
            f"Process {holder[1] if holder else 'unknown'} has the writer's database open.",
            where=str(path),
            remedy="Close it there: analysts open predictions.duckdb, which locks nobody out.",
        )
    return ArtefactCorrupt(
        "The writer's database cannot be opened.",
        where=str(path),
        remedy="Restore the file from the backup. Readers keep the last good snapshot.",
    )


def _require_contract(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Compare the tables with the contract's: CREATE OR REPLACE by hand drops every constraint."""
    expected, found = _definitions_of_contract(), table_definitions(connection)
    changed = sorted(name for name in expected | found if expected.get(name) != found.get(name))
    if changed:
        raise ArtefactCorrupt(
            f"Tables of the writer are not those of the contract: {', '.join(changed)}.",
            where=str(path),
            remedy="Restore the file from the backup, or move it away and publish anew.",
        )


@cache
def _definitions_of_contract() -> dict[str, str]:
    with connect(":memory:") as fresh:
        for statement in TABLES.values():
            fresh.execute(statement)
        return table_definitions(fresh)

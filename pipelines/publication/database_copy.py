"""The publication's database as a backup holds it: DuckDB's file, or a server's dump."""

from pathlib import Path
from typing import Literal

from pipelines.backup_files import copy_file
from pipelines.durable import private_folder
from pipelines.publication.folders import PublicationFolders
from pipelines.settings import Settings

Kind = Literal["duckdb", "postgresql", "none"]
FILE = "writer.duckdb"


def copy_database(folder: Path, installation: Settings) -> tuple[Kind, tuple[int, str] | None]:
    """Copy what the installation publishes into; returns its kind and the head of its log.

    Raises:
        StoreLocked: another process kept the embedded store for a minute.
        ArtefactCorrupt: the embedded store was changed by hand.
        DatabaseUnavailable, BackupInvalid: the server, or ``pg_dump``, cannot be used.
    """
    if installation.database_url is not None:
        from pipelines.publication.postgres.dump import dump

        return "postgresql", dump(installation.database_url, private_folder(folder))
    folders = PublicationFolders(installation.publication_dir)
    if not folders.writer.exists():
        return "none", None
    return "duckdb", _copy_file(folders, private_folder(folder) / FILE)


def _copy_file(folders: PublicationFolders, target: Path) -> tuple[int, str]:
    """Nobody has it open: its last user's end, and ours, wrote the log into the file."""
    from pipelines.publication.recording import head_of
    from pipelines.publication.writer import LOCK_WAIT_SECONDS, alone, open_held

    with alone(folders, LOCK_WAIT_SECONDS):
        with open_held(folders) as writer:
            writer.execute("CHECKPOINT")
            head = head_of(writer)
        copy_file(folders.writer, target)
    return head.event_number, head.event_sha256


def place_database(folder: Path, kind: Kind, installation: Settings) -> None:
    """Put a copy back: the embedded store's file, or a dump into an empty database.

    Raises:
        DatabaseUnavailable, BackupInvalid: the server, or ``pg_restore``, cannot be used.
    """
    if kind == "duckdb":
        folders = PublicationFolders(installation.publication_dir)
        folders.make_private()
        copy_file(folder / FILE, folders.writer)
    elif kind == "postgresql" and installation.database_url is not None:
        from pipelines.publication.postgres.dump import restore

        restore(installation.database_url, folder)

"""The publication's database as a backup holds it: DuckDB's file, or a server's dump."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pipelines.backup_files import copy_file, place_file
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
    if (url := installation.database_url) is not None:
        from pipelines.publication.postgres.dump import dump

        return "postgresql", dump(url, private_folder(folder))
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


def restored_by(installation: Settings) -> Settings:
    """The installation as a restore uses it: by the superuser's login, where one is given.

    It names the database that the predictions' URL names, whichever its own is.

    Raises:
        DatabaseUnavailable: a URL cannot be read, the two name other servers, or there is no login
            where one is required.
    """
    superuser, predictions = installation.superuser_url, installation.database_url
    if superuser is None or predictions is None:
        return installation
    from pipelines.publication.postgres.dump import as_superuser

    return replace(installation, database=as_superuser(superuser, predictions))


def require_placeable(folder: Path, kind: Kind, installation: Settings) -> None:
    """See that a dump can be restored, before anything else is; a missing database is made.

    Args:
        installation: as ``restored_by`` gives it.

    Raises:
        DatabaseUnavailable, BackupInvalid: the server, its login or ``pg_restore`` cannot be used,
            or the database holds a publication.
    """
    if kind != "postgresql" or installation.database_url is None:
        return
    from pipelines.publication.postgres.dump import make_database, require_restorable

    if installation.superuser_url is not None:
        make_database(installation.superuser_url, installation.database_url)
    require_restorable(installation.database_url, folder)


def place_database(folder: Path, kind: Kind, installation: Settings) -> None:
    """Put a copy back: the embedded store's file, or a dump into an empty database.

    Raises:
        DatabaseUnavailable, BackupInvalid: the server, or ``pg_restore``, cannot be used.
    """
    if kind == "duckdb":
        folders = PublicationFolders(installation.publication_dir)
        folders.make_private()
        place_file(folder / FILE, folders.writer)
    elif kind == "postgresql" and installation.database_url is not None:
        from pipelines.publication.postgres.dump import restore

        restore(installation.database_url, folder)


def logins_without_password(folder: Path, kind: Kind, installation: Settings) -> tuple[str, ...]:
    """The server's logins of a dump that let nobody in.

    Raises:
        DatabaseUnavailable: the server cannot be used.
    """
    if kind != "postgresql" or installation.database_url is None:
        return ()
    from pipelines.publication.postgres.dump import without_password

    return without_password(installation.database_url, folder)

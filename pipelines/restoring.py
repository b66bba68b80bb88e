"""The mark of a restore that was begun: until it ends, its home is no installation."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path

from pipelines.durable import fsync_path, only_writer, private_folder, replaced_privately
from pipelines.errors import BackupInvalid

MARK = "restoring"
LOCK = ".restore.lock"
# The home that this very call restores: it alone may look into it before the end.
_ours: ContextVar[Path | None] = ContextVar("the home that is restored", default=None)


def require_restored(home: Path) -> None:
    """See that no restore into this home was begun and did not end.

    Raises:
        BackupInvalid: one did not.
    """
    if _ours.get() != home and (home / MARK).exists():
        raise _unfinished("A restore into this home was begun and did not end.", home / MARK)


@contextmanager
def one_restore_at_a_time(home: Path) -> Iterator[None]:
    """Hold the only turn to restore into a home; who is refused leaves no home that was not there.

    Raises:
        StoreLocked: another process restores into it.
        BackupInvalid: it cannot be made or written.
    """
    was_there = home.exists()
    with ExitStack() as held:
        try:
            # A volume of a cluster is its group's, and not this user's to narrow.
            if not was_there:
                private_folder(home)
            held.enter_context(only_writer(home / LOCK, wait_seconds=0.0))
        except OSError as error:
            raise _unfinished(f"The home cannot be written: {error.strerror}.", home) from error
        try:
            yield
        finally:
            (home / LOCK).unlink(missing_ok=True)
            if not was_there and not any(home.iterdir()):
                home.rmdir()


@contextmanager
def restoring(home: Path) -> Iterator[None]:
    """Mark a home from before the first file until after the last look; who fails leaves the mark.

    Raises:
        BackupInvalid: a file could not be written or read.
    """
    token = _ours.set(home)
    try:
        _begin(home)
        yield
        (home / MARK).unlink()
        fsync_path(home)
    except OSError as error:
        cause = f"The restore was begun and did not end: {error.strerror or type(error).__name__}."
        raise _unfinished(cause, Path(error.filename or home)) from error
    finally:
        _ours.reset(token)


def note_placed(home: Path, backup: str) -> None:
    """Write down that all of a backup, the database too, is in its place."""
    with replaced_privately(home / MARK) as stream:
        stream.write(backup.encode())


def is_placed(home: Path, backup: str) -> bool:
    """Whether a call that did not end had put all of this backup in its place.

    Raises:
        BackupInvalid: all of another backup.
    """
    mark = home / MARK
    noted = mark.read_text(encoding="utf-8") if mark.exists() else ""
    if noted not in ("", backup):
        raise _unfinished("A restore of another backup was begun here and did not end.", mark)
    return noted == backup


def _begin(home: Path) -> None:
    if not (home / MARK).exists():
        note_placed(home, "")


def _unfinished(cause: str, where: Path) -> BackupInvalid:
    return BackupInvalid(
        cause,
        where=str(where),
        remedy="Mend what is named, and call equipoise restore again with the same backup. For "
        "another one, name an empty folder in EQUIPOISE_HOME.",
    )

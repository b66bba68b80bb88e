"""Files that are there whole or not at all, even after a power cut; one writer at a time."""

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO

from pipelines.errors import StoreLocked

PRIVATE_FOLDER_MODE = 0o700
PRIVATE_FILE_MODE = 0o600
READ_ONLY_MODE = 0o440


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner enters; an existing one is narrowed to that."""
    path.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER_MODE)
    path.chmod(PRIVATE_FOLDER_MODE)
    return path


def new_private_file(path: Path) -> BinaryIO:
    """Open a new file to write that nobody but its owner opens, at no moment.

    Raises:
        FileExistsError: there is one.
    """
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE_MODE), "wb")


def fsync_path(path: Path) -> None:
    """Force a file's bytes, or a folder's names, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_into_place(draft: Path, target: Path, mode: int) -> None:
    """Put a finished draft in the place of ``target``: readers see the old file or the new."""
    draft.chmod(mode)
    fsync_path(draft)
    draft.replace(target)
    fsync_path(target.parent)


@contextmanager
def replaced_privately(target: Path) -> Iterator[BinaryIO]:
    """Write a file that its owner alone can ever read: readers see the old one or the whole new.

    What a killed writer left of a draft goes first; the caller lets no other write meanwhile.
    """
    draft = target.with_name(f".draft-{target.name}")
    draft.unlink(missing_ok=True)
    with new_private_file(draft) as stream:
        yield stream
    rename_into_place(draft, target, PRIVATE_FILE_MODE)


@contextmanager
def only_writer(lock_file: Path, wait_seconds: float) -> Iterator[None]:
    """Hold ``lock_file`` alone; the kernel lets go of it when this process ends, however it ends.

    Raises:
        StoreLocked: another process held it for all of ``wait_seconds``.
    """
    with _opened_for_its_owner(lock_file) as stream:
        deadline = time.monotonic() + wait_seconds
        while not _locked(stream.fileno()):
            if time.monotonic() >= deadline:
                stream.seek(0)
                raise _held_by_another(lock_file, stream.read().strip(), wait_seconds)
            time.sleep(0.05)
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield


def _opened_for_its_owner(lock_file: Path) -> TextIO:
    """Locks lie among secrets: whatever the process's umask, nobody else opens one."""
    descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_APPEND, PRIVATE_FILE_MODE)
    found = os.fstat(descriptor)
    if stat.S_IMODE(found.st_mode) != PRIVATE_FILE_MODE and found.st_uid == os.geteuid():
        os.fchmod(descriptor, PRIVATE_FILE_MODE)
    return os.fdopen(descriptor, "a+", encoding="utf-8")


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _held_by_another(lock_file: Path, holder: str, wait_seconds: float) -> StoreLocked:
    return StoreLocked(
        f"Another process (id {holder or 'unknown'}) is writing; waited {wait_seconds:g} s.",
        where=str(lock_file),
        remedy="Let it end and run again. The lock goes with the process that holds it: "
        "there is no file to delete.",
    )

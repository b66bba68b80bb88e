"""Which lock files are held now, and by which process."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

KERNELS_LIST = Path("/proc/locks")
OF_TUNINGS = ".proposing"


class HeldLock(NamedTuple):
    """A file that a process has locked; ``process`` is 0 where it cannot be told: elsewhere."""

    file: Path
    process: int


def held_locks(root: Path) -> list[HeldLock]:
    """The locks that are held below a folder, in the order of their paths.

    Asked by a try that lets go at once: who wants the lock in that moment waits for no longer.
    """
    holders = _holders()
    held = ((file, _held_inode(file)) for file in sorted(_lock_files(root)))
    return [HeldLock(file, holders.get(inode, 0)) for file, inode in held if inode is not None]


def _lock_files(root: Path) -> Iterator[Path]:
    """Every file called a lock; artefacts hold none, and their files are many."""
    for folder, folders, files in os.walk(root):
        if "manifest.json" in files:
            folders.clear()
        yield from (
            Path(folder, name) for name in files if name.endswith(".lock") or name == OF_TUNINGS
        )


def _held_inode(file: Path) -> int | None:
    """The inode of a file that is locked; None of one that is not."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError:
        return None  # gone meanwhile, or another account's
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)
    return None


def _holders() -> dict[int, int]:
    """Inode -> process, of every lock that the kernel lists as held and not waited for."""
    try:
        lines = KERNELS_LIST.read_text().splitlines()
    except OSError:
        return {}
    named = (line.split() for line in lines if "->" not in line)
    return {
        int(words[5].rsplit(":", 1)[1]): max(int(words[4]), 0)
        for words in named
        if len(words) >= 8 and words[1] == "FLOCK"
    }

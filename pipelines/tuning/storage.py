"""What the samplers know of the trials so far: Optuna's journal, safe from kill -9 and between
workers.

Optuna's own lock of a journal is a link that a killed worker leaves behind, and others wait half a
minute for it. Ours is the kernel's, which lets go with the process that holds it. A write that was
torn is cut off before the next one. SQLite would be the other choice; on a network's drive, where
workers of several machines meet, its locks are not to be relied on.
"""

import fcntl
import os
from pathlib import Path
from typing import Any, BinaryIO

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

JOURNAL = "trials.journal"


def open_journal(folder: Path) -> JournalStorage:
    """The journal of a tuning in a folder of its own; made where there is none."""
    file = folder / JOURNAL
    lock: Any = KernelLock(file)  # the class that it stands in for is not exported
    return JournalStorage(JournalFileBackend(str(file), lock_obj=lock))


class KernelLock:
    """Held by one thread of one process at a time; who holds it finds whole lines only."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._held: BinaryIO | None = None

    def acquire(self) -> bool:
        # Of each acquisition its own open file: threads of one process shut each other out too.
        held = self._journal.with_suffix(".lock").open("ab")
        fcntl.flock(held, fcntl.LOCK_EX)
        self._held = held
        cut_torn_line(self._journal)
        return True

    def release(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None


def cut_torn_line(journal: Path) -> None:
    """Cut off what follows the last whole line: its writer was killed and nobody has read it."""
    with journal.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        if not size:
            return
        file.seek(size - 1)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        whole = file.read().rfind(b"\n") + 1
        file.truncate(whole)
        file.flush()
        os.fsync(file.fileno())

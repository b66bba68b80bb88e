"""Trainings as child processes: one attempt at a time, heard line by line, ended with us."""

import fcntl
import logging
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.errors import TrainingFailed

log = logging.getLogger(__name__)

Heard = Callable[[str], None]


def to_log(line: str) -> None:
    """A line of the child in our log."""
    log.info("training: %s", line)


def run_training(command: list[str], lock: int, heard: Heard = to_log) -> None:
    """Run `python -m <module> ...`; it inherits the lock and holds it if we are killed.

    Args:
        heard: is given every line that it says; what it raises ends the child.

    Raises:
        TrainingFailed: the child ended with another code than 0.
    """
    where = " ".join(command[1:3]).replace("-m", "python -m", 1)
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pass_fds=(lock,),
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as child:
        try:
            last = _lines(child, heard)
        except BaseException:
            # A timeout or a stop of the task must not wait for the epochs that are left.
            child.kill()
            raise
    if child.returncode:
        raise TrainingFailed(
            f"The training process ended with {child.returncode}; it last said: {last}",
            where=where,
            remedy="See the task's log. Finished epochs are kept: the next attempt goes on there.",
        )


def _lines(child: subprocess.Popen[str], heard: Heard) -> str:
    """Pass on the child's lines until it ends; the last one says how it went."""
    last = ""
    for line in child.stdout or ():
        last = line.strip() or last
        heard(line.rstrip())
    return last


@contextmanager
def one_attempt_at_a_time(workspace: Path) -> Iterator[int]:
    """Wait until no other process, not even an orphan of a killed attempt, trains this model."""
    with (workspace / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()

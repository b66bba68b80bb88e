"""Trainings as child processes: one attempt at a time, heard line by line, ended with us."""

import fcntl
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipelines.errors import StudyInvalid, TrainingFailed, TrainingInterrupted
from pipelines.gpus import visible_gpus
from pipelines.stage import device_class

log = logging.getLogger(__name__)

# What a person, a service's stop or a closed terminal sends. SIGKILL is not among them: it is the
# kernel's answer to a full memory, and the training's own doing.
INTERRUPTIONS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})

Heard = Callable[[str], None]

# Processes of one training on a machine without a GPU.
MOST_PROCESSES = 64

_under_way: set[subprocess.Popen[str]] = set()


def to_log(line: str) -> None:
    """A line of the child in our log."""
    log.info("training: %s", line)


def training_processes() -> int:
    """How many processes train one network together: ``EQUIPOISE_TRAINING_PROCESSES``, else one
    for each GPU of this machine, else 1.

    Raises:
        StudyInvalid: it is no number, or more than the GPUs that are there.
    """
    gpus, words = visible_gpus(), os.environ.get("EQUIPOISE_TRAINING_PROCESSES")
    if words is None:
        return max(1, gpus)
    if words.isdecimal() and 1 <= int(words) <= (gpus or MOST_PROCESSES):
        return int(words)
    raise StudyInvalid(
        "EQUIPOISE_TRAINING_PROCESSES is no number of processes that can train together here.",
        where="the environment",
        remedy=f"Set it to a number from 1 to {gpus or MOST_PROCESSES}, or not at all: the default "
        "is one process for each GPU, and one where there is none.",
    )


def training_device() -> str:
    """The device class of a training's recipe, with the number of processes where it decides bits.

    Several processes add up in another order and draw another dropout than one: what they train
    is another artefact. So a machine with another number of them begins anew.
    """
    processes = training_processes()
    return device_class() if processes == 1 else f"{device_class()} x {processes}"


def training_command(arguments: Sequence[str], processes: int = 1) -> list[str]:
    """The command of `python -m models.training`, in one process or in several together.

    Args:
        arguments: of models.training.
        processes: see ``training_processes``.
    """
    if processes == 1:
        return [sys.executable, "-m", "models.training", *arguments]
    together = [sys.executable, "-m", "models.launching", "--processes", str(processes)]
    return [*together, "models.training", *arguments]


def run_training(command: list[str], lock: int, heard: Heard = to_log) -> None:
    """Run `python -m <module> ...`; it inherits the lock and holds it if we are killed.

    It stays in our process group, so that what ends the group (Ctrl-C, a worker's stop) ends it
    too; of us alone it learns at its next line, which nobody reads.

    Args:
        heard: is given every line that it says; what it raises ends the child.

    Raises:
        TrainingFailed: the child ended with another code than 0.
        TrainingInterrupted: by a signal of INTERRUPTIONS.
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
        _under_way.add(child)
        try:
            last = _lines(child, heard)
        except BaseException:
            # A timeout or a stop of the task must not wait for the epochs that are left.
            child.kill()
            raise
        finally:
            _under_way.discard(child)
    if -child.returncode in INTERRUPTIONS:
        raise TrainingInterrupted(
            f"The training process was ended by {signal.Signals(-child.returncode).name}.",
            where=where,
            remedy="Run the same again: finished epochs are kept, and it goes on there.",
        )
    if child.returncode:
        raise TrainingFailed(
            f"The training process ended with {child.returncode}; it last said: {last}",
            where=where,
            remedy="See the task's log. Finished epochs are kept: the next attempt goes on there.",
        )


def end_trainings() -> None:
    """End the children of all our threads, each as one that was interrupted."""
    for child in list(_under_way):
        child.terminate()


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

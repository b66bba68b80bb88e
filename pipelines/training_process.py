"""Trainings as child processes: one attempt at a time, heard line by line, ended with us."""

import fcntl
import logging
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from time import monotonic

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

# A killed process is gone within so long, unless the kernel holds on to it.
ENDING_SECONDS = 30.0

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


def most_silence_seconds() -> float:
    """``EQUIPOISE_TRAINING_SILENCE_MINUTES`` in seconds; 30 minutes by default.

    Raises:
        StudyInvalid: it is no number above 0.
    """
    words = os.environ.get("EQUIPOISE_TRAINING_SILENCE_MINUTES", "30")
    try:
        minutes = float(words)
    except ValueError:
        minutes = 0.0
    if 0.0 < minutes < float("inf"):
        return 60.0 * minutes
    raise StudyInvalid(
        "EQUIPOISE_TRAINING_SILENCE_MINUTES is no number of minutes.",
        where="the environment",
        remedy="Set it to a number above 0, or not at all: 30 is the default.",
    )


class Silence:
    """How long a child has said nothing. A slow one says every minute how far it is."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.was_too_long = seconds, False
        self.broken()

    def broken(self) -> None:
        """A line was heard."""
        self.since = monotonic()

    @contextmanager
    def ends(self, child: subprocess.Popen[str]) -> Iterator[None]:
        """Kill the child when it has been silent for too long."""
        is_over = threading.Event()

        def watch() -> None:
            while (left := self.since + self.seconds - monotonic()) > 0:
                if is_over.wait(left):
                    return
            self.was_too_long = True
            child.kill()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()


def run_training(command: list[str], lock: int, heard: Heard = to_log) -> None:
    """Run `python -m <module> ...`; it inherits the lock and holds it if we are killed.

    It stays in our process group, so that what ends the group (Ctrl-C, a worker's stop) ends it
    too; of our end alone it learns by its pipe, which nobody reads any more.

    Args:
        heard: is given every line that it says; what it raises ends the child.

    Raises:
        StudyInvalid: ``EQUIPOISE_TRAINING_SILENCE_MINUTES`` is no number of minutes.
        TrainingFailed: the child ended with another code than 0, or said nothing for longer.
        TrainingInterrupted: by a signal of INTERRUPTIONS.
    """
    silence = Silence(most_silence_seconds())
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
            with silence.ends(child):
                last = _lines(child, heard, silence)
        except BaseException:
            # A timeout or a stop of the task must not wait for the epochs that are left.
            child.kill()
            _wait_for_all(child)
            raise
        finally:
            _under_way.discard(child)
    if silence.was_too_long:
        raise TrainingFailed(
            f"The training process said nothing for {silence.seconds / 60:g} minutes and was "
            f"ended; it last said: {last}",
            where=where,
            remedy="Run the same again: finished epochs are kept, and it goes on there. Where one "
            "step really takes so long, raise EQUIPOISE_TRAINING_SILENCE_MINUTES.",
        )
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


def _lines(child: subprocess.Popen[str], heard: Heard, silence: Silence) -> str:
    """Pass on the child's lines until it ends; the last one says how it went."""
    last = ""
    for line in child.stdout or ():
        silence.broken()
        last = line.strip() or last
        heard(line.rstrip())
    return last


def _wait_for_all(child: subprocess.Popen[str]) -> None:
    """Until the last process of a training that we killed has closed its end of the pipe.

    They die with the one that started them, but not in the same instant: the lock is not to be
    free before.
    """
    if child.stdout is None:
        return
    until, pipe = monotonic() + ENDING_SECONDS, child.stdout.fileno()
    while select.select([pipe], [], [], max(0.0, until - monotonic()))[0]:
        if not os.read(pipe, 65_536):
            return


@contextmanager
def one_attempt_at_a_time(workspace: Path) -> Iterator[int]:
    """Wait until no other process, not even an orphan of a killed attempt, trains this model.

    Whoever was waited for may have made it, and removed the folder: ask for it once this has begun.
    """
    lock = None
    while lock is None:
        lock = _lock_of(workspace)
    try:
        yield lock
    finally:
        os.close(lock)


def _lock_of(workspace: Path) -> int | None:
    """The descriptor of the folder's lock, held; None if the folder went meanwhile."""
    workspace.mkdir(parents=True, exist_ok=True)
    file = workspace / ".lock"
    with ExitStack() as otherwise, suppress(FileNotFoundError):
        # Not truncated: its time says when the first attempt began, whose inputs a prune leaves.
        lock = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        otherwise.callback(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.samestat(os.fstat(lock), file.stat()):
            otherwise.pop_all()
            return lock
    return None

"""The training child: its end is told in words, and nobody waits for it when we are stopped."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from pipelines.errors import TrainingFailed, TrainingInterrupted
from pipelines.training_process import end_trainings, one_attempt_at_a_time, run_training


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    with one_attempt_at_a_time(tmp_path) as descriptor:
        yield descriptor


def child(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_the_last_line_of_a_failed_child_is_passed_on(lock: int) -> None:
    with pytest.raises(TrainingFailed, match="ended with 3; it last said: no class left") as failed:
        run_training(
            child("print('epoch 1'); print('no class left'); print(); raise SystemExit(3)"), lock
        )

    assert failed.value.exit_code == 40


def test_a_child_that_ends_well_is_no_failure(lock: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="pipelines"):
        run_training(child("print('epoch 1')"), lock)

    assert caplog.messages == ["training: epoch 1"]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("SIGINT", TrainingInterrupted),
        ("SIGTERM", TrainingInterrupted),
        ("SIGHUP", TrainingInterrupted),
        # The kernel's, where the memory is full: a training's own doing.
        ("SIGKILL", TrainingFailed),
        ("SIGSEGV", TrainingFailed),
    ],
)
def test_a_child_that_somebody_stopped_was_interrupted_and_any_other_failed(
    name: str, error: type[Exception], lock: int
) -> None:
    with pytest.raises(error, match=rf"ended (by {name}|with -\d+)"):
        run_training(child(f"import os, signal; os.kill(os.getpid(), signal.{name})"), lock)


def test_the_trainings_of_other_threads_can_be_ended_as_interrupted(lock: int) -> None:
    heard, ends = threading.Event(), []

    def train() -> None:
        try:
            program = "import time; print('epoch 1', flush=True); time.sleep(600)"
            run_training(child(program), lock, lambda line: heard.set())
        except TrainingInterrupted as error:
            ends.append(error)

    thread = threading.Thread(target=train)
    thread.start()
    assert heard.wait(60)
    end_trainings()
    thread.join(60)

    assert len(ends) == 1


class _Stopped(Exception):
    """What a task's timeout raises in the middle of waiting."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stopped


def test_a_stop_of_the_task_ends_the_child_at_once(lock: int) -> None:
    started = time.monotonic()
    before = signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        with pytest.raises(_Stopped):
            run_training(child("import time; print('epoch 1', flush=True); time.sleep(600)"), lock)
    finally:
        signal.signal(signal.SIGALRM, before)

    assert time.monotonic() - started < 60


def test_a_second_attempt_waits_for_an_orphan_of_the_first(tmp_path: Path) -> None:
    """The child inherits the lock: killing its parent does not let another one train beside it."""
    with one_attempt_at_a_time(tmp_path) as descriptor:
        orphan = subprocess.Popen(child("import time; time.sleep(2)"), pass_fds=(descriptor,))
    started = time.monotonic()
    with one_attempt_at_a_time(tmp_path):
        waited = time.monotonic() - started
    orphan.wait()

    assert waited > 0.5

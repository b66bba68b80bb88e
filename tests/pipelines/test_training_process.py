"""The training child: its end is told in words, and nobody waits for it when we are stopped."""

import fcntl
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest

from models.config import ModelConfig
from pipelines.errors import StudyInvalid, TrainingFailed, TrainingInterrupted
from pipelines.gpus import visible_gpus
from pipelines.stage import device_class
from pipelines.training_process import (
    end_trainings,
    one_attempt_at_a_time,
    run_training,
    training_command,
    training_device,
    training_processes,
)


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


def test_who_waited_for_a_training_that_was_made_begins_in_a_folder_of_its_own(
    tmp_path: Path,
) -> None:
    """The first removes its workspace when it is done, with the lock that others wait for."""
    workspace, began = tmp_path / ".work-model", threading.Barrier(2)
    found: list[bool] = []

    def wait_for_the_first() -> None:
        began.wait()
        with one_attempt_at_a_time(workspace):
            with pytest.raises(BlockingIOError), (workspace / ".lock").open() as another:
                fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found.append(workspace.is_dir())

    second = threading.Thread(target=wait_for_the_first)
    second.start()
    with one_attempt_at_a_time(workspace):
        began.wait()
        time.sleep(0.3)
        shutil.rmtree(workspace)
    second.join()
    assert found == [True]


def test_a_child_that_says_nothing_for_too_long_is_ended(
    lock: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The start of its Python is silence too.
    monkeypatch.setenv("EQUIPOISE_TRAINING_SILENCE_MINUTES", "0.1")
    with pytest.raises(TrainingFailed, match=r"nothing for 0\.1 minutes .* last said: epoch 1"):
        run_training(child("import time; print('epoch 1', flush=True); time.sleep(600)"), lock)


def test_a_slow_child_that_says_so_is_left_alone(
    lock: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six seconds of silence would end it, and it takes longer in all."""
    monkeypatch.setenv("EQUIPOISE_TRAINING_SILENCE_MINUTES", "0.1")
    program = "import time\nfor n in range(9): print(n, flush=True); time.sleep(0.7)"
    heard: list[str] = []
    run_training(child(program), lock, heard.append)

    assert heard == list("012345678")


@pytest.mark.parametrize("words", ["", "soon", "0", "-1", "nan", "inf"])
def test_a_silence_that_is_no_number_of_minutes_is_refused(
    words: str, lock: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_TRAINING_SILENCE_MINUTES", words)
    with pytest.raises(StudyInvalid, match="no number of minutes"):
        run_training(child("print('epoch 1')"), lock)


# What `nvidia-smi -L` prints: two GPUs, the second in two slices.
LISTED = """GPU 0: A (UUID: GPU-00000000-0000-0000-0000-000000000000)
GPU 1: A (UUID: GPU-00000000-0000-0000-0000-000000000001)
  MIG 1g Device 0: (UUID: MIG-00000000-0000-0000-0000-000000000002)
  MIG 1g Device 1: (UUID: MIG-00000000-0000-0000-0000-000000000003)
"""


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "listed").write_text(LISTED)
    driver = tmp_path / "bin" / "nvidia-smi"
    driver.parent.mkdir()
    driver.write_text(f"#!/bin/sh\ncat {tmp_path}/listed\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", str(driver.parent), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("EQUIPOISE_TRAINING_PROCESSES", raising=False)


@pytest.mark.parametrize(
    ("visible", "gpus"),
    [
        (None, 2),
        ("0,1", 2),
        ("1", 1),
        ("", 0),
        ("-1", 0),
        ("1,-1,0", 1),
        ("0,7", 1),
        ("GPU-00000000-0000-0000-0000-000000000001", 1),
        ("NoDevFiles", 0),
    ],
)
@pytest.mark.usefixtures("two_gpus")
def test_gpus_are_counted_as_cuda_sees_them(
    visible: str | None, gpus: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus() == gpus
    assert device_class() == ("cuda" if gpus else "cpu")
    assert training_processes() == max(1, gpus)


@pytest.mark.usefixtures("two_gpus")
def test_every_gpu_gets_a_process_unless_fewer_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert training_device() == "cuda x 2"
    monkeypatch.setenv("EQUIPOISE_TRAINING_PROCESSES", "1")
    assert (training_processes(), training_device()) == (1, "cuda")


@pytest.mark.parametrize("words", ["", "0", "-1", "3", "two", "1.5"])
@pytest.mark.usefixtures("two_gpus")
def test_processes_that_cannot_train_together_are_refused(
    words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_TRAINING_PROCESSES", words)
    with pytest.raises(StudyInvalid, match="no number of processes"):
        training_processes()


def test_one_process_trains_by_the_command_it_always_had() -> None:
    assert training_command(["--a", "b"]) == [sys.executable, "-m", "models.training", "--a", "b"]
    assert training_command(["--a", "b"], 2) == [
        *(sys.executable, "-m", "models.launching", "--processes", "2"),
        *("models.training", "--a", "b"),
    ]


@pytest.mark.skipif(device_class() == "cuda", reason="torch finds the GPU that is expected")
def test_a_device_that_torch_does_not_find_is_refused_before_anything_is_read(
    lock: int, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(ModelConfig().model_dump_json())
    places = ("--sequences", "--output", "--checkpoints")
    arguments = [word for place in places for word in (place, str(tmp_path / "absent"))]
    arguments += ["--config", str(tmp_path / "config.json"), "--device", "cuda"]
    with pytest.raises(TrainingFailed, match="the machine has cuda and torch finds cpu alone"):
        run_training(training_command(arguments), lock)
    assert not (tmp_path / "absent").exists()

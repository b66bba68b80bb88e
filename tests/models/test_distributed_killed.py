"""A training of several processes as it is really run: a parent, a launcher, two processes; killed
in turn, and started again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from models.config import ModelConfig
from tests.models.generated_stores import make_learnable_store, write_store
from tests.models.test_training import model_bytes

CONFIG = ModelConfig(
    hidden_size=4, tokens_per_batch=64, min_epochs=1, max_epochs=12, patience_epochs=12, seeds=(0,)
)
PARENT = """
import sys
from pathlib import Path
from pipelines.training_process import one_attempt_at_a_time, run_training, training_command
with one_attempt_at_a_time(Path(sys.argv[1])) as lock:
    run_training(training_command(sys.argv[2:], 2), lock, lambda line: print(line, flush=True))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    write_store(make_learnable_store(400), folder / "sequences")
    (folder / "config.json").write_text(CONFIG.model_dump_json())
    return folder


def parent(folder: Path, name: str) -> subprocess.Popen[str]:
    """A stage's place: it starts the training, listens to it and holds the lock."""
    arguments = [
        *("--sequences", str(folder / "sequences"), "--config", str(folder / "config.json")),
        *("--output", str(folder / name), "--checkpoints", str(folder / f"{name}_checkpoints")),
    ]
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=Path.cwd(),
    )


def finish(folder: Path, name: str) -> dict[str, bytes]:
    with parent(folder, name) as started:
        said, _ = started.communicate(timeout=300)
    assert started.returncode == 0, said
    return model_bytes(folder / name)


def processes_of(folder: Path, name: str) -> dict[int, list[str]]:
    """Every process, of whomever's, whose command names the training: its number and command."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().decode().split("\0")
        except OSError:  # it ended meanwhile
            continue
        if str(folder / name) in words:
            found[int(place.name)] = words
    return found


def parent_of(command: dict[int, list[str]]) -> int:
    return next(number for number, words in command.items() if "-c" in words)


def launcher_of(command: dict[int, list[str]]) -> int:
    return next(number for number, words in command.items() if "models.launching" in words)


def one_of_two(command: dict[int, list[str]]) -> int:
    others = {parent_of(command), launcher_of(command)}
    return max(set(command) - others)


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("killed", [parent_of, launcher_of, one_of_two])
def test_whichever_process_is_killed_none_is_left_and_the_next_attempt_has_the_same_bits(
    killed: Callable[[dict[int, list[str]]], int], folder: Path
) -> None:
    if not (folder / "undisturbed").exists():
        finish(folder, "undisturbed")
    name = killed.__name__
    with parent(folder, name) as started:
        assert started.stdout is not None
        for _ in range(3):
            assert "epoch" in started.stdout.readline()
        running = processes_of(folder, name)
        assert len(running) == 4
        os.kill(killed(running), signal.SIGKILL)
    assert started.returncode != 0
    deadline = time.monotonic() + 30
    while processes_of(folder, name) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(folder, name) == {}
    kept = sorted((folder / f"{name}_checkpoints" / "seed_0").glob("*.json"))
    assert kept
    assert kept[-1].stem < "000012"
    assert finish(folder, name) == model_bytes(folder / "undisturbed")

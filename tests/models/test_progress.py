import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from models.loop import plan_epoch
from models.objectives import objective_of, teaching
from models.parts import released_part
from models.progress import Heartbeat
from tests.models.generated_stores import make_learnable_store
from tests.models.test_loop import SMALL, train_small

CODE = """
from models.progress import reporting
with reporting(networks=2) as report:
    report("seed_0", 1, 3, "loss 0.5000", 0.5)
    report("seed_1", 2, 3, "loss 0.2500", 0.25)
"""


def test_a_log_gets_plain_lines() -> None:
    said = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == [
        "seed_0 epoch 1 of at most 3: loss 0.5000",
        "seed_1 epoch 2 of at most 3: loss 0.2500",
    ]


def test_a_person_at_a_terminal_gets_a_bar() -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"}
    with subprocess.Popen([sys.executable, "-c", CODE], stdout=theirs, env=environment) as child:
        os.close(theirs)
        said = b""
        while chunk := _read(ours):
            said += chunk
    os.close(ours)
    assert child.returncode == 0
    words = said.decode()
    assert "5/6" in words  # the second network's second epoch, of two networks of three
    assert "seed_1" in words
    assert "loss 0.2500" in words
    assert "\x1b[" in words  # drawn in place, not line by line


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other end is closed
        return b""


def test_within_an_epoch_every_step_is_told_of_where_steps_are_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """How many are done, and no value of anything."""
    monkeypatch.setattr("models.progress.HEARTBEAT_SECONDS", 0.0)
    store, config = make_learnable_store(100), SMALL.model_copy(update={"max_epochs": 1})
    train_small(store, tmp_path, config)
    rows = teaching(objective_of(store, config, 1.0), store, released_part(store).train)
    steps = len(plan_epoch(store, rows, config, (0, 1)))
    assert steps > 1
    assert capsys.readouterr().out.splitlines() == [
        f"seed_0: {step} of {steps} done" for step in range(1, steps + 1)
    ]


def test_between_heartbeats_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [1000.0]
    monkeypatch.setattr("models.progress.monotonic", lambda: now[0])
    heartbeat, silent = Heartbeat("seed_0"), Heartbeat("seed_0", speaks=False)
    for second in range(1, 181):
        now[0] += 1.0
        heartbeat.beat(second, 180)
        silent.beat(second, 180)
    assert capsys.readouterr().out.splitlines() == [
        "seed_0: 60 of 180 done",
        "seed_0: 120 of 180 done",
        "seed_0: 180 of 180 done",
    ]

"""A run that is interrupted ends at once, with all it started, and is not retried."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.dags.installations import (
    ROOT,
    calls,
    environment,
    processes_of,
    study_text,
    write_studies,
)


@pytest.mark.parametrize(
    ("number", "to_all", "code"),
    [
        pytest.param(signal.SIGTERM, False, 143, id="terminated"),
        pytest.param(signal.SIGINT, True, 130, id="ctrl-c", marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_run_ends_with_its_child_and_says_by_its_code_how(
    tmp_path: Path, number: signal.Signals, to_all: bool, code: int
) -> None:
    home = tmp_path / "home"
    studies = write_studies(tmp_path / "studies", demo=study_text())
    env = environment(home, studies) | {"TOY_FAILURE": "check_events Sleep"}
    command = [sys.executable, "-m", "tests.pipelines.equipoise", "run", "demo"]
    # In a group of its own: a terminal sends Ctrl-C to the whole group.
    with subprocess.Popen(
        command, env=env, cwd=ROOT, stdout=subprocess.DEVNULL, process_group=0
    ) as run:
        wait_for_the_sleeping_stage(home, run)
        if to_all:
            os.killpg(run.pid, number)
        else:
            run.send_signal(number)
        assert run.wait(timeout=120) == code
    assert [line.split(" ")[0] for line in calls(home)] == [
        "ingest_events",
        "merge_events",
        "check_events",
    ]
    assert processes_of(home) == []


def wait_for_the_sleeping_stage(home: Path, run: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + 240
    while not any(line.startswith("check_events") for line in calls(home)):
        assert time.monotonic() < ends
        assert run.poll() is None
        time.sleep(0.2)

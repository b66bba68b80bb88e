"""The journal of trials: proposals that repeat, workers that share, kills that lose nothing."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from pipelines.tuning.config import TuningSection
from pipelines.tuning.storage import JOURNAL
from pipelines.tuning.trials import TuningTrials

PARAMETERS = {
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "hidden_size": {"low": 4, "high": 64},
    "layers": [1, 2, 3],
}
GRID = {"layers": [1, 2, 3], "hidden_size": [8, 16]}
SAMPLERS = ("random", "tpe", "gp", "grid")


def section(**changes: Any) -> TuningSection:
    grid = changes.get("sampler") == "grid"
    given = {"seed": 3, "parameters": GRID if grid else PARAMETERS} | changes
    return TuningSection.model_validate(given)


def opened(folder: Path, **changes: Any) -> TuningTrials:
    return TuningTrials(folder, "plan", section(**changes), most_steps=10)


def loss(parameters: dict[str, Any]) -> float:
    return abs(float(parameters.get("learning_rate", 0.1)) - 0.01) + 0.01 * int(
        parameters["layers"]
    )


def run(trials: TuningTrials, numbers: range) -> list[dict[str, Any]]:
    found = []
    for number in numbers:
        begun = trials.begin(number)
        if begun.state == "running":
            trials.complete(number, loss(begun.parameters), {})
        found.append(begun.parameters)
    return found


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_tuning_interrupted_anywhere_proposes_what_a_whole_one_does(
    tmp_path: Path, sampler: str
) -> None:
    last = 6 if sampler == "grid" else 14
    whole = run(opened(tmp_path / "whole", sampler=sampler), range(1, last + 1))
    parts = run(opened(tmp_path / "parts", sampler=sampler), range(1, 5))
    begun = opened(tmp_path / "parts", sampler=sampler).begin(5)  # and its worker is killed
    assert begun.state == "running"
    parts += run(opened(tmp_path / "parts", sampler=sampler), range(5, last + 1))
    assert parts == whole
    assert len({tuple(one.values()) for one in whole}) == last


def test_a_grid_proposes_every_combination_once(tmp_path: Path) -> None:
    found = run(opened(tmp_path, sampler="grid"), range(1, 7))
    assert {(one["layers"], one["hidden_size"]) for one in found} == set(
        product(GRID["layers"], GRID["hidden_size"])
    )


def test_a_grid_of_steps_reaches_the_end_of_its_range(tmp_path: Path) -> None:
    steps = {"low": 0.1, "high": 0.3, "step": 0.1}
    given = section(sampler="grid", parameters={"dropout": steps})
    trials = TuningTrials(tmp_path, "plan", given, most_steps=10)
    found = sorted(float(str(trials.begin(n).parameters["dropout"])) for n in (1, 2, 3))
    assert found == pytest.approx([0.1, 0.2, 0.3])


def test_another_seed_proposes_other_values(tmp_path: Path) -> None:
    one = run(opened(tmp_path / "one"), range(1, 4))
    assert one != run(opened(tmp_path / "two", seed=4), range(1, 4))


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_a_sampler_learns_to_keep_a_constraint(tmp_path: Path, sampler: str) -> None:
    """The metric asks for many layers, the constraint for one: later trials go by the latter."""
    trials = opened(tmp_path, sampler=sampler)
    layers = []
    for number in range(1, 31):
        chosen = trials.begin(number).parameters["layers"]
        assert isinstance(chosen, int)
        trials.complete(number, -float(chosen), {"one layer": chosen - 1.5})
        layers.append(chosen)
    assert layers[-10:].count(1) >= 6


@pytest.mark.parametrize("pruner", ["median", "successive_halving", "hyperband"])
def test_a_trial_far_behind_the_others_is_stopped_and_one_ahead_is_not(
    tmp_path: Path, pruner: str
) -> None:
    trials = opened(tmp_path, pruner=pruner, prune_from_epoch=1)

    def stopped_at(number: int, height: float) -> int | None:
        trials.begin(number)
        for step in range(1, 10):
            if trials.report(number, step, height / step):
                trials.prune(number, "others were ahead")
                return step
        trials.complete(number, height, {})
        return None

    # Best first: each of hyperband's brackets then knows a good one.
    stopped = [stopped_at(number, 1.0 + number) for number in range(1, 13)]
    assert stopped[0] is None
    assert sum(step is not None for step in stopped[6:]) >= 4
    assert trials.read(12).state in ("pruned", "complete")
    assert stopped_at(13, 0.1) is None


def test_a_step_reported_again_after_a_kill_stands_as_it_was(tmp_path: Path) -> None:
    trials = opened(tmp_path)
    trials.begin(1)
    trials.report(1, 1, 0.5)
    again = opened(tmp_path)
    again.report(1, 1, 0.7)
    assert again.reports(1) == {1: 0.5}


@pytest.mark.parametrize(
    ("end", "state"), [(TuningTrials.fail, "failed"), (TuningTrials.prune, "pruned")]
)
def test_a_trial_without_a_value_keeps_its_reason(
    end: Callable[[TuningTrials, int, str], None], state: str, tmp_path: Path
) -> None:
    trials = opened(tmp_path)
    trials.begin(1)
    end(trials, 1, "no class left")
    found = opened(tmp_path).read(1)
    assert (found.state, found.reason) == (state, "no class left")


def test_a_torn_last_line_is_cut_off_and_the_journal_goes_on(tmp_path: Path) -> None:
    run(opened(tmp_path), range(1, 3))
    with (tmp_path / JOURNAL).open("ab") as journal:
        journal.write(b'{"op_code": 4, "worker')
    trials = opened(tmp_path)
    run(trials, range(3, 5))
    assert [trials.read(number).state for number in range(1, 5)] == ["complete"] * 4


# ---- workers -------------------------------------------------------------------------------------

WORKER = """
import sys
from pathlib import Path
from tests.pipelines.tuning.test_trials import opened, run
run(opened(Path(sys.argv[1]), sampler=sys.argv[2]), range(int(sys.argv[3]), int(sys.argv[4])))
"""


def worker(folder: Path, sampler: str, first: int, end: int) -> subprocess.Popen[bytes]:
    words = [str(folder), sampler, str(first), str(end)]
    return subprocess.Popen([sys.executable, "-c", WORKER, *words], env=os.environ.copy())


def test_workers_at_a_time_share_a_grid_without_a_gap_or_a_repetition(tmp_path: Path) -> None:
    workers = [worker(tmp_path, "grid", first, first + 2) for first in (1, 3, 5)]
    assert [one.wait() for one in workers] == [0, 0, 0]
    trials = opened(tmp_path, sampler="grid")
    found = [trials.read(number).parameters for number in range(1, 7)]
    assert len({tuple(one.values()) for one in found}) == 6


@pytest.mark.faults
def test_kills_at_any_moment_leave_a_journal_in_which_each_trial_stands_once(
    tmp_path: Path,
) -> None:
    opened(tmp_path)
    for attempt in range(4):
        killed = worker(tmp_path, "random", 1, 400)
        size = (tmp_path / JOURNAL).stat().st_size
        deadline = time.monotonic() + 60
        while (tmp_path / JOURNAL).stat().st_size < size + 3000 + 400 * attempt:
            assert killed.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        trials = opened(tmp_path)
        live = [
            n for n in range(1, 400) if (one := trials._find(n)) and not one.state.is_finished()
        ]
        assert len(live) <= 1
        for number in live:
            trials.complete(number, 1.0, {})
    numbers = [one.user_attrs["number"] for one in opened(tmp_path)._study.get_trials()]
    assert numbers == list(range(1, len(numbers) + 1))

"""Several processes that train together, against one that trains alone."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from models.distributed import shares
from models.standing import Standing
from tests.models.trained_together import CASES, train, trained

QUICK = (
    *("lstm", "one sequence a batch", "everything at once", "hazard of a convolution"),
    *("group robust", "bfloat16", "dropout", "short of memory"),
)
ALL = (
    *CASES,
    *("group robust", "quantiles", "volatility", "short of memory"),
)
# Whose differences have tests of their own.
APART = ("bfloat16", "dropout", "short of memory", "pre-training short of memory")

# In float32, of gradients, losses and of the weights after all steps.
EXACT = 1e-6


def launched(folder: Path, processes: int, cases: tuple[str, ...]) -> Path:
    """The folder, with what so many processes made of the cases."""
    command = [sys.executable, "-m", "models.launching", "--processes", str(processes)]
    command += ["tests.models.trained_together", str(folder), *cases]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return folder


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return launched(tmp_path_factory.mktemp("two"), 2, QUICK)


def difference(standing: Standing, folder: Path) -> dict[str, float]:
    """The largest one of gradients, weights and losses between one process and several."""
    log = json.loads((folder / "log.json").read_text())
    assert [one["tokens"] for one in log] == [one.tokens_per_batch for one in standing.log]
    alone = {
        name: parameter.grad
        for name, parameter in standing.network.named_parameters()
        if parameter.grad is not None
    }
    together = load_file(folder / "gradients.safetensors")
    assert together.keys() == alone.keys()  # what nobody used is decayed by nobody
    best = load_file(folder / "best.safetensors")
    assert any((gradient != 0).any() for gradient in together.values())
    return {
        "gradients": max(float((alone[k] - together[k]).abs().max()) for k in alone),
        "weights": max(float((standing.best[k] - best[k]).abs().max()) for k in best),
        "losses": max(
            max(abs(ours["train"] - one.train_loss), abs(ours["validation"] - one.validation_loss))
            for ours, one in zip(log, standing.log, strict=True)
        ),
        "clip rate": max(
            abs(ours["clipped"] - one.clip_rate)
            for ours, one in zip(log, standing.log, strict=True)
        ),
    }


def is_exact(found: dict[str, float]) -> bool:
    return (
        max(found["gradients"], found["losses"], found["weights"]) <= EXACT
        and found["clip rate"] == 0
    )


@pytest.mark.parametrize("case", [case for case in QUICK if case not in APART])
def test_two_processes_learn_what_one_learns_of_the_whole_batches(
    case: str, by_two: Path, tmp_path: Path
) -> None:
    found = difference(trained(case, tmp_path), by_two / case)
    assert is_exact(found), found


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 3])
def test_any_number_of_processes_learns_what_one_learns(processes: int, tmp_path: Path) -> None:
    launched(tmp_path / "together", processes, ALL)
    for case in ALL:
        if case not in APART:
            alone = trained(case, tmp_path / "alone" / case)
            found = difference(alone, tmp_path / "together" / case)
            assert is_exact(found), (case, found)


def test_in_bfloat16_two_processes_are_close_to_one(by_two: Path, tmp_path: Path) -> None:
    """Each rounds the gradient of its share to eight bits before they are added up."""
    found = difference(trained("bfloat16", tmp_path), by_two / "bfloat16")
    assert 0.0 < found["weights"] <= 1e-3
    assert max(found["gradients"], found["losses"]) <= 1e-4


def test_each_process_draws_a_dropout_of_its_own(by_two: Path, tmp_path: Path) -> None:
    found = difference(trained("dropout", tmp_path), by_two / "dropout")
    assert found["weights"] > EXACT
    assert found["losses"] <= 0.05


@pytest.mark.parametrize(
    "case",
    ["short of memory", pytest.param("pre-training short of memory", marks=pytest.mark.slow)],
)
def test_where_memory_runs_out_in_one_process_all_halve_their_batches(
    case: str, by_two: Path, tmp_path: Path
) -> None:
    """As one process learns that was asked for half the steps and twice the batches a step."""
    together = by_two if case in QUICK else launched(tmp_path / "together", 2, (case,))
    assert max(json.loads((together / case / "refused.json").read_text())) > 20
    log = json.loads((together / case / "log.json").read_text())
    assert {entry["tokens"] for entry in log} == {24}
    halved = {"tokens_per_batch": 24, "window_batches": 32, "accumulate_batches": 2}
    alone = train(case, tmp_path / "alone", options=halved)
    found = difference(alone, together / case)
    assert is_exact(found), found


@given(
    lengths=st.lists(st.integers(0, 300), min_size=1, max_size=40),
    parts=st.integers(1, 9),
)
def test_a_batch_is_cut_into_whole_sequences_of_about_as_many_steps(
    lengths: list[int], parts: int
) -> None:
    steps = np.array([7, *lengths])  # of a store whose first example is in no batch
    rows = np.arange(1, len(steps))[::-1].copy()
    cut = shares(rows, steps, parts)
    assert sorted(np.concatenate(cut)) == sorted(rows)
    counts, sums = [len(part) for part in cut], [int(steps[part].sum()) for part in cut]
    assert max(counts) - min(counts) <= 1
    assert max(sums) - min(sums) <= max(lengths)
    again = shares(rows, steps, parts)
    assert all(np.array_equal(one, other) for one, other in zip(cut, again, strict=True))


def test_two_processes_take_longer_and_shorter_sequences_in_turn() -> None:
    lengths = np.array([5, 4, 3, 2, 1])
    first, second = shares(np.arange(5), lengths, 2)
    assert (first.tolist(), second.tolist()) == ([0, 3, 4], [1, 2])  # 5 + 2 + 1 and 4 + 3

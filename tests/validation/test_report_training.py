"""What a report says of the cost of training."""

from typing import Any

import pytest

from pipelines.evidence import training_cost
from tests.validation.report_samples import TRAINING, model_evidence
from validation.evidence import TrainingCost
from validation.report import training_words
from validation.report.formatting import NOTHING
from validation.report.render import render_report


def test_the_report_says_what_training_took_and_which_file_says_so() -> None:
    page = render_report(model_evidence())
    assert (
        "3 networks trained in 62 s on 2 GPUs (123 GPU-seconds), peak memory 600 MiB "
        "(training_log.json)" in page
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"processes": 1, "networks": 1, "gpu_seconds": 61.7},
            "1 network trained in 62 s on 1 GPU (62 GPU-seconds)",
        ),
        ({"device": "cpu", "processes": 1}, "3 networks trained in 62 s on the CPU, peak"),
        ({"device": "cpu"}, "3 networks trained in 62 s on the CPU, in 2 processes each, peak"),
    ],
)
def test_one_or_several_processes_are_told_apart(changed: dict[str, Any], words: str) -> None:
    assert training_words.training_cost(TRAINING.model_copy(update=changed)).startswith(words)


def test_the_seconds_of_all_networks_add_up_and_the_largest_memory_counts() -> None:
    cost = {"device": "cuda", "processes": 2, "parameters": 9}
    log = {
        "seed_0": {"cost": cost | {"seconds": 2, "gpu_seconds": 4, "peak_memory_bytes": 70}},
        "seed_1": {"cost": cost | {"seconds": 3, "gpu_seconds": 6, "peak_memory_bytes": 50}},
    }
    assert training_cost(log) == TrainingCost(
        file="training_log.json",
        networks=2,
        device="cuda",
        processes=2,
        seconds=5,
        gpu_seconds=10,
        peak_memory_bytes=70,
    )


def test_of_a_model_without_such_a_log_nothing_is_said() -> None:
    assert training_cost({"seed_0": {"cost": {"seconds": 2.0}}, "seed_1": {}}) is None
    assert training_words.training_cost(None) == NOTHING

"""The checks find each leak that is planted, and nothing where there is none."""

import numpy as np
import pytest

from validation.leakage import (
    no_cluster_in_two_splits,
    no_step_after_the_index_time,
    truncation_replay,
)


@pytest.mark.parametrize(("days", "late"), [([-3.0, 0.0], 0), ([-3.0, 0.1, 2.0], 2), ([], 0)])
def test_steps_after_the_index_time_are_counted(days: list[float], late: int) -> None:
    check = no_step_after_the_index_time(np.array(days, np.float32))

    assert (check.passed, check.unexpected) == (late == 0, late)


@pytest.mark.parametrize(
    ("cluster", "split", "torn"),
    [([1, 1, 2], [0, 0, 2], 0), ([1, 1, 2], [0, 2, 2], 1), ([1, 1, 2, 2], [0, 1, 2, 0], 2)],
)
def test_clusters_in_two_splits_are_counted(
    cluster: list[int], split: list[int], torn: int
) -> None:
    check = no_cluster_in_two_splits("set", np.array(cluster), np.array(split, np.int8))

    assert (check.passed, check.unexpected) == (torn == 0, torn)


STORED = {"step_days": np.array([-1.0, 0.0], np.float32), "channel": np.array([0, 1])}


@pytest.mark.parametrize(
    ("rebuilt", "examples", "passed"),
    [
        (STORED, 1, True),
        (STORED, 0, False),
        (STORED | {"step_days": np.array([-1.0, 1e-6], np.float32)}, 1, False),
        (STORED | {"step_days": np.array([-1.0], np.float32)}, 1, False),
        (STORED | {"channel": np.array([0, 1], np.int32)}, 1, False),
        ({"step_days": STORED["step_days"]}, 1, False),
    ],
)
def test_a_replay_passes_only_if_every_array_is_identical(
    rebuilt: dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]], examples: int, passed: bool
) -> None:
    assert truncation_replay(STORED, rebuilt, examples).passed == passed

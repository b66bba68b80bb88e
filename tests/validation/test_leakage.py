"""The checks find each leak that is planted, and nothing where there is none."""

import numpy as np
import pytest

from validation.leakage import (
    differing_arrays,
    no_cluster_in_two_splits,
    replay_check,
    steps_after_the_index_time,
)


@pytest.mark.parametrize(("steps", "late"), [(2, 0), (3, 2), (0, 0)])
def test_no_step_may_lie_after_the_index_time(steps: int, late: int) -> None:
    check = steps_after_the_index_time(steps, late)

    assert (check.passed, check.unexpected) == (late == 0, late)
    assert check.words == f"{steps} time steps, of which {late} lie after the index time"


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
    ("rebuilt", "examples", "differing"),
    [
        (STORED, 1, []),
        (STORED, 0, []),
        (STORED | {"step_days": np.array([-1.0, 1e-6], np.float32)}, 1, ["step_days"]),
        (STORED | {"step_days": np.array([-1.0], np.float32)}, 1, ["step_days"]),
        (STORED | {"channel": np.array([0, 1], np.int32)}, 1, ["channel"]),
        ({"step_days": STORED["step_days"]}, 1, ["channel"]),
    ],
)
def test_a_replay_passes_only_if_every_array_is_identical(
    rebuilt: dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]],
    examples: int,
    differing: list[str],
) -> None:
    found = differing_arrays(STORED, rebuilt)
    check = replay_check(found, examples, "each as of its own index time")

    assert found == differing
    assert check.passed == (not differing and examples > 0)
    assert check.unexpected == len(differing)

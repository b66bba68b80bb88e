"""A test part that the data come with stays what it is; the rest is drawn by cluster."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import SourceInvalid
from pipelines.splits import DeclaredSplit, Placed, assign_splits

CONFIG = DeclaredSplit(kind="declared", attribute="set", test=["b", "c"], validation=0.2, seed=0)


def placed(said: list[str | None], cluster: list[int] | None = None) -> Placed:
    rows = len(said)
    own = np.arange(rows) if cluster is None else np.array(cluster)
    return Placed(own, np.zeros(rows), np.full(rows, 1.0), said)


@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=50))
def test_exactly_the_declared_subjects_are_tested(said: list[str | None]) -> None:
    said = [*said, *["a"] * 100, "b"]
    parts = assign_splits(placed(said), CONFIG)

    assert (parts.split == 2).tolist() == [value in ("b", "c") for value in said]
    assert parts.windows.shape == (0, len(said))
    assert parts.resampling == "none"


def test_the_others_are_drawn_by_cluster_in_the_asked_share() -> None:
    cluster = np.repeat(np.arange(4_000), 2)
    split = assign_splits(placed([*["a"] * 8_000, "b"], [*cluster, 9_999]), CONFIG).split[:-1]

    assert (split[::2] == split[1::2]).all()
    assert (split == 1).mean() == pytest.approx(0.2, abs=0.02)


def test_a_subject_keeps_its_part_when_others_arrive() -> None:
    few = assign_splits(placed(["b", *["a"] * 50]), CONFIG).split
    many = assign_splits(placed(["b", *["a"] * 50, *["c"] * 20]), CONFIG).split

    assert many[:51].tolist() == few.tolist()


def test_a_cluster_that_the_declaration_tears_is_refused() -> None:
    with pytest.raises(SourceInvalid, match="By set clusters of subjects lie partly"):
        assign_splits(placed(["a", "b", "a"], [1, 1, 2]), CONFIG)


def test_a_declaration_that_nobody_fits_is_refused() -> None:
    with pytest.raises(SourceInvalid, match="Window 1 of the declared split has no test rows"):
        assign_splits(placed(["a"] * 100), CONFIG)

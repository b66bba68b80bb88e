"""Splits by cluster: disjoint, of the asked sizes, and the same whatever else is there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.splits import GroupedSplit, split_by_cluster

CONFIG = GroupedSplit(train=0.7, validation=0.1, test=0.2, seed=0)
clusters = st.lists(st.integers(0, 2**62), min_size=1, max_size=200)


@given(clusters, st.integers(0, 1000))
def test_no_cluster_lies_in_two_splits(ids: list[int], seed: int) -> None:
    config = CONFIG.model_copy(update={"seed": seed})
    cluster = np.array(ids * 2, np.int64)
    split = split_by_cluster(cluster, config)

    for one in set(ids):
        assert len(set(split[cluster == one])) == 1


@given(clusters, clusters)
def test_a_cluster_keeps_its_split_when_others_arrive_or_the_order_changes(
    ids: list[int], others: list[int]
) -> None:
    alone = split_by_cluster(np.array(ids, np.int64), CONFIG)
    among = split_by_cluster(np.array([*others, *reversed(ids)], np.int64), CONFIG)

    assert alone.tolist() == among[len(others) :][::-1].tolist()


@pytest.mark.parametrize("seed", [0, 1, 17])
def test_the_shares_are_met_within_sampling_error(seed: int) -> None:
    split = split_by_cluster(np.arange(20_000), CONFIG.model_copy(update={"seed": seed}))

    shares = np.bincount(split) / split.size
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.012)


def test_another_seed_draws_other_splits() -> None:
    ids = np.arange(1000)
    other = CONFIG.model_copy(update={"seed": 1})

    assert (split_by_cluster(ids, CONFIG) != split_by_cluster(ids, other)).mean() > 0.3


def test_shares_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"is 1\.1, expected 1"):
        GroupedSplit(train=0.7, validation=0.2, test=0.2, seed=0)

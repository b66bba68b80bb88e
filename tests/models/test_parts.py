from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.parts import TrainingImpossible, assign_folds, fold_part, known, released_part
from models.store import SequenceStore
from tests.models.generated_stores import make_store


def store_of(examples: int, seed: int = 0) -> SequenceStore:
    return make_store([1] * examples, seed)


def clusters(store: SequenceStore, rows: np.ndarray) -> set[int]:
    return set(store.cluster[rows].tolist())


def test_the_released_part_is_the_studys_own_split() -> None:
    store = store_of(60)
    part = released_part(store)
    assert (store.split[part.train] == 0).all()
    assert (store.split[part.validation] == 1).all()
    assert len(part.train) + len(part.validation) == int((store.split < 2).sum())


@given(st.integers(200, 300), st.integers(2, 6), st.integers(0, 20))
def test_no_fold_trains_or_stops_on_a_cluster_it_scores(
    examples: int, folds: int, seed: int
) -> None:
    store = store_of(examples, seed)
    fold_of_example = assign_folds(store, folds)
    assert set(fold_of_example.tolist()) == set(range(folds))
    for fold in range(folds):
        part = fold_part(store, fold_of_example, fold)
        scored = np.flatnonzero(fold_of_example == fold)
        parts = [clusters(store, rows) for rows in (part.train, part.validation, scored)]
        assert sum(map(len, parts)) == len(set.union(*parts))  # disjoint
        assert len(part.train) + len(part.validation) + len(scored) == examples


def test_folds_are_about_equal_and_always_the_same() -> None:
    store = replace(store_of(1000), cluster=np.arange(1000))
    folds = assign_folds(store, 5)
    assert np.bincount(folds).tolist() == [200] * 5
    np.testing.assert_array_equal(folds, assign_folds(store, 5))


def test_a_fold_sets_an_eighth_aside() -> None:
    store = replace(store_of(1000), cluster=np.arange(1000))
    part = fold_part(store, assign_folds(store, 5), 2)
    assert len(part.validation) == 100
    assert len(part.train) == 700


def test_examples_outside_every_split_are_in_no_fold() -> None:
    store = store_of(300)
    store = replace(store, split=np.where(np.arange(300) % 3 == 0, -1, store.split).astype(np.int8))
    folds = assign_folds(store, 3)
    assert (folds[::3] == -1).all()
    part = fold_part(store, folds, 0)
    assert (np.concatenate([part.train, part.validation]) % 3 != 0).all()


def test_known_rows_are_those_whose_label_counts() -> None:
    store = replace(
        store_of(4),
        label=np.array([1, np.nan, 0, 1], dtype=np.float32),
        weight=np.array([1, 1, 2, 0], dtype=np.float32),
    )
    assert known(store, np.arange(4)).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("empty_split", "words"), [(0, "training part of released"), (1, "validation part of released")]
)
def test_a_part_with_one_class_cannot_train(empty_split: int, words: str) -> None:
    store = store_of(60)
    label = np.where(store.split == empty_split, 0.0, store.label).astype(np.float32)
    with pytest.raises(TrainingImpossible, match=words):
        released_part(replace(store, label=label))

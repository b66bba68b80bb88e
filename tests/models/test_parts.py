from dataclasses import replace

import numpy as np
import pytest

from models.parts import TrainingImpossible, is_released, known, released_part, window_part
from models.store import SequenceStore
from tests.models.generated_stores import make_store, with_folds


def store_of(examples: int, seed: int = 0) -> SequenceStore:
    return make_store([1] * examples, seed)


def test_the_released_part_is_the_studys_own_split() -> None:
    store = store_of(60)
    part = released_part(store)
    assert (store.split[part.train] == 0).all()
    assert (store.split[part.validation] == 1).all()
    assert len(part.train) + len(part.validation) == int((store.split < 2).sum())


def test_a_windows_part_is_what_the_store_says() -> None:
    store = with_folds(store_of(300), 3)
    for window in range(3):
        part = window_part(store, window)
        assert part.name == f"window_{window}"
        assert (store.windows[window][part.train] == 0).all()
        assert (store.windows[window][part.validation] == 1).all()
        assert len(part.train) + len(part.validation) == int((store.windows[window] < 2).sum())


def test_a_window_of_the_released_models_rows_is_recognised() -> None:
    store = with_folds(store_of(300), 3)
    same = replace(store, split=store.windows[2].copy())
    assert [is_released(same, window) for window in range(3)] == [False, False, True]
    same.split[np.flatnonzero(same.split == 1)[0]] = -1
    assert not is_released(same, 2)


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


@pytest.mark.parametrize("task", ["volatility", "quantiles"])
def test_a_part_with_too_few_labels_cannot_train(task: str) -> None:
    store = make_store([1] * 120, task=task)  # 17 of them judge
    with pytest.raises(TrainingImpossible, match="validation part of released holds"):
        released_part(store)


def test_a_volatility_of_0_cannot_train() -> None:
    store = make_store([1] * 900, task="volatility")
    released_part(store)
    store.label[known(store, np.flatnonzero(store.split == 0))[0]] = 0.0
    with pytest.raises(TrainingImpossible, match="not above 0"):
        released_part(store)

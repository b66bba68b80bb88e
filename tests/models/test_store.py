import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.store import TYPE_OF_ARRAY, SequenceStore, SequencesUnusable, select
from tests.models.generated_stores import make_store, with_folds, write_store
from tests.models.test_batches import read_naively


def test_a_written_store_is_read_back_as_it_was(tmp_path: Path) -> None:
    written = make_store([3, 0, 5])
    read = SequenceStore.open(write_store(written, tmp_path))
    for name in TYPE_OF_ARRAY:
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    for word in ("channels", "statics", "task", "levels", "horizon", "resampling", "other_labels"):
        assert getattr(read, word) == getattr(written, word)
    assert read.lengths.tolist() == [3, 0, 5]


def test_torch_shares_the_memory_of_the_mapped_file(tmp_path: Path) -> None:
    read = SequenceStore.open(write_store(make_store([4, 2]), tmp_path))
    tensor = torch.from_numpy(read.step_days)
    assert tensor.data_ptr() == read.step_days.ctypes.data
    assert isinstance(read.step_days.base, np.memmap)


def test_writing_to_a_tensor_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    directory = write_store(make_store([4, 2]), tmp_path)
    before = (directory / "step_days.npy").read_bytes()
    torch.from_numpy(SequenceStore.open(directory).step_days).fill_(7.0)
    assert (directory / "step_days.npy").read_bytes() == before


@pytest.mark.parametrize("name", sorted(TYPE_OF_ARRAY))
def test_a_missing_or_mistyped_array_is_refused(tmp_path: Path, name: str) -> None:
    directory = write_store(make_store([3, 1]), tmp_path)
    array = np.load(directory / f"{name}.npy")
    np.save(directory / f"{name}.npy", array.astype(np.float16))
    with pytest.raises(SequencesUnusable, match=name):
        SequenceStore.open(directory)
    (directory / f"{name}.npy").unlink()
    with pytest.raises(SequencesUnusable, match=name):
        SequenceStore.open(directory)


@pytest.mark.parametrize(
    "name",
    [
        *("label", "step_days", "observation_value", "static_value", "scale", "label_end_day"),
        *("followed_days", "other_label"),
    ],
)
def test_sizes_that_contradict_each_other_are_refused(tmp_path: Path, name: str) -> None:
    directory = write_store(make_store([3, 1]), tmp_path)
    np.save(directory / f"{name}.npy", np.load(directory / f"{name}.npy")[:-1])
    with pytest.raises(SequencesUnusable, match="contradict"):
        SequenceStore.open(directory)


def test_windows_of_another_number_of_examples_are_refused(tmp_path: Path) -> None:
    directory = write_store(make_store([3, 1]), tmp_path)
    np.save(directory / "windows.npy", np.zeros((2, 3), np.int8))
    with pytest.raises(SequencesUnusable, match="contradict"):
        SequenceStore.open(directory)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "weather"}, "a task or a resampling"),
        ({"resampling": "drawn"}, "a task or a resampling"),
        ({"task": "quantiles", "levels": [0.1, 0.9]}, "levels must ascend"),
        ({"task": "quantiles", "levels": [0.5, 0.1]}, "levels must ascend"),
        ({"task": "quantiles", "levels": [0.5, 1.0]}, "levels must ascend"),
        ({"levels": [0.5]}, "only a task of quantiles"),
        ({"other_labels": ["htn"]}, "contradict"),
    ],
)
def test_words_that_make_no_sense_are_refused(
    change: dict[str, object], words: str, tmp_path: Path
) -> None:
    directory = write_store(make_store([3, 1]), tmp_path)
    said = json.loads((directory / "sequence.json").read_text())
    (directory / "sequence.json").write_text(json.dumps(said | change))
    with pytest.raises(SequencesUnusable, match=words):
        SequenceStore.open(directory)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_that_is_not_above_0_is_refused(scale: float, tmp_path: Path) -> None:
    store = make_store([3, 1])
    store.scale[1] = scale
    with pytest.raises(SequencesUnusable, match="scale"):
        SequenceStore.open(write_store(store, tmp_path))


def test_nobody_is_followed_for_less_than_no_time(tmp_path: Path) -> None:
    store = make_store([3, 1])
    store.followed_days[1] = -1.0
    with pytest.raises(SequencesUnusable, match="less than no time"):
        SequenceStore.open(write_store(store, tmp_path))


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=8), st.integers(0, 99), st.integers(0, 8))
def test_a_selection_holds_its_examples_as_they_were(
    lengths: list[int], seed: int, count: int
) -> None:
    store = make_store(lengths, seed)
    rows = np.random.default_rng(seed).permutation(len(store))[:count]
    alone = select(store, rows)
    alone._check_sizes()
    for new, old in enumerate(rows):
        assert read_naively(alone, new, 99) == read_naively(store, int(old), 99)
        assert alone.subject[new] == store.subject[old]
        assert alone.followed_days[new] == store.followed_days[old]
        np.testing.assert_array_equal(alone.static_value[new], store.static_value[old])
        np.testing.assert_array_equal(alone.other_label[new], store.other_label[old])
    days = [store.step_days[store.step_offsets[r] : store.step_offsets[r + 1]] for r in rows]
    np.testing.assert_array_equal(alone.step_days, np.concatenate([*days, np.empty(0)]))


def test_unreadable_words_are_refused(tmp_path: Path) -> None:
    directory = write_store(make_store([3, 1]), tmp_path)
    (directory / "sequence.json").write_text(json.dumps({"channels": []}))
    with pytest.raises(SequencesUnusable, match=r"sequence\.json"):
        SequenceStore.open(directory)


@pytest.mark.parametrize("name", sorted(TYPE_OF_ARRAY))
def test_the_fingerprint_changes_with_any_number(tmp_path: Path, name: str) -> None:
    store = with_folds(make_store([3, 1]), 2)
    changed = np.array(getattr(store, name))
    changed.flat[-1] = changed.flat[-1] + 1 if not np.isnan(changed.flat[-1]) else 0
    fingerprint = store.fingerprint()
    setattr_frozen(store, name, changed)
    assert store.fingerprint() != fingerprint


def setattr_frozen(store: SequenceStore, name: str, value: object) -> None:
    object.__setattr__(store, name, value)

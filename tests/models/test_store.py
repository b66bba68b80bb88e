import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.store import TYPE_OF_ARRAY, SequenceStore, SequencesUnusable
from tests.models.generated_stores import make_store, write_store


def test_a_written_store_is_read_back_as_it_was(tmp_path: Path) -> None:
    written = make_store([3, 0, 5])
    read = SequenceStore.open(write_store(written, tmp_path))
    for name in TYPE_OF_ARRAY:
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert (read.channels, read.statics, read.horizon_days) == (
        written.channels,
        written.statics,
        written.horizon_days,
    )
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
    np.save(directory / f"{name}.npy", array.astype(np.float64))
    with pytest.raises(SequencesUnusable, match=name):
        SequenceStore.open(directory)
    (directory / f"{name}.npy").unlink()
    with pytest.raises(SequencesUnusable, match=name):
        SequenceStore.open(directory)


@pytest.mark.parametrize("name", ["label", "step_days", "observation_value", "static_value"])
def test_sizes_that_contradict_each_other_are_refused(tmp_path: Path, name: str) -> None:
    directory = write_store(make_store([3, 1]), tmp_path)
    np.save(directory / f"{name}.npy", np.load(directory / f"{name}.npy")[:-1])
    with pytest.raises(SequencesUnusable, match="contradict"):
        SequenceStore.open(directory)


def test_unreadable_words_are_refused(tmp_path: Path) -> None:
    directory = write_store(make_store([3, 1]), tmp_path)
    (directory / "sequence.json").write_text(json.dumps({"channels": []}))
    with pytest.raises(SequencesUnusable, match=r"sequence\.json"):
        SequenceStore.open(directory)


@pytest.mark.parametrize("name", sorted(TYPE_OF_ARRAY))
def test_the_fingerprint_changes_with_any_number(tmp_path: Path, name: str) -> None:
    store = make_store([3, 1])
    changed = np.array(getattr(store, name))
    changed.flat[-1] = changed.flat[-1] + 1 if not np.isnan(changed.flat[-1]) else 0
    fingerprint = store.fingerprint()
    setattr_frozen(store, name, changed)
    assert store.fingerprint() != fingerprint


def setattr_frozen(store: SequenceStore, name: str, value: object) -> None:
    object.__setattr__(store, name, value)

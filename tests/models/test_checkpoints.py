import json
from pathlib import Path

import pytest
import torch

from models.checkpoints import Checkpoint, read_latest, write_checkpoint


def checkpoint(number: int, fingerprint: str = "mine") -> Checkpoint:
    tensors = {"weight": torch.full((2, 3), float(number)), "step": torch.tensor(number)}
    return Checkpoint(tensors, {"fingerprint": fingerprint, "number": number})


def number_found(directory: Path, fingerprint: str = "mine") -> int | None:
    found = read_latest(directory, fingerprint)
    return found.progress["number"] if found else None


def test_the_newest_checkpoint_is_read_back_whole(tmp_path: Path) -> None:
    for number in range(1, 4):
        write_checkpoint(tmp_path, number, checkpoint(number))
    found = read_latest(tmp_path, "mine")
    assert found is not None
    assert found.progress == {"fingerprint": "mine", "number": 3}
    assert torch.equal(found.tensors["weight"], torch.full((2, 3), 3.0))
    assert int(found.tensors["step"]) == 3


def test_two_checkpoints_are_kept(tmp_path: Path) -> None:
    for number in range(1, 13):
        write_checkpoint(tmp_path, number, checkpoint(number))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "000011.json",
        "000011.safetensors",
        "000012.json",
        "000012.safetensors",
    ]


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert read_latest(tmp_path / "absent", "mine") is None


@pytest.mark.parametrize("name", ["000002.safetensors", "000002.json"])
@pytest.mark.parametrize("kept", [0, 1, 40, -1])
def test_a_checkpoint_cut_short_is_ignored(tmp_path: Path, name: str, kept: int) -> None:
    write_checkpoint(tmp_path, 1, checkpoint(1))
    write_checkpoint(tmp_path, 2, checkpoint(2))
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:kept])
    assert number_found(tmp_path) == 1


def test_a_checkpoint_with_one_flipped_bit_is_ignored(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 1, checkpoint(1))
    write_checkpoint(tmp_path, 2, checkpoint(2))
    content = bytearray((tmp_path / "000002.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "000002.safetensors").write_bytes(bytes(content))
    assert number_found(tmp_path) == 1


@pytest.mark.parametrize("name", ["000002.safetensors", "000002.json"])
def test_a_checkpoint_without_its_other_file_is_ignored(tmp_path: Path, name: str) -> None:
    write_checkpoint(tmp_path, 1, checkpoint(1))
    write_checkpoint(tmp_path, 2, checkpoint(2))
    (tmp_path / name).unlink()
    assert number_found(tmp_path) == 1


def test_a_draft_left_by_a_kill_is_ignored_and_overwritten(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 1, checkpoint(1))
    (tmp_path / ".000002.json.draft").write_bytes(b'{"sha256": "')
    assert number_found(tmp_path) == 1
    write_checkpoint(tmp_path, 2, checkpoint(2))
    assert number_found(tmp_path) == 2


def test_another_trainings_checkpoint_is_ignored(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 1, checkpoint(1))
    write_checkpoint(tmp_path, 2, checkpoint(2, "another's"))
    assert number_found(tmp_path) == 1
    assert number_found(tmp_path, "nobody's") is None


def test_json_of_another_shape_is_ignored(tmp_path: Path) -> None:
    write_checkpoint(tmp_path, 1, checkpoint(1))
    (tmp_path / "000002.json").write_text(json.dumps(["sha256"]))
    assert number_found(tmp_path) == 1

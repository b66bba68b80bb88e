"""Checkpoints that are whole or absent: safetensors and JSON, written, synced, then renamed.

Of several processes that train together the first writes, and none goes on before all have read.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor, device
from torch.optim import Optimizer

from models.distributed import leads, wait_for_all

KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """What a training needs to go on: every tensor it changes, and where it stands."""

    tensors: dict[str, Tensor]
    progress: dict[str, Any]


def write_checkpoint(directory: Path, number: int, checkpoint: Checkpoint) -> None:
    """Add checkpoint `number`; the one before it is kept in case this one is lost.

    The JSON is written last and names the sha256 of the tensors: without it, or with another
    hash, the checkpoint does not exist.
    """
    if leads():
        _write(directory, number, checkpoint)
    wait_for_all()


def read_latest(directory: Path, fingerprint: str) -> Checkpoint | None:
    """The newest whole checkpoint whose progress carries `fingerprint`; None if there is none."""
    newest_first = map(_read, sorted(directory.glob("*.json"), reverse=True))
    ours = (one for one in newest_first if one and one.progress.get("fingerprint") == fingerprint)
    found = next(ours, None)
    wait_for_all()  # nobody writes before all have read: they read the same
    return found


def _write(directory: Path, number: int, checkpoint: Checkpoint) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    content = save({name: one.contiguous() for name, one in checkpoint.tensors.items()})
    write_atomically(directory / f"{number:06d}.safetensors", content)
    words = {"sha256": hashlib.sha256(content).hexdigest(), "progress": checkpoint.progress}
    write_atomically(directory / f"{number:06d}.json", json.dumps(words).encode())
    for old in sorted(directory.glob("*.json"))[:-KEPT]:
        old.unlink()
        old.with_suffix(".safetensors").unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Readers see the old file or the new one, after a power cut too."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """What the optimiser remembers: `optimizer.<parameter's number>.<what>`."""
    return {
        f"optimizer.{number}.{name}": value
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    """Have it remember `<parameter's number>.<what>`, the names without their kind."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, what = name.split(".", 1)
        state.setdefault(int(number), {})[what] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


def by_kind(tensors: dict[str, Tensor], where: device) -> dict[str, dict[str, Tensor]]:
    """Kind -> the rest of the name -> tensor, of names such as `network.line.bias`."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        kind, rest = name.split(".", 1)
        parts.setdefault(kind, {})[rest] = tensor.to(where)
    return parts


def _read(path: Path) -> Checkpoint | None:
    try:
        words = json.loads(path.read_bytes())
        content = path.with_suffix(".safetensors").read_bytes()
        if hashlib.sha256(content).hexdigest() != words["sha256"]:
            return None
        return Checkpoint(load(content), words["progress"])
    except (OSError, ValueError, KeyError, TypeError):
        return None

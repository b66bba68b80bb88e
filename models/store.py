"""The sequence store as memory-mapped arrays: ragged, never padded, never copied."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

TYPE_OF_ARRAY: dict[str, type[np.generic]] = {
    "step_offsets": np.int64,
    "observation_offsets": np.int64,
    "step_days": np.float32,
    "observation_channel": np.int32,
    "observation_value": np.float32,
    "static_value": np.float32,
    "label": np.float32,
    "weight": np.float32,
    "split": np.int8,
    "cluster": np.int64,
}
TRAIN, VALIDATION, TEST, NO_SPLIT = 0, 1, 2, -1


class SequencesUnusable(Exception):
    """The directory is not a sequence store that this code can read."""


@dataclass(frozen=True)
class Channel:
    """One thing that can be observed: `kind` is "numeric" or "event" (a code without a value)."""

    code: str
    kind: str


@dataclass(frozen=True)
class SequenceStore:
    """E examples of S time steps of O observations in flat arrays; offsets say what is whose.

    Attributes:
        step_offsets: [E + 1] example i owns the steps step_offsets[i]:step_offsets[i + 1].
        observation_offsets: [S + 1] likewise for a step's observations.
        step_days: [S] days relative to the index time, <= 0, ascending within an example.
        observation_channel: [O] channel number.
        observation_value: [O] raw value, 1 for an event, never NaN.
        static_value: [E, F] raw value, NaN where unknown.
        label: [E] 1 or 0, NaN where censored.
        weight: [E] inverse probability of not being censored, 0 where censored.
        split: [E] 0 train, 1 validation, 2 test, -1 none.
        cluster: [E] matched set: examples that must stay together in a split or fold.
    """

    step_offsets: npt.NDArray[np.int64]
    observation_offsets: npt.NDArray[np.int64]
    step_days: npt.NDArray[np.float32]
    observation_channel: npt.NDArray[np.int32]
    observation_value: npt.NDArray[np.float32]
    static_value: npt.NDArray[np.float32]
    label: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32]
    split: npt.NDArray[np.int8]
    cluster: npt.NDArray[np.int64]
    channels: tuple[Channel, ...]
    statics: tuple[str, ...]
    horizon_days: int

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Map the arrays of `directory`; nothing is read until it is used.

        Raises:
            SequencesUnusable: a file is missing, or its type or size contradicts another's.
        """
        arrays = {name: _map(directory / f"{name}.npy", t) for name, t in TYPE_OF_ARRAY.items()}
        try:
            words = json.loads((directory / "sequence.json").read_text())
            store = cls(
                **arrays,
                channels=tuple(Channel(c["code"], c["kind"]) for c in words["channels"]),
                statics=tuple(words["statics"]),
                horizon_days=int(words["horizon_days"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SequencesUnusable(f"{directory / 'sequence.json'} is not readable") from error
        store._check_sizes()
        return store

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """[E] time steps of each example."""
        return np.diff(self.step_offsets)

    def __len__(self) -> int:
        return len(self.step_offsets) - 1

    def fingerprint(self) -> str:
        """Sha256 over every array and word: equal exactly when the content is."""
        digest = hashlib.sha256()
        for name in TYPE_OF_ARRAY:
            array = np.ascontiguousarray(getattr(self, name))
            digest.update(f"{name}{array.shape}".encode())
            digest.update(array.data)
        words = [[(c.code, c.kind) for c in self.channels], self.statics, self.horizon_days]
        digest.update(json.dumps(words).encode())
        return digest.hexdigest()

    def _check_sizes(self) -> None:
        examples, steps = len(self), len(self.step_days)
        per_example = (self.label, self.weight, self.split, self.cluster)
        fits = (
            self.step_offsets[0] == 0
            and self.step_offsets[-1] == steps
            and len(self.observation_offsets) == steps + 1
            and self.observation_offsets[-1] == len(self.observation_value)
            and len(self.observation_channel) == len(self.observation_value)
            and self.static_value.shape == (examples, len(self.statics))
            and all(len(array) == examples for array in per_example)
        )
        if not fits:
            raise SequencesUnusable("the sizes of the store's arrays contradict each other")


def _map(path: Path, kind: type[np.generic]) -> npt.NDArray[Any]:
    try:
        # "c" is private to this process: torch may share the memory, the file stays as it is.
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SequencesUnusable(f"{path} is not readable") from error
    if array.dtype != kind:
        raise SequencesUnusable(f"{path} holds {array.dtype}, not {np.dtype(kind)}")
    return np.asarray(array)

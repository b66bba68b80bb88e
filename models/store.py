"""The sequence store as memory-mapped arrays: ragged, never padded, never copied."""

import hashlib
import json
from dataclasses import dataclass, replace
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
    "scale": np.float32,
    "subject": np.int64,
    "index_day": np.float64,
    "label_end_day": np.float64,
    "followed_days": np.float32,
    "other_label": np.float32,
    "windows": np.int8,
}
TASKS = ("risk", "direction", "volatility", "quantiles")
PROBABILITIES = ("risk", "direction")
RESAMPLINGS = ("none", "cross_fitted", "walk_forward")
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
        label: [E] what came true, in the task's unit (1 or 0 for a probability), NaN where unknown.
        weight: [E] inverse probability of not being censored, 0 where unknown.
        split: [E] 0 train, 1 validation, 2 test, -1 none.
        cluster: [E] examples that belong together: a matched set, or a block of time.
        scale: [E] > 0, what a naive observer would take as the unit of the label.
        subject: [E] whose example it is.
        index_day: [E] the index time, in days since 1970-01-01 UTC.
        label_end_day: [E] when the label is decided and known, likewise; NaN where unknown.
        followed_days: [E] how long the example was followed without the event, from the day the
            horizon begins: to the event; for the whole horizon where the label is 0, a competing
            event included (whoever had one can have no event any more and stays at risk: the
            subdistribution of Fine & Gray 1999); to the loss where it was lost; NaN where unknown.
        other_label: [E, A] 1 or 0 by the study's other outcomes, NaN where unknown; A may be 0.
        windows: [W, E] each window's 0 train, 1 validation, 2 test, -1 none; W may be 0.
        task: what is predicted, one of TASKS.
        levels: of the quantiles, ascending, .5 among them; empty for any other task.
        horizon: how far the label looks ahead, such as "1826 days" or "5 sessions".
        resampling: how the windows came about, one of RESAMPLINGS.
        other_labels: names of the other outcomes.
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
    scale: npt.NDArray[np.float32]
    subject: npt.NDArray[np.int64]
    index_day: npt.NDArray[np.float64]
    label_end_day: npt.NDArray[np.float64]
    followed_days: npt.NDArray[np.float32]
    other_label: npt.NDArray[np.float32]
    windows: npt.NDArray[np.int8]
    channels: tuple[Channel, ...]
    statics: tuple[str, ...]
    task: str
    levels: tuple[float, ...]
    horizon: str
    resampling: str
    other_labels: tuple[str, ...]

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
                task=words["task"],
                levels=tuple(float(level) for level in words["levels"]),
                horizon=words["horizon"],
                resampling=words["resampling"],
                other_labels=tuple(words["other_labels"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SequencesUnusable(f"{directory / 'sequence.json'} is not readable") from error
        store._check_sizes()
        store._check_words()
        return store

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """[E] time steps of each example."""
        return np.diff(self.step_offsets)

    @property
    def horizon_days(self) -> float:
        """The horizon of a task whose labels look ahead by days.

        Raises:
            SequencesUnusable: it is told in another unit.
        """
        count, _, unit = self.horizon.partition(" ")
        if unit not in ("day", "days") or not count.isdecimal():
            raise SequencesUnusable(f"a horizon of {self.horizon} is no number of days")
        return float(count)

    def __len__(self) -> int:
        return len(self.step_offsets) - 1

    def fingerprint(self) -> str:
        """Sha256 over every array and word: equal exactly when the content is."""
        digest = hashlib.sha256()
        for name in TYPE_OF_ARRAY:
            array = np.ascontiguousarray(getattr(self, name))
            digest.update(f"{name}{array.shape}".encode())
            digest.update(array.data)
        words = [
            [(c.code, c.kind) for c in self.channels],
            self.statics,
            (self.task, self.levels, self.horizon, self.resampling, self.other_labels),
        ]
        digest.update(json.dumps(words).encode())
        return digest.hexdigest()

    def _check_sizes(self) -> None:
        examples, steps = len(self), len(self.step_days)
        per_example = (
            *(self.label, self.weight, self.split, self.cluster),
            *(self.scale, self.subject, self.index_day, self.label_end_day, self.followed_days),
        )
        fits = (
            self.step_offsets[0] == 0
            and self.step_offsets[-1] == steps
            and len(self.observation_offsets) == steps + 1
            and self.observation_offsets[-1] == len(self.observation_value)
            and len(self.observation_channel) == len(self.observation_value)
            and self.static_value.shape == (examples, len(self.statics))
            and all(len(array) == examples for array in per_example)
            and self.other_label.shape == (examples, len(self.other_labels))
            and self.windows.ndim == 2
            and self.windows.shape[1] == examples
        )
        if not fits:
            raise SequencesUnusable("the sizes of the store's arrays contradict each other")

    def _check_words(self) -> None:
        if self.task not in TASKS or self.resampling not in RESAMPLINGS:
            raise SequencesUnusable("sequence.json names a task or a resampling that is none")
        levels = self.levels
        ascending = list(levels) == sorted(set(levels)) and all(0 < level < 1 for level in levels)
        if self.task == "quantiles" and not (ascending and 0.5 in levels):
            raise SequencesUnusable("the levels must ascend within (0, 1), .5 among them")
        if self.task != "quantiles" and levels:
            raise SequencesUnusable("only a task of quantiles has levels")
        if not (self.scale > 0).all():
            raise SequencesUnusable("the scale of an example is not above 0")
        if (self.followed_days < 0).any():
            raise SequencesUnusable("an example was followed for less than no time")


def select(store: SequenceStore, rows: npt.NDArray[np.int64]) -> SequenceStore:
    """A store of the examples `rows` [R] alone, in that order: all others are deleted."""
    steps = members(store.step_offsets, rows)
    observations = members(store.observation_offsets, steps)
    counts = np.diff(store.observation_offsets)
    per_example = (
        *("static_value", "label", "weight", "split", "cluster"),
        *("scale", "subject", "index_day", "label_end_day", "followed_days", "other_label"),
    )
    return replace(
        store,
        step_offsets=np.concatenate([[0], np.cumsum(store.lengths[rows])]),
        observation_offsets=np.concatenate([[0], np.cumsum(counts[steps])]),
        step_days=store.step_days[steps],
        observation_channel=store.observation_channel[observations],
        observation_value=store.observation_value[observations],
        windows=store.windows[:, rows],
        **{name: getattr(store, name)[rows] for name in per_example},
    )


def members(offsets: npt.NDArray[np.int64], owners: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The numbers of all that the `owners` own, owner by owner."""
    counts = offsets[owners + 1] - offsets[owners]
    first = np.cumsum(counts) - counts
    total = int(counts.sum())
    found: npt.NDArray[np.int64] = np.arange(total) + np.repeat(offsets[owners] - first, counts)
    return found


def _map(path: Path, kind: type[np.generic]) -> npt.NDArray[Any]:
    try:
        # "c" is private to this process: torch may share the memory, the file stays as it is.
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise SequencesUnusable(f"{path} is not readable") from error
    if array.dtype != kind:
        raise SequencesUnusable(f"{path} holds {array.dtype}, not {np.dtype(kind)}")
    return np.asarray(array)

"""Shards of sequences become one store, chunk by chunk: memory does not grow with the examples."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines.example_shards import read_sequences
from pipelines.growing_array import GrowingArray
from pipelines.sequence_channels import keep_channels, share_missing, times_observed
from pipelines.sequences import Int, Sequences

# Observations at a time: some 50 MB of them with their temporary arrays.
CHUNK_OBSERVATIONS = 1_000_000

TYPES = {
    "step_offsets": np.int64,
    "observation_offsets": np.int64,
    "step_days": np.float32,
    "observation_channel": np.int32,
    "observation_value": np.float32,
}


@dataclass(frozen=True)
class Merged:
    """What is told of the merged sequences, per example [E] and in all."""

    lengths: Int
    share_missing: npt.NDArray[np.float32]
    steps: int
    steps_after_index: int
    observations: int
    dropped_observations: int


def observed_among(
    folders: Sequence[Path], among: npt.NDArray[np.bool_], channels: int
) -> npt.NDArray[np.bool_]:
    """[C] which channels any of the examples ``among`` [E], of all shards in turn, observed."""
    counts, first = np.zeros(channels, np.int64), 0
    for sequences in chunks(folders):
        last = first + sequences.step_offsets.size - 1
        counts += times_observed(sequences, among[first:last], channels)
        first = last
    seen: npt.NDArray[np.bool_] = counts > 0
    return seen


def merge_shards(
    folders: Sequence[Path],
    kept: npt.NDArray[np.bool_],
    numeric: npt.NDArray[np.bool_],
    folder: Path,
) -> Merged:
    """Write the sequences of all shards in turn to ``folder``, in the channels ``kept`` [C] alone.

    Args:
        numeric: which of the kept channels have values; the others are marks.
    """
    numbers = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)
    lengths, shares = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    steps = late = observations = dropped = 0
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(GrowingArray(folder / f"{name}.npy", dtype))
            for name, dtype in TYPES.items()
        }
        for name in ("step_offsets", "observation_offsets"):
            files[name].append(np.zeros(1, np.int64))
        for chunk in chunks(folders):
            own = chunk if kept.all() else keep_channels(chunk, numbers)
            for name in ("step_days", "observation_channel", "observation_value"):
                files[name].append(getattr(own, name))
            files["step_offsets"].append(own.step_offsets[1:] + steps)
            files["observation_offsets"].append(own.observation_offsets[1:] + observations)
            lengths.append(np.diff(own.step_offsets))
            shares.append(share_missing(own, numeric))
            steps, late = steps + own.step_days.size, late + int((own.step_days > 0).sum())
            observations += own.observation_value.size
            dropped += chunk.observation_value.size - own.observation_value.size
    return Merged(
        np.concatenate(lengths), np.concatenate(shares), steps, late, observations, dropped
    )


def chunks(folders: Sequence[Path]) -> Iterator[Sequences]:
    """The examples of all shards in turn, about ``CHUNK_OBSERVATIONS`` at a time."""
    for folder in folders:
        whole = read_sequences(folder)
        bounds = whole.observation_offsets[whole.step_offsets]
        wanted = np.arange(CHUNK_OBSERVATIONS, bounds[-1], CHUNK_OBSERVATIONS)
        cuts = np.searchsorted(bounds[:-1], wanted)
        for first, last in pairwise(np.unique([0, *cuts, bounds.size - 1])):
            yield _slice(whole, int(first), int(last))


def _slice(whole: Sequences, first: int, last: int) -> Sequences:
    """The examples ``first:last``."""
    step_offsets = whole.step_offsets[first : last + 1]
    begin, end = int(step_offsets[0]), int(step_offsets[-1])
    observation_offsets = whole.observation_offsets[begin : end + 1]
    low, high = int(observation_offsets[0]), int(observation_offsets[-1])
    return Sequences(
        step_offsets=np.asarray(step_offsets - begin),
        observation_offsets=np.asarray(observation_offsets - low),
        step_days=np.asarray(whole.step_days[begin:end]),
        observation_channel=np.asarray(whole.observation_channel[low:high]),
        observation_value=np.asarray(whole.observation_value[low:high]),
    )

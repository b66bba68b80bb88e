"""Channels of ragged sequences: which were ever observed, and sequences of some of them alone."""

import numpy as np
import numpy.typing as npt

from pipelines.sequences import Int, Sequences


def times_observed(sequences: Sequences, among: npt.NDArray[np.bool_], channels: int) -> Int:
    """[C] how many observations of each channel the examples ``among`` [E] have."""
    bounds = sequences.observation_offsets[sequences.step_offsets]
    chosen = np.repeat(among, np.diff(bounds))
    counts: Int = np.bincount(sequences.observation_channel[chosen], minlength=channels)
    return counts


def keep_channels(sequences: Sequences, numbers: npt.NDArray[np.int32]) -> Sequences:
    """The sequences of the channels that ``numbers`` [C] gives a new number; -1 drops one.

    A time step that is left without an observation is none any more. New numbers keep the order.
    """
    channel = numbers[sequences.observation_channel]
    kept = channel >= 0
    observations = _running(kept)[sequences.observation_offsets]
    stays = np.diff(observations) > 0
    return Sequences(
        step_offsets=_running(stays)[sequences.step_offsets],
        observation_offsets=np.concatenate([[0], observations[1:][stays]]).astype(np.int64),
        step_days=sequences.step_days[stays],
        observation_channel=channel[kept],
        observation_value=sequences.observation_value[kept],
    )


def share_missing(sequences: Sequences, numeric: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Per example: the share of numeric channels (a mask over all) never observed."""
    seen = _seen(sequences, numeric.size)[:, numeric]
    if not numeric.any():
        return np.zeros(len(seen), np.float32)
    missing: npt.NDArray[np.float32] = (1 - seen.mean(axis=1)).astype(np.float32)
    return missing


def _running(flags: npt.NDArray[np.bool_]) -> Int:
    """How many hold before each place, and in all."""
    return np.concatenate([[0], np.cumsum(flags)]).astype(np.int64)


def _seen(sequences: Sequences, channels: int) -> npt.NDArray[np.bool_]:
    """bool [E, C]: did the example ever observe the channel."""
    bounds = sequences.observation_offsets[sequences.step_offsets]
    owner = np.repeat(np.arange(bounds.size - 1), np.diff(bounds))
    seen = np.zeros((bounds.size - 1, channels), np.bool_)
    seen[owner, sequences.observation_channel] = True
    return seen

"""The event table becomes ragged sequences: flat arrays and offsets, never padded.

One sort by one packed integer key (subject, time, channel), statistics by gather; no Python per
row or per subject.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.errors import SourceInvalid

MICROSECONDS_PER_DAY = 86_400_000_000
# Longest first: the coarsest unit that divides every time loses nothing and packs best.
TIME_UNITS_MICROSECONDS = (MICROSECONDS_PER_DAY, 3_600_000_000, 60_000_000, 1_000_000)

Int = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Sequences:
    """E examples, S time steps, O observations. See ``write_sequences`` for the files.

    step_offsets [E+1], observation_offsets [S+1], step_days [S] (days from the index time, <= 0,
    ascending in an example), observation_channel [O] (ascending in a step), observation_value [O].
    """

    step_offsets: Int
    observation_offsets: Int
    step_days: npt.NDArray[np.float32]
    observation_channel: npt.NDArray[np.int32]
    observation_value: npt.NDArray[np.float32]

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class _Sorted:
    """Events in the order (subject, time, channel) and how to find a moment in them."""

    keys: Bits
    values: npt.NDArray[np.float32]
    delay: Int | None
    times: Int
    unit: int
    time_bits: int
    channel_bits: int

    def key(self, subject: Int, time: Int, channel: int) -> Bits:
        time_key = subject.astype(np.uint64) << np.uint64(self.time_bits) | time.astype(np.uint64)
        return time_key << np.uint64(self.channel_bits) | np.uint64(channel)


def gather_sequences(
    events: pl.DataFrame,
    examples: pl.DataFrame,
    channels: Sequence[str],
    lookback_days: int | None = None,
) -> Sequences:
    """What was known of each example at its index time, as time steps of channel observations.

    A step is all that a subject's events of one moment say; several values of one channel in one
    step are averaged, since their order in a file is a tie rule and no information.

    Args:
        events: subject_id, time, known_time (UTC, microseconds), code, numeric_value (f32, null
            for an event without a value, which counts as 1).
        examples: subject_id and index_time, one row per example; subjects may repeat.
        channels: the codes that count, in channel order.
        lookback_days: how far back an example looks; None for all of it.

    Raises:
        SourceInvalid: subjects, moments and channels do not fit one 64-bit key.
    """
    subjects = np.unique(examples["subject_id"].to_numpy())
    ordered = _sort(events, subjects, channels)
    index = examples["index_time"].dt.epoch("us").to_numpy()
    rank = np.searchsorted(subjects, examples["subject_id"].to_numpy())
    start, stop = _windows(ordered, rank, index, lookback_days)
    rows, owner = _ragged_rows(start, stop)
    if ordered.delay is not None:
        known = ordered.delay[rows] <= index[owner]
        rows, owner = rows[known], owner[known]
    return _collapse(ordered, rows, owner, index)


def observed_channels(sequences: Sequences, among: npt.NDArray[np.bool_], channels: int) -> Int:
    """Numbers of the channels that any of the examples ``among`` [E] observed."""
    return np.flatnonzero(_seen(sequences, channels)[among].any(axis=0))


def share_missing(sequences: Sequences, numeric: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Per example: the share of numeric channels (a mask over all) never observed."""
    seen = _seen(sequences, numeric.size)[:, numeric]
    return (1 - seen.mean(axis=1)).astype(np.float32) if numeric.any() else np.zeros(len(seen))


def write_sequences(
    folder: Path,
    sequences: Sequences,
    columns: Mapping[str, npt.NDArray[Any]],
    description: Mapping[str, Any],
) -> None:
    """Write the ragged store: one ``.npy`` per array, for memory maps, and ``sequence.json``.

    ``columns`` holds the arrays with one row per example: static_value, label, weight, split,
    cluster.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in {**sequences.arrays(), **columns}.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    (folder / "sequence.json").write_text(json.dumps(description, indent=1, sort_keys=True))


def select(sequences: Sequences, examples: Int) -> Sequences:
    """The sequences of some examples, in the order given."""
    steps, _ = _ragged_rows(sequences.step_offsets[examples], sequences.step_offsets[examples + 1])
    observations, _ = _ragged_rows(
        sequences.observation_offsets[steps], sequences.observation_offsets[steps + 1]
    )
    return Sequences(
        step_offsets=_offsets(np.diff(sequences.step_offsets)[examples]),
        observation_offsets=_offsets(np.diff(sequences.observation_offsets)[steps]),
        step_days=sequences.step_days[steps],
        observation_channel=sequences.observation_channel[observations],
        observation_value=sequences.observation_value[observations],
    )


def _sort(events: pl.DataFrame, subjects: Int, channels: Sequence[str]) -> _Sorted:
    """Keep the events of ``subjects`` and ``channels``; sort them by one packed key."""
    rank = _rank(events["subject_id"].to_numpy(), subjects)
    channel = _channel_numbers(events["code"], channels)
    keep = (rank >= 0) & (channel >= 0)
    micros = events["time"].dt.epoch("us").to_numpy()[keep]
    known = events["known_time"].dt.epoch("us").to_numpy()[keep]
    ticks, times, unit = _ticks(micros)
    time_bits, channel_bits = _bits(int(ticks.max(initial=0))), _bits(len(channels))
    if _bits(subjects.size) + time_bits + channel_bits > 64:
        raise SourceInvalid(
            f"{subjects.size:,} subjects, {len(times) or int(ticks.max()):,} moments and "
            f"{len(channels):,} channels do not fit one 64-bit sort key.",
            where="build_sequences",
            remedy="Cut the source into shards of fewer subjects.",
        )
    ordered = _Sorted(
        keys=np.empty(0, np.uint64),
        values=np.empty(0, np.float32),
        delay=None,
        times=times,
        unit=unit,
        time_bits=time_bits,
        channel_bits=channel_bits,
    )
    keys = ordered.key(rank[keep], ticks, 0) | channel[keep].astype(np.uint64)
    order = np.argsort(keys, kind="stable")
    value = events["numeric_value"].fill_null(1.0).to_numpy()[keep]
    return _Sorted(
        keys=keys[order],
        values=value[order],
        delay=known[order] if (known > micros).any() else None,
        times=times,
        unit=unit,
        time_bits=time_bits,
        channel_bits=channel_bits,
    )


def _rank(ids: Int, subjects: Int) -> Int:
    """Position of each id in the sorted ``subjects``, -1 where it is none of them."""
    if not subjects.size:
        return np.full(ids.size, -1)
    place = np.minimum(np.searchsorted(subjects, ids), subjects.size - 1)
    return np.where(subjects[place] == ids, place, -1)


def _channel_numbers(codes: pl.Series, channels: Sequence[str]) -> npt.NDArray[np.int32]:
    numbers = {code: number for number, code in enumerate(channels)}
    return (
        codes.cast(pl.String)
        .replace_strict(numbers, default=-1, return_dtype=pl.Int32)
        .fill_null(-1)
        .to_numpy()
    )


def _ticks(micros: Int) -> tuple[Int, Int, int]:
    """Times as small integers: (ticks, moments, unit), without loss.

    Whole units since the first time where one unit divides all of them (``moments`` is then just
    the origin), otherwise the rank among all distinct ``moments`` (unit 0).
    """
    origin = int(micros.min(initial=0)) // MICROSECONDS_PER_DAY * MICROSECONDS_PER_DAY
    since = micros - origin
    for unit in TIME_UNITS_MICROSECONDS:
        if not (since % unit).any():
            return since // unit, np.array([origin]), unit
    moments, ticks = np.unique(micros, return_inverse=True)
    return ticks, moments, 0


def _bits(largest: int) -> int:
    return max(1, int(largest).bit_length())


def _windows(ordered: _Sorted, rank: Int, index: Int, lookback_days: int | None) -> tuple[Int, Int]:
    """First and one-past-last sorted event of each example, by event time."""
    longest = 2**ordered.time_bits - 1
    last = np.minimum(_ticks_until(ordered, index), longest)
    first = np.zeros_like(last)
    if lookback_days is not None:
        first = _ticks_until(ordered, index - lookback_days * MICROSECONDS_PER_DAY) + 1
    start = np.searchsorted(ordered.keys, ordered.key(rank, np.clip(first, 0, longest), 0))
    # A window that ends before the first moment of all (-1) is empty: no key to look for.
    end_key = ordered.key(rank, np.maximum(last, 0), 2**ordered.channel_bits - 1)
    stop = np.searchsorted(ordered.keys, end_key, side="right")
    return start, np.where((last < 0) | (first > longest), start, np.maximum(start, stop))


def _ticks_until(ordered: _Sorted, micros: Int) -> Int:
    """The last tick at or before each moment; -1 before the first."""
    if ordered.unit:
        return np.maximum((micros - ordered.times[0]) // ordered.unit, -1)
    return np.searchsorted(ordered.times, micros, side="right") - 1


def _ragged_rows(start: Int, stop: Int) -> tuple[Int, Int]:
    """All rows of the slices start:stop in turn, and for each row the slice that owns it."""
    length = stop - start
    owner = np.repeat(np.arange(length.size), length)
    begin = np.cumsum(length) - length
    return np.arange(length.sum()) + np.repeat(start - begin, length), owner


def _collapse(ordered: _Sorted, rows: Int, owner: Int, index: Int) -> Sequences:
    """Group sorted events into observations (one channel, one moment) and those into steps."""
    keys = ordered.keys[rows]
    first = _changes(keys, owner)
    value, key, owner = _means(ordered.values[rows], first), keys[first], owner[first]
    channel_mask = np.uint64(2**ordered.channel_bits - 1)
    moment = key >> np.uint64(ordered.channel_bits)
    step = _changes(moment, owner)
    tick = (moment[step] & np.uint64(2**ordered.time_bits - 1)).astype(np.int64)
    micros = ordered.times[0] + tick * ordered.unit if ordered.unit else ordered.times[tick]
    step_owner = owner[step]
    return Sequences(
        step_offsets=_offsets(np.bincount(step_owner, minlength=index.size)),
        observation_offsets=np.append(step, key.size).astype(np.int64),
        step_days=((micros - index[step_owner]) / MICROSECONDS_PER_DAY).astype(np.float32),
        observation_channel=(key & channel_mask).astype(np.int32),
        observation_value=value,
    )


def _changes(keys: Bits, owner: Int) -> Int:
    """Positions where the key or its owner differs from the one before."""
    if not keys.size:
        return np.empty(0, np.int64)
    changed = (keys[1:] != keys[:-1]) | (owner[1:] != owner[:-1])
    return np.concatenate([[0], np.flatnonzero(changed) + 1])


def _means(values: npt.NDArray[np.float32], first: Int) -> npt.NDArray[np.float32]:
    """Mean of each run of values; summed in f64, where a few f32 add up without rounding."""
    if first.size == values.size:
        return values
    counts = np.diff(np.append(first, values.size))
    return (np.add.reduceat(values.astype(np.float64), first) / counts).astype(np.float32)


def _offsets(lengths: Int) -> Int:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _seen(sequences: Sequences, channels: int) -> npt.NDArray[np.bool_]:
    """bool [E, C]: did the example ever observe the channel."""
    step_owner = np.repeat(
        np.arange(sequences.step_offsets.size - 1), np.diff(sequences.step_offsets)
    )
    owner = np.repeat(step_owner, np.diff(sequences.observation_offsets))
    seen = np.zeros((sequences.step_offsets.size - 1, channels), np.bool_)
    seen[owner, sequences.observation_channel] = True
    return seen

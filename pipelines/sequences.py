"""The event table becomes ragged sequences: flat arrays and offsets, never padded.

One sort by one packed integer key (subject, time, channel), statistics by gather; no Python per
row or per subject.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.errors import SourceInvalid

MICROSECONDS_PER_DAY = 86_400_000_000
# Longest first: the coarsest unit that divides every time loses nothing and packs best.
TIME_UNITS_MICROSECONDS = (MICROSECONDS_PER_DAY, 3_600_000_000, 60_000_000, 1_000_000)

# Temporary arrays of this many rows fit the processor's cache and the allocator's free lists.
CHUNK_ROWS = 1_000_000

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
        return {name: getattr(self, name) for name in self.names()}

    @classmethod
    def names(cls) -> list[str]:
        """The names of the arrays."""
        return [field.name for field in fields(cls)]


@dataclass(frozen=True)
class _Sorted:
    """Events in the order (subject, time, channel) and how to find a moment in them."""

    keys: Bits
    values: npt.NDArray[np.float32]
    known: Int | None
    times: Int
    unit: int
    time_bits: int
    channel_bits: int

    def key(self, subject: Int, time: Int, channel: int) -> Bits:
        time_key = subject.astype(np.uint64) << np.uint64(self.time_bits) | time.astype(np.uint64)
        return time_key << np.uint64(self.channel_bits) | np.uint64(channel)

    def key_expression(self) -> pl.Expr:
        """The same key from the columns rank, tick and channel."""
        rank, tick, channel = (pl.col(name).cast(pl.UInt64) for name in ("rank", "tick", "channel"))
        # Multiplied, not shifted: Polars has no shift of bits. The parts do not overlap.
        time_key = rank * 2**self.time_bits + tick
        key: pl.Expr = time_key * 2**self.channel_bits + channel
        return key.alias("key")


def gather_sequences(
    events: pl.DataFrame,
    examples: pl.DataFrame,
    channels: Sequence[str],
    lookback_days: int | None = None,
) -> Sequences:
    """What was known of each example at its index time, as time steps of channel observations.

    A step is all that a subject's events of one moment say. A channel that was stated again later
    (a restated close) speaks by its newest version known at the index time; several values that
    were known at once are averaged, since their order in a file is a tie rule and no information.

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
    keys, values, length = ordered.keys, ordered.values, stop - start
    if length.sum() < keys.size or not np.array_equal(start, _offsets(length)[:-1]):
        rows = _ragged_rows(start, stop)
        keys, values = keys[rows], values[rows]
    if ordered.known is not None:
        owner = np.repeat(np.arange(index.size), length)
        known = ordered.known[_ragged_rows(start, stop)]
        in_time = known <= index[owner]
        keys, values, owner = keys[in_time], values[in_time], owner[in_time]
        newest = _newest_versions(keys, known[in_time], owner)
        keys, values = keys[newest], values[newest]
        length = np.bincount(owner[newest], minlength=index.size)
    return _collapse_in_chunks(ordered, keys, values, length, index)


def write_sequences(
    folder: Path,
    sequences: Sequences,
    columns: Mapping[str, npt.NDArray[Any]],
    description: Mapping[str, Any],
) -> None:
    """Write the ragged store: one ``.npy`` per array, for memory maps, and ``sequence.json``.

    ``columns`` holds the arrays with one row per example: static_value, label, label_end_day,
    scale, weight, split, cluster, subject, index_day, followed_days, other_label [E, A]; and
    ``windows`` [W, E].
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_arrays(folder, {**sequences.arrays(), **columns})
    write_description(folder, description)


def save_arrays(folder: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """One ``.npy`` per array, named like it."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """The words of a store: ``sequence.json``."""
    (folder / "sequence.json").write_text(json.dumps(description, indent=1, sort_keys=True))


def select(sequences: Sequences, examples: Int) -> Sequences:
    """The sequences of some examples, in the order given."""
    steps = _ragged_rows(sequences.step_offsets[examples], sequences.step_offsets[examples + 1])
    observations = _ragged_rows(
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
    ticks, times, unit = _ticks(events["time"].dt.epoch("us").to_numpy())
    ordered = _Sorted(
        keys=np.empty(0, np.uint64),
        values=np.empty(0, np.float32),
        known=None,
        times=times,
        unit=unit,
        time_bits=_bits(int(ticks.max(initial=0))),
        channel_bits=_bits(len(channels)),
    )
    _refuse_too_many_bits(ordered, subjects.size)
    # Asked of each event, not whether any is late: no subject's company decides what it is told.
    apart = bool((events["known_time"] != events["time"]).any())
    staged = events.select(
        "subject_id",
        pl.Series("tick", ticks),
        _channel_numbers(events["code"], channels).alias("channel"),
        pl.col("numeric_value").fill_null(1.0).alias("value"),
        *([pl.col("known_time").dt.epoch("us").alias("known")] if apart else []),
    )
    ranks = pl.DataFrame({"subject_id": subjects, "rank": np.arange(subjects.size)})
    if staged["channel"].min() == -1:
        staged = staged.filter(pl.col("channel") >= 0)
    result = (
        staged.lazy()
        .join(ranks.lazy(), on="subject_id", maintain_order="left")
        .select(ordered.key_expression(), pl.exclude("subject_id", "tick", "channel", "rank"))
        # The stable tie rule: equal keys stay in the order of the event table.
        .sort("key", maintain_order=True)
        .collect()
    )
    return replace(
        ordered,
        keys=result["key"].to_numpy(),
        values=result["value"].to_numpy(),
        known=result["known"].to_numpy() if apart else None,
    )


def _refuse_too_many_bits(ordered: _Sorted, subjects: int) -> None:
    if _bits(subjects) + ordered.time_bits + ordered.channel_bits <= 64:
        return
    raise SourceInvalid(
        f"{subjects:,} subjects, {2**ordered.time_bits:,} moments and "
        f"{2**ordered.channel_bits:,} channels do not fit one 64-bit sort key.",
        where="build_sequences",
        remedy="Cut the source into shards of fewer subjects.",
    )


def _channel_numbers(codes: pl.Series, channels: Sequence[str]) -> pl.Series:
    """Channel number of each code by one gather, -1 for a code that is no channel."""
    categories = codes.cast(pl.Categorical)
    known = pl.Series(channels, dtype=pl.String).cast(pl.Categorical).to_physical().to_numpy()
    physical = categories.to_physical().fill_null(0)
    stated = physical.to_numpy()
    largest = max(int(known.max(initial=0)), int(stated.max(initial=0)))
    numbers = np.full(largest + 1, -1, np.int32)
    numbers[known] = np.arange(known.size, dtype=np.int32)
    return pl.Series(numbers[stated]).set(codes.is_null(), -1)


def _ticks(micros: Int) -> tuple[Int, Int, int]:
    """Times as small integers: (ticks, moments, unit), without loss.

    Whole units since the first time where one unit divides all of them (``moments`` is then just
    the origin), otherwise the rank among all distinct ``moments`` (unit 0).
    """
    earliest = int(micros.min()) if micros.size else 0
    origin = earliest // MICROSECONDS_PER_DAY * MICROSECONDS_PER_DAY
    for unit in TIME_UNITS_MICROSECONDS:
        if not (micros[:1000] % unit).any() and not (micros % unit).any():
            return (micros - origin) // unit, np.array([origin]), unit
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
        ticks: Int = np.maximum((micros - ordered.times[0]) // ordered.unit, -1)
    else:
        ticks = np.searchsorted(ordered.times, micros, side="right") - 1
    return ticks


def _newest_versions(keys: Bits, known: Int, owner: Int) -> npt.NDArray[np.bool_]:
    """Which events of sorted ``keys`` no later-known event of the same example and key replaces."""
    if not keys.size:
        return np.empty(0, np.bool_)
    starts = np.flatnonzero(
        np.concatenate([[True], (keys[1:] != keys[:-1]) | (owner[1:] != owner[:-1])])
    )
    newest = np.maximum.reduceat(known, starts)
    latest: npt.NDArray[np.bool_] = known == np.repeat(
        newest, np.diff(np.append(starts, keys.size))
    )
    return latest


def _ragged_rows(start: Int, stop: Int) -> Int:
    """All rows of the slices start:stop in turn."""
    length = stop - start
    begin = np.cumsum(length) - length
    rows: Int = np.arange(length.sum()) + np.repeat(start - begin, length)
    return rows


def _collapse_in_chunks(
    ordered: _Sorted, keys: Bits, values: npt.NDArray[np.float32], length: Int, index: Int
) -> Sequences:
    """``_collapse`` over chunks of examples: temporary arrays stay small enough to be reused."""
    bounds = _offsets(length)
    cuts = np.searchsorted(bounds, np.arange(CHUNK_ROWS, keys.size, CHUNK_ROWS))
    examples = np.unique(np.concatenate([[0], cuts, [length.size]]))
    return _concatenate(
        [
            _collapse(
                ordered,
                keys[bounds[low] : bounds[high]],
                values[bounds[low] : bounds[high]],
                length[low:high],
                index[low:high],
            )
            for low, high in pairwise(examples)
        ]
        or [_collapse(ordered, keys, values, length, index)]
    )


def _concatenate(parts: Sequence[Sequences]) -> Sequences:
    def joined(name: str) -> npt.NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    return Sequences(
        step_offsets=_offsets(np.concatenate([np.diff(part.step_offsets) for part in parts])),
        observation_offsets=_offsets(
            np.concatenate([np.diff(part.observation_offsets) for part in parts])
        ),
        step_days=joined("step_days"),
        observation_channel=joined("observation_channel"),
        observation_value=joined("observation_value"),
    )


def _collapse(
    ordered: _Sorted, keys: Bits, values: npt.NDArray[np.float32], length: Int, index: Int
) -> Sequences:
    """Group sorted events into observations (one channel, one moment) and those into steps.

    ``length`` [E] counts each example's events in ``keys`` and ``values``.
    """
    first = _starts(keys, _offsets(length)[:-1])
    value, key = _means(values, first), keys if first.size == keys.size else keys[first]
    of_example = np.searchsorted(first, _offsets(length))
    moment = key >> np.uint64(ordered.channel_bits)
    step = _starts(moment, of_example[:-1])
    step_offsets = np.searchsorted(step, of_example)
    tick = (moment[step] & np.uint64(2**ordered.time_bits - 1)).astype(np.int64)
    micros = ordered.times[0] + tick * ordered.unit if ordered.unit else ordered.times[tick]
    micros -= np.repeat(index, np.diff(step_offsets))
    return Sequences(
        step_offsets=step_offsets.astype(np.int64),
        observation_offsets=np.append(step, key.size).astype(np.int64),
        step_days=(micros / MICROSECONDS_PER_DAY).astype(np.float32),
        observation_channel=(key & np.uint64(2**ordered.channel_bits - 1)).astype(np.int32),
        observation_value=value,
    )


def _starts(keys: Bits, of_example: Int) -> Int:
    """Where a run of equal keys begins; a new example begins a run even with the same key."""
    if not keys.size:
        return np.empty(0, np.int64)
    starts = np.empty(keys.size, np.bool_)
    starts[0] = True
    np.not_equal(keys[1:], keys[:-1], out=starts[1:])
    starts[of_example[of_example < keys.size]] = True
    return np.flatnonzero(starts)


def _means(values: npt.NDArray[np.float32], first: Int) -> npt.NDArray[np.float32]:
    """Mean of each run of values; summed in f64, where a few f32 add up without rounding."""
    if first.size == values.size:
        return values
    means = values[first]
    length = np.diff(np.append(first, values.size))
    tied = np.flatnonzero(length > 1)
    runs = values[_ragged_rows(first[tied], first[tied] + length[tied])]
    sums = np.add.reduceat(runs, _offsets(length[tied])[:-1], dtype=np.float64)
    means[tied] = sums / length[tied]
    return means


def _offsets(lengths: Int) -> Int:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)

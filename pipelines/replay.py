"""Truncation replay: delete all that was known later, rebuild, and compare with what was stored."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.examples import Examples
from pipelines.sequences import Sequences, gather_sequences, select
from pipelines.shards import BUCKET_BITS, BUCKETS
from validation.leakage import LeakageCheck, differing_arrays, replay_check

# A leak of one day shows only in subjects with an event on that very day: a small sample has none.
# The sample is drawn bucket by bucket: it is the same however many shards there are.
REPLAYED_PER_BUCKET = 50_000 // BUCKETS
# Where features are computed from other events, all is rebuilt as of this many moments.
CUTS = 24
EXAMPLES_PER_CUT = 500
KEY = ("subject_id", "index_time")
# Polars sums a group in as many parts as it has threads.
ROUNDING = 1e-9

Rows = npt.NDArray[np.int64]
Build = Callable[[pl.DataFrame], tuple[pl.DataFrame, Examples]]
# Feature events, subject_id and index_time -> the static columns that come from these events.
DerivedStatics = Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Stored:
    """What a stage is about to store: examples [E], their sequences, in these channels."""

    examples: Examples
    sequences: Sequences
    channels: list[str]
    lookback_days: int | None


@dataclass(frozen=True)
class Replayed:
    """How many examples were rebuilt, which arrays differed, and as of when it was, in words."""

    examples: int
    differing: list[str]
    how: str

    def check(self) -> LeakageCheck:
        """The verdict on them."""
        return replay_check(self.differing, self.examples, self.how)


def replayed_together(parts: Sequence[Replayed]) -> Replayed:
    """What shards found, as one: their examples are others, their arrays have the same names."""
    return Replayed(
        sum(part.examples for part in parts),
        sorted({name for part in parts for name in part.differing}),
        parts[0].how,
    )


def replay_examples(
    events: pl.DataFrame, stored: Stored, derived_statics: DerivedStatics
) -> Replayed:
    """Rebuild a sample's sequences and static features that come from events, each example from
    its subject's events known at its index time."""
    frame = stored.examples.frame
    sample = _spread_over_buckets(frame["subject_id"].to_numpy())
    # An example stands as a subject of its own, so that one subject may be replayed twice.
    chosen = frame[sample].select(*KEY).with_row_index("replayed").cast({"replayed": pl.Int64})
    truncated = (
        events.join(chosen, on="subject_id", maintain_order="left")
        .filter(
            (pl.col("known_time") <= pl.col("index_time"))
            & (pl.col("time") <= pl.col("index_time"))
        )
        .with_columns(subject_id="replayed")
    )
    own = chosen.select("index_time", subject_id="replayed")
    rebuilt = gather_sequences(truncated, own, stored.channels, stored.lookback_days)
    derived = derived_statics(truncated, own)
    wanted = _numbers(frame[sample].select(derived.columns))
    differing = differing_arrays(
        select(stored.sequences, sample).arrays() | wanted,
        rebuilt.arrays() | _but_for_rounding(_numbers(derived), wanted),
    )
    return Replayed(sample.size, differing, "each as of its own index time")


def _numbers(columns: pl.DataFrame) -> dict[str, npt.NDArray[np.float64]]:
    return {
        f"static {column.name}": column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        for column in columns
    }


def _but_for_rounding(
    rebuilt: Mapping[str, npt.NDArray[np.float64]], stored: Mapping[str, npt.NDArray[np.float64]]
) -> dict[str, npt.NDArray[np.float64]]:
    """What is rebuilt, and as stored where only a sum in another order tells the two apart."""
    return {
        name: np.where(
            np.isclose(stored[name], column, rtol=ROUNDING, atol=ROUNDING), stored[name], column
        )
        for name, column in rebuilt.items()
    }


def replay_cuts(
    events: pl.DataFrame, build: Build, stored: Stored, at: datetime | None = None
) -> Replayed:
    """Rebuild everything as of a few moments (or ``at`` one) from the events known by then.

    Args:
        events: the event table.
        build: events -> the feature events and examples that the stage would make of them.
        stored: what the stage made of all events. Of the examples up to a moment, static
            features, scale, label (where it was known) and a sample of sequences must be the same.
    """
    frame = stored.examples.frame
    found: dict[str, list[npt.NDArray[Any]]] = {}
    wanted: dict[str, list[npt.NDArray[Any]]] = {}
    compared, moments = np.zeros(frame.height, np.bool_), 0
    for moment in [at] if at else _cuts(frame["index_time"]):
        known = events.filter(pl.col("known_time") <= moment)
        features, examples = build(known)
        before = np.flatnonzero((frame["index_time"] <= moment).to_numpy())
        rebuilt = examples.frame.filter(pl.col("index_time") <= moment)
        _add(wanted, _columns(frame[before], stored.examples.statics, moment))
        _add(found, _columns(rebuilt, stored.examples.statics, moment))
        # What a leak of a session or two would change lies at the cut itself: all of it is there.
        at_cut = np.flatnonzero((frame["index_time"] == moment).to_numpy())
        sample = np.union1d(before[_spread(before.size, EXAMPLES_PER_CUT)], at_cut)
        _add(wanted, select(stored.sequences, sample).arrays())
        gathered = gather_sequences(features, frame[sample], stored.channels, stored.lookback_days)
        _add(found, gathered.arrays())
        compared[before], moments = True, moments + 1
    return Replayed(
        int(compared.sum()),
        differing_arrays(_joined(wanted), _joined(found)),
        f"as of {moments:,} moments, sequences of a sample of them",
    )


def _cuts(index_times: pl.Series) -> Iterator[datetime]:
    moments = index_times.unique().sort()
    for place in _spread(moments.len(), CUTS + 1)[:-1]:
        yield moments[int(place)]


def _spread(rows: int, most: int) -> Rows:
    """At most ``most`` row numbers, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, max(rows - 1, 0), min(rows, most)).astype(np.int64))


def _spread_over_buckets(subjects: Rows) -> Rows:
    """Of each bucket at most ``REPLAYED_PER_BUCKET`` row numbers, ascending."""
    bucket = subjects >> BUCKET_BITS
    rows = [np.flatnonzero(bucket == number) for number in np.unique(bucket)]
    chosen = [own[_spread(own.size, REPLAYED_PER_BUCKET)] for own in rows]
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


def _columns(
    frame: pl.DataFrame, statics: tuple[str, ...], moment: datetime
) -> Mapping[str, npt.NDArray[Any]]:
    """Whose examples they are, their static features and scale, and the labels known by then."""
    ordered = frame.sort(KEY)
    known = (pl.col("label_end_time") <= moment).fill_null(value=False)
    label = pl.when(known).then("label").alias("label")
    numbers = ordered.select(*statics, "scale", label).fill_null(np.nan)
    columns = {name: numbers[name].to_numpy() for name in numbers.columns}
    columns["subject_id"] = ordered["subject_id"].to_numpy()
    columns["index_time"] = ordered["index_time"].dt.epoch("us").to_numpy()
    return columns


def _add(parts: dict[str, list[npt.NDArray[Any]]], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    for name, array in arrays.items():
        parts.setdefault(name, []).append(array)


def _joined(parts: Mapping[str, list[npt.NDArray[Any]]]) -> dict[str, npt.NDArray[Any]]:
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}

"""A shard's examples and sequences on disk, and what a shard says of itself."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.examples import Examples, FlowCount, flow_together
from pipelines.replay import Replayed
from pipelines.sequences import Sequences, save_arrays

EXAMPLES = "examples.parquet"
WORDS = "shard.json"
BESIDE = "other_label"


@dataclass(frozen=True)
class ShardWords:
    """What a shard says beside its arrays; ``channels``: (code, kind) in their order.

    ``unknown_observations``: of codes that are no channel. ``beside``: names of the outcomes that
    are learned beside the study's own.
    """

    channels: list[tuple[str, str]]
    statics: tuple[str, ...]
    groups: tuple[str, ...]
    flow: list[FlowCount]
    replayed: Replayed
    unknown_observations: int
    beside: list[str]

    @classmethod
    def read(cls, folder: Path) -> Self:
        raw = json.loads((folder / WORDS).read_text())
        flow = [
            FlowCount(**(step | {"groups": [tuple(count) for count in step["groups"]]}))
            for step in raw["flow"]
        ]
        return cls(
            channels=[(code, kind) for code, kind in raw["channels"]],
            statics=tuple(raw["statics"]),
            groups=tuple(raw["groups"]),
            flow=flow,
            replayed=Replayed(**raw["replayed"]),
            unknown_observations=raw["unknown_observations"],
            beside=raw["beside"],
        )


def write_shard(
    folder: Path,
    frame: pl.DataFrame,
    sequences: Sequences,
    beside: npt.NDArray[np.float32],
    words: ShardWords,
) -> None:
    """Write examples, in the order of subject and index time, and what they saw.

    Args:
        beside: [E, A] labels of other outcomes, NaN where unknown; A may be 0.
    """
    frame.write_parquet(folder / EXAMPLES)
    save_arrays(folder, sequences.arrays() | {BESIDE: beside})
    (folder / WORDS).write_text(json.dumps(asdict(words), indent=1))


def read_sequences(folder: Path) -> Sequences:
    """The sequences of a shard as memory maps: nothing is read before it is used."""
    return Sequences(
        **{
            name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in Sequences.names()
        }
    )


def examples_together(
    folders: Sequence[Path], words: Sequence[ShardWords]
) -> tuple[Examples, npt.NDArray[np.float32]]:
    """The examples of all shards, in the order of the shards, and their labels beside [E, A]."""
    frames = [pl.read_parquet(folder / EXAMPLES) for folder in folders]
    # An empty shard may know a column by no type.
    filled = [frame for frame in frames if frame.height] or frames[:1]
    beside = [np.load(folder / f"{BESIDE}.npy", allow_pickle=False) for folder in folders]
    examples = Examples(
        frame=pl.concat(filled, rechunk=True),
        statics=words[0].statics,
        groups=words[0].groups,
        flow=flow_together([one.flow for one in words]),
    )
    return examples, np.concatenate(beside)


def words_of(folders: Sequence[Path]) -> list[ShardWords]:
    """What each shard says of itself."""
    return [ShardWords.read(folder) for folder in folders]


def numbers_of(columns: pl.DataFrame, rows: int) -> npt.NDArray[np.float32]:
    """[rows, columns] f32, NaN where null; there may be no column."""
    numbers = columns.cast(pl.Float32).fill_null(np.nan).to_numpy()
    return numbers.reshape(rows, columns.width).astype(np.float32)

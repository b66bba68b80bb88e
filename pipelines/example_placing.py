"""Where examples lie, in time and by what their source declares, and what a split promises."""

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.errors import SourceInvalid
from pipelines.splits import (
    NONE,
    Assignment,
    DeclaredSplit,
    Placed,
    SplitSection,
    WalkForward,
)
from validation.leakage import (
    LeakageCheck,
    no_cluster_in_two_splits,
    no_label_reaches_the_next_part,
)

MICROSECONDS_PER_DAY = 86_400_000_000


def place(frame: pl.DataFrame, split: SplitSection | None = None) -> Placed:
    """Cluster, index and label days of examples, and what the source declares of them.

    Raises:
        SourceInvalid: the split goes by an attribute that the source does not give.
    """

    def days(column: str) -> npt.NDArray[np.float64]:
        micros = frame[column].dt.epoch("us").cast(pl.Float64).fill_null(np.nan)
        return micros.to_numpy() / MICROSECONDS_PER_DAY

    return Placed(
        frame["cluster"].to_numpy(),
        days("index_time"),
        days("label_end_time"),
        _declared(frame, split) if isinstance(split, DeclaredSplit) else None,
    )


def placed_nowhere(rows: int) -> Assignment:
    """Of examples that are only scored."""
    return Assignment(np.full(rows, NONE, np.int8), np.empty((0, rows), np.int8), "none")


def split_checks(
    split: SplitSection, frame: pl.DataFrame, placed: Placed, parts: Assignment
) -> list[LeakageCheck]:
    """What the study's kind of split promises."""
    if isinstance(split, WalkForward):
        return [
            no_label_reaches_the_next_part(parts.windows, placed.index_day, placed.label_end_day)
        ]
    return [
        no_cluster_in_two_splits("cluster", placed.cluster, parts.split),
        no_cluster_in_two_splits("subject_id", frame["subject_id"].to_numpy(), parts.split),
    ]


def _declared(frame: pl.DataFrame, split: DeclaredSplit) -> list[str | None]:
    """What the source says of each example's subject, by which the study's parts go."""
    if split.attribute not in frame.columns:
        raise SourceInvalid(
            f"The subjects have no attribute {split.attribute}.",
            where="split.attribute",
            remedy="Name an attribute that the study's source gives its subjects.",
        )
    return frame[split.attribute].cast(pl.String).to_list()

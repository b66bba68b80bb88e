"""Which part an example belongs to: by its cluster, by when it lies, or as its source declares.

A grouped split keeps clusters (patients, matched sets) whole; a walk-forward keeps time in order,
purged: no label of a training row reaches into what the row's window is judged on. Data that come
with a test part of their own keep it. Folds for choosing a model: pipelines/cross_validation.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from pipelines.errors import SourceInvalid

SPLITS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST, NONE = 0, 1, 2, -1
SPLIT_NAMES = {**dict(enumerate(SPLITS)), NONE: "none"}
VALIDATION_SHARE_OF_FOLD = 1 / 8
DAYS_PER_YEAR = 365.25

Days = npt.NDArray[np.float64]
Parts = npt.NDArray[np.int8]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GroupedSplit(_Section):
    """The shares of the three splits, drawn over clusters, and the seed of the draw.

    ``cross_fit_folds``: as many further models, each judged on the clusters it never saw.
    """

    kind: Literal["grouped"] = "grouped"
    train: float = Field(gt=0, lt=1)
    validation: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0)
    cross_fit_folds: int = Field(0, ge=0, le=100)

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"train + validation + test is {total:g}, expected 1")
        if self.cross_fit_folds == 1:
            raise ValueError("cross-fitting needs two folds or more, or 0 for none")
        return self


class DeclaredSplit(_Section):
    """The source says what is for testing: the subjects whose ``attribute`` is one of ``test``.

    Of the others ``validation`` is the share, drawn over clusters, that stops the training.
    """

    kind: Literal["declared"]
    attribute: str = Field(min_length=1, description="an attribute of the source's subjects")
    test: list[str] = Field(min_length=1)
    validation: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0)


class WalkForward(_Section):
    """Windows that move on by ``test_months``: train, then validate, then test, then on.

    ``train_years`` is the length of a rolling window, None of an expanding one. ``embargo_days``
    are left free between the last label of one part and the first index time of the next, beyond
    the purge. Of the training index times every ``train_every``-th is used: neighbouring labels
    overlap and say little new.
    """

    kind: Literal["walk_forward"]
    first_test: date
    test_months: int = Field(ge=1)
    train_years: float | None = Field(None, gt=0)
    validation_days: int = Field(ge=1)
    embargo_days: float = Field(0, ge=0)
    train_every: int = Field(1, ge=1)


def _kind(section: Any) -> str:
    kind = section.get("kind", "grouped") if isinstance(section, dict) else section.kind
    return str(kind)


SplitSection = Annotated[
    Annotated[GroupedSplit, Tag("grouped")]
    | Annotated[DeclaredSplit, Tag("declared")]
    | Annotated[WalkForward, Tag("walk_forward")],
    Discriminator(_kind),
]


@dataclass(frozen=True)
class Placed:
    """When each example lies [E]: days since 1970; ``label_end_day`` is NaN where not known.

    ``declared``: what the source says of the example's subject, where the split goes by that.
    """

    cluster: npt.NDArray[np.int64]
    index_day: Days
    label_end_day: Days
    declared: Sequence[str | None] | None = None


@dataclass(frozen=True)
class Assignment:
    """``split`` [E] is of the released model, ``windows`` [W, E] of those that judge its recipe.

    0 train, 1 validation, 2 test, -1 none. ``resampling``: none, cross_fitted or walk_forward.
    """

    split: Parts
    windows: Parts
    resampling: str


def assign_splits(
    examples: Placed, config: GroupedSplit | DeclaredSplit | WalkForward
) -> Assignment:
    """Give every example its part in every model.

    Raises:
        SourceInvalid: a window has no training, validation or test row, or a declared test part
            tears a cluster.
    """
    if isinstance(config, DeclaredSplit):
        parts = _declared(examples, config)
        require_filled(parts[None], "declared split", "split")
        return Assignment(parts, np.empty((0, parts.size), np.int8), "none")
    if isinstance(config, WalkForward):
        windows = np.stack(list(_walk(examples, config)) or [np.zeros(0, np.int8)])
        _require_windows(windows)
        # The model that is released is that of the newest window: it has a test part too.
        return Assignment(windows[-1], windows, "walk_forward")
    split = split_by_cluster(examples.cluster, config)
    folds = [_fold(examples.cluster, config, fold) for fold in range(config.cross_fit_folds)]
    windows = np.array(folds, np.int8).reshape(len(folds), split.size)
    return Assignment(split, windows, "cross_fitted" if folds else "none")


def split_by_cluster(cluster: npt.NDArray[np.int64], config: GroupedSplit) -> Parts:
    """Split number of each row (0 train, 1 validation, 2 test): equal clusters, equal splits.

    A cluster stays where it is when others arrive or the order changes.
    """
    bounds = np.array([config.train, config.train + config.validation])
    place = cluster_places(cluster, config.seed)
    return np.searchsorted(bounds, place, side="right").astype(np.int8)


def cluster_places(cluster: npt.NDArray[np.int64], seed: int) -> Days:
    """[E] a cluster's place in [0, 1): a seeded hash of its id alone.

    The finaliser of SplitMix64 (Steele, Lea & Flood 2014): it depends on no other row.
    """
    mixed = _mix(cluster.astype(np.uint64) ^ _mix(np.full(1, seed, np.uint64)))
    place: Days = mixed / 2**64
    return place


def _declared(examples: Placed, config: DeclaredSplit) -> Parts:
    if examples.declared is None:
        raise ValueError("a declared split needs what the source says of each subject")
    tested = np.array([value in config.test for value in examples.declared], np.bool_)
    if np.isin(examples.cluster[~tested], examples.cluster[tested]).any():
        raise SourceInvalid(
            f"By {config.attribute} clusters of subjects lie partly in the test part.",
            where="split.attribute",
            remedy="Declare as a test part what holds matched sets and repeated subjects whole.",
        )
    place = cluster_places(examples.cluster, config.seed)
    others = np.where(place < config.validation, VALIDATION, TRAIN)
    return np.where(tested, TEST, others).astype(np.int8)


def _fold(cluster: npt.NDArray[np.int64], config: GroupedSplit, fold: int) -> Parts:
    """The parts of one fold's model: its own clusters are tested, an eighth of the others stops it.

    Folds are drawn over clusters: a matched set is never torn apart.
    """
    folds = config.cross_fit_folds
    of_example = _draw(cluster, np.array([folds], dtype=np.int64)) % folds
    others = np.flatnonzero(of_example != fold)
    rank = _draw(cluster[others], np.array([1_000_003, fold], dtype=np.int64))
    share = rank / (rank.max(initial=0) + 1)
    parts = np.full(cluster.size, TEST, np.int8)
    parts[others] = np.where(share >= VALIDATION_SHARE_OF_FOLD, TRAIN, VALIDATION)
    return parts


def _draw(cluster: npt.NDArray[np.int64], seed: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """For each example its cluster's place in a seeded shuffle of the clusters."""
    clusters, which = np.unique(cluster, return_inverse=True)
    return np.random.default_rng(seed).permutation(len(clusters))[which]


def _walk(examples: Placed, config: WalkForward) -> Iterator[Parts]:
    day, decided = examples.index_day, examples.label_end_day
    chosen = np.searchsorted(np.unique(day), day) % config.train_every == 0
    for begin, end in pairwise(_test_starts(config, float(day.max(initial=-np.inf)))):
        judged_from = begin - config.validation_days
        oldest = (
            -np.inf if config.train_years is None else begin - config.train_years * DAYS_PER_YEAR
        )
        parts = np.full(day.size, NONE, np.int8)
        # A label must be known before the first index time of the part that comes next.
        in_time = decided <= judged_from - config.embargo_days
        parts[(day >= oldest) & (day < judged_from) & in_time & chosen] = TRAIN
        in_time = decided <= begin - config.embargo_days
        parts[(day >= judged_from) & (day < begin) & in_time] = VALIDATION
        parts[(day >= begin) & (day < end)] = TEST
        yield parts


def _test_starts(config: WalkForward, last_day: float) -> list[float]:
    """First day of each test part, and the day after the last one ends."""
    first = config.first_test
    starts: list[float] = []
    while not starts or starts[-1] <= last_day:
        months = first.month - 1 + len(starts) * config.test_months
        month = np.datetime64(f"{first.year + months // 12:04d}-{months % 12 + 1:02d}", "D")
        starts.append(float(month.astype(np.int64)) + first.day - 1)
    return starts


def _require_windows(windows: Parts) -> None:
    if not windows.size:
        raise SourceInvalid(
            "The walk-forward has no window: no example lies after `first_test`.",
            where="split.first_test",
            remedy="Choose a date inside the data.",
        )
    require_filled(windows, "walk-forward", "split")


def require_filled(windows: Parts, of: str, where: str) -> None:
    """Every window [W, E] of ``of`` has rows to learn from, to stop by and to be tested on.

    Raises:
        SourceInvalid: one has not; ``where`` names the section of the study.
    """
    for number, parts in enumerate(windows):
        missing = [name for part, name in enumerate(SPLITS) if not (parts == part).any()]
        if missing:
            raise SourceInvalid(
                f"Window {number + 1} of the {of} has no {' and no '.join(missing)} rows.",
                where=where,
                remedy="Lengthen the parts, take fewer of them, or move `first_test` to where "
                "there is enough history.",
            )


def _mix(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    mixed = bits + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))

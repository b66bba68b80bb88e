"""Folds for choosing a model: of what the study holds out for judging, nothing is ever looked at.

Grouped folds keep clusters whole, stratified ones also balance the labels over the folds. Folds of
time are purged and embargoed (Lopez de Prado 2018, ch. 7): no training label overlaps the time in
which a tested label is decided.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipelines.errors import SourceInvalid
from pipelines.splits import (
    NONE,
    TEST,
    TRAIN,
    VALIDATION,
    VALIDATION_SHARE_OF_FOLD,
    Assignment,
    DeclaredSplit,
    GroupedSplit,
    Parts,
    Placed,
    WalkForward,
    cluster_places,
    require_filled,
)

EMBARGO_SHARE = 0.01
MOST_CLASSES = 10
MOST_WINDOWS = 200

Rows = npt.NDArray[np.bool_]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GroupedFolds(_Section):
    """Clusters drawn into folds of like size, and where stratified of like labels.

    ``validation`` is about the share of a fold's training clusters that stops its training.
    """

    kind: Literal["grouped", "stratified_grouped"]
    folds: int = Field(5, ge=2, le=50)
    validation: float = Field(VALIDATION_SHARE_OF_FOLD, gt=0, le=0.5)
    seed: int = Field(0, ge=0)


class TimeFolds(_Section):
    """The days there are, cut into ``folds`` blocks of as many days each.

    purged: each block is tested by a model of all the others. combinatorial_purged: each choice of
    ``test_folds`` blocks is. walk_forward: each block but the first (then one more is cut) by a
    model of those before it. Training rows are dropped whose label's span overlaps a tested
    block's, or that begin within ``embargo_days`` after it; None is a hundredth of all days. The
    latest ``validation`` share of the training days stops the training; of the other training
    times every ``train_every``-th is used.
    """

    kind: Literal["walk_forward", "purged", "combinatorial_purged"]
    folds: int = Field(5, ge=2, le=50)
    test_folds: int = Field(2, ge=1, description="of combinatorial_purged alone")
    embargo_days: float | None = Field(None, ge=0)
    validation: float = Field(VALIDATION_SHARE_OF_FOLD, gt=0, le=0.5)
    train_every: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _choices_are_few(self) -> Self:
        if self.kind != "combinatorial_purged":
            if "test_folds" in self.model_fields_set:
                raise ValueError("test_folds belongs to the kind combinatorial_purged")
        elif self.test_folds >= self.folds:
            raise ValueError("test_folds must be fewer than folds: something is to learn from")
        elif comb(self.folds, self.test_folds) > MOST_WINDOWS:
            raise ValueError(f"these are more than {MOST_WINDOWS} windows; take fewer folds")
        return self


CrossValidationSection = Annotated[GroupedFolds | TimeFolds, Field(discriminator="kind")]


def default_folds(split: GroupedSplit | DeclaredSplit | WalkForward) -> GroupedFolds | TimeFolds:
    """What suits the study's split: time stays in order of time, clusters are balanced."""
    if isinstance(split, WalkForward):
        return TimeFolds(kind="purged", train_every=split.train_every)
    return GroupedFolds(kind="stratified_grouped", seed=split.seed)


def goes_by_time(
    section: GroupedSplit | DeclaredSplit | WalkForward | GroupedFolds | TimeFolds,
) -> bool:
    """Whether parts are cut by when labels are decided: whose label stays unknown has no part."""
    return isinstance(section, WalkForward | TimeFolds)


def require_decided_in_time(
    split: GroupedSplit | DeclaredSplit | WalkForward,
    folds: GroupedFolds | TimeFolds,
    *,
    head: str,
    learned_beside: Sequence[str],
) -> None:
    """Raises ValueError where a cut by time and what is learned do not go together.

    A purge knows one moment of each row: when the study's own label is decided. Who was lost to
    follow-up has none and is left out, though a hazard learns from them; and an outcome learned
    beside may be decided after it, in the time that is tested.
    """
    cut = [name for name, of in (("split", split), ("cross_validation", folds)) if goes_by_time(of)]
    if cut and head == "hazard":
        raise ValueError(
            f"model.head: {cut[0]} goes by time and leaves out whoever was lost to follow-up, of "
            "whom a hazard learns as well; expected a split and folds by cluster, or another head"
        )
    if cut and learned_beside:
        raise ValueError(
            f"ehr.outcome.also: {cut[0]} goes by time, when the study's own outcome is decided; "
            f"{', '.join(learned_beside)} may be decided later, in the time that is tested; "
            "expected a split and folds by cluster, or no outcome beside"
        )


def cross_validation_windows(
    placed: Placed,
    label: npt.NDArray[np.floating],
    split: Assignment,
    section: GroupedFolds | TimeFolds,
) -> Parts:
    """[W, E] the part of each example in each window: 0 train, 1 validation, 2 test, -1 none.

    What the study holds out is -1 in every window, and decides nothing of the others' parts.

    Args:
        placed: the examples [E].
        label: [E] what came true, NaN where unknown; only stratified folds look at it.
        split: the study's own parts.

    Raises:
        SourceInvalid: a window would have no training, validation or test row.
    """
    chosen = np.flatnonzero(~_set_aside(placed, split))
    own = Placed(placed.cluster[chosen], placed.index_day[chosen], placed.label_end_day[chosen])
    drawn = (
        list(_grouped(own.cluster, np.asarray(label, np.float64)[chosen], section))
        if isinstance(section, GroupedFolds)
        else list(_timed(own, section))
    )
    windows = np.full((len(drawn), placed.cluster.size), NONE, np.int8)
    windows[:, chosen] = np.stack(drawn)
    require_filled(windows, "cross-validation", "cross_validation")
    return windows


def windows_of(sequences: Path, section: GroupedFolds | TimeFolds) -> Parts:
    """``cross_validation_windows`` of the examples of a ``build_sequences`` artefact."""

    def array(name: str) -> npt.NDArray[np.generic]:
        found: npt.NDArray[np.generic] = np.load(sequences / f"{name}.npy", allow_pickle=False)
        return found

    words = json.loads((sequences / "sequence.json").read_text())
    placed = Placed(
        array("cluster").astype(np.int64),
        array("index_day").astype(np.float64),
        array("label_end_day").astype(np.float64),
    )
    parts = Assignment(
        array("split").astype(np.int8), array("windows").astype(np.int8), words["resampling"]
    )
    return cross_validation_windows(placed, array("label").astype(np.float64), parts, section)


def _set_aside(placed: Placed, split: Assignment) -> Rows:
    """[E] what models are judged on, and what is decided in the time of that.

    A walk-forward judges by all of its windows: what any of them tests is held out, and with it
    every row whose label is not known before the first of them.
    """
    if split.resampling != "walk_forward":
        return np.asarray(split.split == TEST)
    held_out = (split.windows == TEST).any(axis=0)
    begin = placed.index_day[held_out].min(initial=np.inf)
    return np.asarray(held_out | ~(placed.label_end_day <= begin))


# ---- clusters ----------------------------------------------------------------------------------


def _grouped(
    cluster: npt.NDArray[np.int64], label: npt.NDArray[np.float64], section: GroupedFolds
) -> Iterator[Parts]:
    strata = _strata(label) if section.kind == "stratified_grouped" else np.zeros(label.size, int)
    fold = _dealt(cluster, strata, section.folds, section.seed)
    for number in range(section.folds):
        others = np.flatnonzero(fold != number)
        # Another seed than the folds': else a fold's validation part would follow its neighbours.
        seed = section.seed + 1_000_003 * (number + 1)
        inner = _dealt(cluster[others], strata[others], round(1 / section.validation), seed)
        parts = np.full(cluster.size, TEST, np.int8)
        parts[others] = np.where(inner == 0, VALIDATION, TRAIN)
        yield parts


def _strata(label: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """[E] the class of each label, or the quarter of all labels it lies in; unknown is one too."""
    known = ~np.isnan(label)
    values = np.unique(label[known])
    cuts = values if values.size <= MOST_CLASSES else np.quantile(label[known], [0.25, 0.5, 0.75])
    strata = np.searchsorted(cuts, np.where(known, label, 0.0))
    return np.where(known, strata, cuts.size + 1)


def _dealt(
    cluster: npt.NDArray[np.int64], strata: npt.NDArray[np.int64], parts: int, seed: int
) -> npt.NDArray[np.int64]:
    """[E] the part of each row's cluster, 0 to ``parts`` - 1, strata balanced over the parts.

    Clusters that hold as many rows of each stratum as another are dealt out in whole rounds, in
    the order of a seeded hash of their ids. What is left over, the largest first, goes where it
    unbalances the shares of the strata least.
    """
    clusters, which = np.unique(cluster, return_inverse=True)
    rows = np.zeros((clusters.size, int(strata.max(initial=0)) + 1), np.int64)  # [C, S]
    np.add.at(rows, (which, strata), 1)
    _, like = np.unique(rows, axis=0, return_inverse=True)
    place = cluster_places(clusters, seed)
    order = np.lexsort((place, like))
    first = np.searchsorted(like[order], like)
    rank = np.empty(clusters.size, np.int64)
    rank[order] = np.arange(clusters.size)
    rank -= first
    in_rounds = rank < np.bincount(like)[like] // parts * parts
    part = np.where(in_rounds, rank % parts, -1)
    left = np.flatnonzero(~in_rounds)
    worth = rows / np.maximum(rows.sum(axis=0), 1)  # [C, S] shares of each stratum
    load = np.zeros((parts, rows.shape[1]))
    for one in left[np.lexsort((place[left], -worth[left].sum(axis=1)))]:
        # Of the squares of all loads the sum grows by 2 load . worth and a constant.
        part[one] = np.argmin(load @ worth[one])
        load[part[one]] += worth[one]
    return part[which]


# ---- time --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Blocks:
    """Which block of days each row [E] lies in, and the embargo after a tested one."""

    placed: Placed
    block: npt.NDArray[np.int64]
    embargo_days: float

    @classmethod
    def cut(cls, placed: Placed, section: TimeFolds) -> Self:
        count = section.folds + (section.kind == "walk_forward")
        days, which = np.unique(placed.index_day, return_inverse=True)
        if days.size < count:
            raise SourceInvalid(
                f"{days.size:,} different days of prediction cannot be cut into {count} blocks.",
                where="cross_validation.folds",
                remedy="Take a kind of grouped folds, which do not go by time.",
            )
        embargo = section.embargo_days
        if embargo is None:
            embargo = EMBARGO_SHARE * float(days[-1] - days[0])
        return cls(placed, which * count // days.size, embargo)

    def apart_from(self, judged: Rows) -> Rows:
        """[E] whose label is decided before the judged rows' time, or who begin after it."""
        day, decided = self.placed.index_day, self.placed.label_end_day
        end = np.fmax(decided[judged], day[judged]).max(initial=-np.inf)
        before = decided <= day[judged].min(initial=np.inf)
        after = (day > end + self.embargo_days) & ~np.isnan(decided)
        shared = np.isin(self.placed.cluster, self.placed.cluster[judged])
        apart: Rows = (before | after) & ~shared
        return apart


def _timed(placed: Placed, section: TimeFolds) -> Iterator[Parts]:
    blocks, day = _Blocks.cut(placed, section), placed.index_day
    on_grid = np.searchsorted(np.unique(day), day) % section.train_every == 0
    for chosen in _choices(section):
        tested = np.isin(blocks.block, chosen)
        usable = ~tested
        if section.kind == "walk_forward":
            usable &= blocks.block < chosen[0]
        for number in chosen:
            usable &= blocks.apart_from(blocks.block == number)
        validation = usable & (day >= _latest(day[usable], section.validation))
        parts = np.full(day.size, NONE, np.int8)
        parts[usable & ~validation & blocks.apart_from(validation) & on_grid] = TRAIN
        parts[validation] = VALIDATION
        parts[tested] = TEST
        yield parts


def _choices(section: TimeFolds) -> list[tuple[int, ...]]:
    """The blocks that each window tests."""
    if section.kind == "combinatorial_purged":
        return list(combinations(range(section.folds), section.test_folds))
    first = int(section.kind == "walk_forward")
    return [(number,) for number in range(first, section.folds + first)]


def _latest(day: npt.NDArray[np.float64], share: float) -> float:
    """The first of the latest ``share`` of the different days; infinity where there are none."""
    days = np.unique(day)
    if not days.size:
        return np.inf
    return float(days[min(int(days.size * (1 - share)), days.size - 1)])

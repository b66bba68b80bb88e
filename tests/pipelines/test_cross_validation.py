"""Folds for choosing models: whole clusters, balanced labels, and time that does not overlap."""

from dataclasses import replace
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pipelines.cross_validation import (
    CrossValidationSection,
    GroupedFolds,
    TimeFolds,
    cross_validation_windows,
    default_folds,
    windows_of,
)
from pipelines.errors import SourceInvalid
from pipelines.sequences import Sequences, write_sequences
from pipelines.splits import (
    Assignment,
    GroupedSplit,
    Placed,
    WalkForward,
    assign_splits,
    split_by_cluster,
)
from tests.pipelines.test_walk_forward import CONFIG as WALK
from tests.pipelines.test_walk_forward import daily

SPLIT = GroupedSplit(train=0.6, validation=0.2, test=0.2, seed=3)
GROUPED = GroupedFolds(kind="grouped", folds=4)
STRATIFIED = GroupedFolds(kind="stratified_grouped", folds=4)
PURGED = TimeFolds(kind="purged", folds=4, embargo_days=3)
TRAIN, VALIDATION, TEST, NONE = 0, 1, 2, -1
Labels = npt.NDArray[np.float64]


def patients(sizes: list[int]) -> Placed:
    """Clusters of these sizes, all seen on day 0."""
    cluster = np.repeat(np.arange(len(sizes)) * 7 + 1, sizes)
    return Placed(cluster, np.zeros(cluster.size), np.full(cluster.size, 9.0))


def nothing_held_out(placed: Placed) -> Assignment:
    rows = placed.cluster.size
    return Assignment(np.zeros(rows, np.int8), np.empty((0, rows), np.int8), "none")


def windows(placed: Placed, label: Labels, section: Any) -> npt.NDArray[np.int8]:
    return cross_validation_windows(placed, label, nothing_held_out(placed), section)


@given(
    sizes=st.lists(st.integers(1, 6), min_size=40, max_size=80),
    positives=st.floats(0.05, 0.6),
    unknown=st.floats(0, 0.3),
    stratified=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_no_cluster_is_torn_the_holdout_is_in_no_window_and_all_others_are_tested_once(
    sizes: list[int], positives: float, unknown: float, stratified: bool, seed: int
) -> None:
    placed, draw = patients(sizes), np.random.default_rng(seed)
    rows = placed.cluster.size
    label = (draw.random(rows) < positives).astype(float)
    label[draw.random(rows) < unknown] = np.nan
    split = split_by_cluster(placed.cluster, SPLIT.model_copy(update={"seed": seed}))
    section = (STRATIFIED if stratified else GROUPED).model_copy(update={"seed": seed})
    study = Assignment(split, np.empty((0, rows), np.int8), "none")

    found = cross_validation_windows(placed, label, study, section)

    assert found.shape == (4, rows)
    assert (found[:, split == TEST] == NONE).all()
    assert ((found == TEST).sum(axis=0) == (split != TEST)).all()
    assert np.isin(found[:, split != TEST], [TRAIN, VALIDATION, TEST]).all()
    for parts in found:
        for cluster in np.unique(placed.cluster):
            assert len(set(parts[placed.cluster == cluster])) == 1


@given(seed=st.integers(0, 1000), other_labels=st.booleans(), section=st.sampled_from("gs"))
def test_neither_the_order_of_rows_nor_what_is_held_out_moves_anybody(
    seed: int, other_labels: bool, section: str
) -> None:
    draw = np.random.default_rng(seed)
    placed, folds = patients(draw.integers(1, 4, 60).tolist()), {"g": GROUPED, "s": STRATIFIED}
    label = (draw.random(placed.cluster.size) < 0.2).astype(float)
    study = Assignment(
        split_by_cluster(placed.cluster, SPLIT),
        np.empty((0, placed.cluster.size), np.int8),
        "none",
    )
    found = cross_validation_windows(placed, label, study, folds[section])

    if other_labels:
        label = np.where(study.split == TEST, 1 - label, label)
    order = draw.permutation(placed.cluster.size)
    shuffled = Placed(placed.cluster[order], placed.index_day[order], placed.label_end_day[order])
    again = cross_validation_windows(
        shuffled,
        label[order],
        Assignment(study.split[order], study.windows[:, order], "none"),
        folds[section],
    )
    assert again.tolist() == found[:, order].tolist()


def test_a_seed_repeats_its_folds_and_another_draws_others() -> None:
    placed = patients([1] * 200)
    label = (np.arange(200) % 5 == 0).astype(float)

    first, again = windows(placed, label, STRATIFIED), windows(placed, label, STRATIFIED)
    other = windows(placed, label, STRATIFIED.model_copy(update={"seed": 1}))
    assert first.tolist() == again.tolist()
    assert (first != other).mean() > 0.3


def test_stratified_folds_share_out_the_positives_where_plain_ones_leave_it_to_chance() -> None:
    # By hand: 40 people, 8 with the outcome; each of 4 folds must hold 10 of which 2 have it.
    placed, label = patients([1] * 40), np.repeat([1.0, 0.0], [8, 32])

    def cases(section: GroupedFolds) -> list[int]:
        found = windows(placed, label, section)
        assert (found == TEST).sum(axis=1).tolist() == [10] * 4
        return [int(label[parts == TEST].sum()) for parts in found]

    assert cases(STRATIFIED) == [2, 2, 2, 2]
    assert cases(GROUPED) != [2, 2, 2, 2]


def test_unlike_clusters_are_put_where_they_unbalance_least() -> None:
    # Four sets of three with one case each, and four of six without: one of each in every fold.
    placed = patients([3, 6] * 4)
    label = np.zeros(36)
    label[np.flatnonzero(np.diff(placed.cluster, prepend=-1))[::2]] = 1.0

    found = windows(placed, label, STRATIFIED.model_copy(update={"validation": 0.4}))
    assert [(int((p == TEST).sum()), int(label[p == TEST].sum())) for p in found] == [(9, 1)] * 4


def test_numbers_are_balanced_by_their_quarters() -> None:
    placed, label = patients([1] * 80), np.arange(80, dtype=float) ** 2

    for parts in windows(placed, label, STRATIFIED):
        quarter = np.arange(80)[parts == TEST] // 20
        assert np.bincount(quarter, minlength=4).tolist() == pytest.approx([5] * 4, abs=1)


times = {
    "days": st.integers(200, 400),
    "label_days": st.floats(0, 12),
    "embargo": st.floats(0, 8),
    "folds": st.integers(3, 6),
    "names": st.integers(1, 3),
}


def overlapping(days: int, label_days: float, names: int, seed: int = 0) -> Placed:
    """Names with one example a day, in clusters of four days; each hundredth label is not known."""
    day = np.repeat(np.arange(days, dtype=np.float64), names)
    order = np.random.default_rng(seed).permutation(day.size)
    day = day[order]
    decided = np.where(np.arange(day.size) % 100 == 50, np.nan, day + label_days)
    return Placed((day // 4).astype(np.int64), day, decided)


def require_apart(placed: Placed, learnt: Any, judged: Any, embargo: float) -> None:
    """By the definition, pair by pair: spans do not overlap, nothing begins in the embargo."""
    day, decided = placed.index_day, placed.label_end_day
    assert not np.isnan(decided[learnt]).any()
    last = np.fmax(decided, day)
    before = decided[learnt][:, None] <= day[judged][None, :]
    after = day[learnt][:, None] > last[judged][None, :] + embargo
    assert (before | after).all()
    assert not np.isin(placed.cluster[learnt], placed.cluster[judged]).any()


@given(**times)
def test_purged_folds_test_each_row_once_and_learn_from_no_overlapping_label(
    days: int, label_days: float, embargo: float, folds: int, names: int
) -> None:
    placed = overlapping(days, label_days, names)
    section = TimeFolds(kind="purged", folds=folds, embargo_days=embargo)
    found = windows(placed, np.zeros(placed.cluster.size), section)

    assert ((found == TEST).sum(axis=0) == 1).all()
    for parts in found:
        for learnt in (TRAIN, VALIDATION):
            require_apart(placed, parts == learnt, parts == TEST, embargo)
        require_apart(placed, parts == TRAIN, parts == VALIDATION, embargo)


@given(**times, chosen=st.integers(1, 2))
def test_combinatorial_windows_test_each_row_in_every_choice_that_holds_its_block(
    days: int, label_days: float, embargo: float, folds: int, names: int, chosen: int
) -> None:
    placed = overlapping(days, label_days, names)
    section = TimeFolds(
        kind="combinatorial_purged", folds=folds, test_folds=chosen, embargo_days=embargo
    )
    found = windows(placed, np.zeros(placed.cluster.size), section)

    assert len(found) == comb(folds, chosen)
    assert ((found == TEST).sum(axis=0) == comb(folds - 1, chosen - 1)).all()
    for parts in found:
        tested = parts == TEST
        runs = np.unique(np.cumsum(np.diff(np.sort(placed.index_day[tested]), prepend=0) > 1))
        assert 1 <= runs.size <= chosen
        # Each run of tested days apart: between two of them there may be training rows.
        starts = np.sort(np.unique(placed.index_day[tested]))
        edges = np.flatnonzero(np.diff(starts, prepend=-9) > 1)
        for days_of_run in np.split(starts, edges[1:]):
            judged = np.isin(placed.index_day, days_of_run)
            for learnt in (TRAIN, VALIDATION):
                require_apart(placed, parts == learnt, judged, embargo)


@given(**times)
def test_walking_folds_learn_from_earlier_rows_alone(
    days: int, label_days: float, embargo: float, folds: int, names: int
) -> None:
    placed = overlapping(days, label_days, names)
    section = TimeFolds(kind="walk_forward", folds=folds, embargo_days=embargo, validation=0.3)
    found = windows(placed, np.zeros(placed.cluster.size), section)

    assert len(found) == folds
    assert ((found == TEST).sum(axis=0) <= 1).all()
    for parts in found:
        tested = placed.index_day[parts == TEST]
        for learnt in (TRAIN, VALIDATION):
            assert placed.label_end_day[parts == learnt].max() <= tested.min()
        assert placed.index_day[parts == TRAIN].max() < placed.index_day[parts == VALIDATION].min()


def test_purged_folds_are_those_counted_by_hand() -> None:
    # 80 days, labels of two days, four blocks of twenty; three days of embargo after the test.
    placed = Placed(np.arange(80), np.arange(80.0), np.arange(80.0) + 2)
    second = windows(placed, np.zeros(80), PURGED.model_copy(update={"validation": 0.2}))[1]

    assert np.flatnonzero(second == TEST).tolist() == list(range(20, 40))
    # Up to day 18 a label is known by day 20; the last tested one is known on day 41, and 3 more.
    learnt = np.flatnonzero((second == TRAIN) | (second == VALIDATION))
    assert learnt[learnt < 20].tolist() == list(range(19))
    assert learnt[learnt > 18].min() == 45
    # Of 54 usable days the last fifth (of 43.2 days on) stops the training; a label of the rest
    # must be known before: day 67 is the last whose is by day 69.
    assert np.flatnonzero(second == VALIDATION).tolist() == list(range(69, 80))
    assert np.flatnonzero(second == TRAIN).max() == 67


def test_every_nth_time_trains_and_all_are_tested() -> None:
    placed = Placed(np.arange(400), np.arange(400.0), np.arange(400.0))
    found = windows(placed, np.zeros(400), PURGED.model_copy(update={"train_every": 5}))

    assert all(set(np.flatnonzero(parts == TRAIN) % 5) == {0} for parts in found)
    assert ((found == TEST).sum(axis=0) == 1).all()


def test_an_embargo_that_is_not_given_is_a_hundredth_of_the_days() -> None:
    placed = Placed(np.arange(401), np.arange(401.0), np.arange(401.0))
    unsaid = TimeFolds(kind="purged", folds=4)

    given_ = windows(placed, np.zeros(401), unsaid.model_copy(update={"embargo_days": 4.0}))
    assert windows(placed, np.zeros(401), unsaid).tolist() == given_.tolist()


def test_models_of_a_walk_forward_are_chosen_before_its_first_test_day() -> None:
    placed = replace(daily(730), cluster=np.arange(730) // 7)
    study = assign_splits(placed, WALK)
    section = TimeFolds(kind="purged", folds=4, embargo_days=1)

    found = cross_validation_windows(placed, np.zeros(730), study, section)

    # Day 365 is the first that is ever tested; labels take five days to be known.
    assert np.flatnonzero((found != NONE).any(axis=0)).tolist() == list(range(361))


def test_what_is_to_be_cut_finer_than_it_has_days_is_refused() -> None:
    with pytest.raises(SourceInvalid, match=r"1 different days .* cannot be cut into 4 blocks"):
        windows(patients([1] * 50), np.zeros(50), PURGED)


def test_too_few_clusters_for_the_folds_are_refused() -> None:
    with pytest.raises(SourceInvalid, match="Window 1 of the cross-validation has no train rows"):
        windows(patients([5, 5]), np.zeros(10), GROUPED)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"kind": "purged", "test_folds": 3}, "test_folds belongs to"),
        ({"kind": "combinatorial_purged", "folds": 3, "test_folds": 3}, "fewer than folds"),
        ({"kind": "combinatorial_purged", "folds": 20, "test_folds": 9}, "more than 200 windows"),
        ({"kind": "grouped", "embargo_days": 3}, "Extra inputs"),
    ],
)
def test_options_that_a_kind_cannot_have_are_refused(section: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(CrossValidationSection).validate_python(section)


def test_folds_that_no_study_names_suit_its_split() -> None:
    walk = WalkForward(**WALK.model_dump() | {"train_every": 5})

    assert default_folds(SPLIT) == GroupedFolds(kind="stratified_grouped", seed=3)
    assert default_folds(walk) == TimeFolds(kind="purged", train_every=5)


def test_a_store_on_disk_has_the_windows_of_its_examples(tmp_path: Path) -> None:
    placed, label = patients([1] * 100), (np.arange(100) % 4 == 0).astype(np.float32)
    parts = assign_splits(placed, SPLIT)
    empty = Sequences(
        *(np.zeros(n, kind) for n, kind in ((101, "i8"), (1, "i8"), (0, "f4"))),
        *(np.zeros(0, kind) for kind in ("i4", "f4")),
    )
    columns = {
        "cluster": placed.cluster,
        "index_day": placed.index_day,
        "label_end_day": placed.label_end_day,
        "label": label,
        "split": parts.split,
        "windows": parts.windows,
    }
    write_sequences(tmp_path, empty, columns, {"resampling": parts.resampling})

    expected = cross_validation_windows(placed, label, parts, STRATIFIED)
    assert windows_of(tmp_path, STRATIFIED).tolist() == expected.tolist()

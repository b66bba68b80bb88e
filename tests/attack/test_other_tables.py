"""Exclusions by group and sizes of splits: whoever knows every total finds no count of 1 to 10."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from pipelines.evidence import _splits_of_people
from validation.data_evidence import FlowStep
from validation.flow import StepCounts, disclosed_flow

MINIMUM = 11
Told = list[tuple[npt.NDArray[np.bool_], int]]
Finest = npt.NDArray[np.int64]


def extreme(cell: npt.NDArray[np.bool_], told: Told, sign: int) -> float:
    """The most (1) or least (-1) that a cell can hold, in whole numbers, given sums of cells."""
    matrix = np.array([mask.ravel() for mask, _ in told], dtype=float)
    sums = np.array([count for _, count in told], dtype=float)
    found = milp(
        -sign * cell.ravel().astype(float),
        constraints=LinearConstraint(matrix, sums, sums),
        integrality=np.ones(cell.size),
        bounds=Bounds(0, np.inf),
    )
    assert found.x is not None
    return float(cell.ravel() @ np.round(found.x))


def leaks(finest: Finest, cells: Told, told: Told, totals: Told) -> list[int]:
    """Small cells of which what is told says more than the totals do, and that they are small."""
    found = []
    for cell, count in cells:
        if not 0 < count < MINIMUM:
            continue
        outside = extreme(cell, totals, 1)
        most = extreme(cell, told, 1) < min(MINIMUM, outside)
        least = outside < MINIMUM and extreme(cell, told, -1) > extreme(cell, totals, -1)
        if most or least:
            found.append(count)
    return found


def cohort(seed: int) -> Finest:
    """Subjects by the step at which they left (last row: who stayed) and level."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(2, 5)), int(rng.integers(2, 5)))
    few = rng.integers(0, 14, shape)
    finest: Finest = np.where(rng.random(shape) < 0.5, few, rng.integers(14, 200, shape))
    return finest


def cells_of(finest: Finest, *, totals: bool) -> Told:
    """Every count of the flow: who left at a step and who remained, by level or of everybody."""
    found: Told = []
    levels: Sequence[int | slice] = [slice(None)] if totals else range(finest.shape[1])
    for i in range(len(finest) - 1):
        for rows in (slice(i, i + 1), slice(i + 1, None)):
            for level in levels:
                mask = np.zeros(finest.shape, dtype=np.bool_)
                mask[rows, level] = True
                found.append((mask, int(finest[mask].sum())))
    return found


def flow_of(finest: Finest) -> tuple[FlowStep, ...]:
    steps = [
        StepCounts(
            step=f"step {i}",
            words="left",
            excluded=int(finest[i].sum()),
            remaining=int(finest[i + 1 :].sum()),
            groups=[
                ("site", f"site {j}", int(finest[i, j]), int(finest[i + 1 :, j].sum()))
                for j in range(finest.shape[1])
            ],
        )
        for i in range(len(finest) - 1)
    ]
    return disclosed_flow(steps, MINIMUM)


def read_off(flow: Sequence[FlowStep], cells: Told) -> Told:
    printed = [
        group.subjects for step in flow for group in (*step.excluded_groups, *step.remaining_groups)
    ]
    told = zip(cells, printed, strict=True)
    return [(mask, shown) for (mask, _), shown in told if shown is not None]


@pytest.mark.parametrize("seed", range(25))
def test_of_who_left_no_small_group_can_be_worked_out(seed: int) -> None:
    finest = cohort(seed)
    cells, totals = cells_of(finest, totals=False), cells_of(finest, totals=True)
    told = read_off(flow_of(finest), cells)
    assert all(finest[mask].sum() == count for mask, count in told)
    assert leaks(finest, cells, [*told, *totals], totals) == []


def test_the_attack_breaks_a_flow_that_hides_the_small_counts_alone() -> None:
    broken = 0
    for seed in range(25):
        finest = cohort(seed)
        cells, totals = cells_of(finest, totals=False), cells_of(finest, totals=True)
        naive = [(mask, count) for mask, count in cells if not 0 < count < MINIMUM]
        broken += bool(leaks(finest, cells, [*naive, *totals], totals))
    assert broken > 12


@pytest.mark.parametrize("seed", range(25))
def test_of_splits_no_small_count_can_be_computed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    finest = np.where(rng.random((3, 3)) < 0.3, rng.integers(0, 12, (3, 3)), 60)
    rows = [
        {"split": f"s{i}", "label": (1, None, 0)[k]}
        for i in range(3)
        for k in range(3)
        for _ in range(finest[i, k])
    ]
    frame = pl.DataFrame(rows, schema={"split": pl.String, "label": pl.Int64})
    told: Told = []
    for one in _splits_of_people(frame, MINIMUM):
        for kinds, count in (
            ((0, 1, 2), one.counts.subjects),
            ((0,), one.counts.positives),
            ((1,), one.counts.censored),
        ):
            mask = np.zeros((3, 3), dtype=np.bool_)
            mask[int(one.split[1:]), list(kinds)] = True
            if count is not None:
                told.append((mask, count))
    totals, cells = [], []
    for k in range(3):
        column = np.zeros((3, 3), dtype=np.bool_)
        column[:, k] = True
        totals.append((column, int(finest[:, k].sum())))
        for i in range(3):
            mask = np.zeros((3, 3), dtype=np.bool_)
            mask[i, k] = True
            cells.append((mask, int(finest[i, k])))
    assert leaks(finest, cells, [*told, *totals], totals) == []

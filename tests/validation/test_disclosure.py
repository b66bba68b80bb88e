"""Small cells cannot be read, nor found by subtraction, by an attacker of another kind."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.validation.audit_examples import policy
from validation.disclosure.cells import Cell, CountArray, Key, extreme, hidden_cells
from validation.disclosure.group_counts import CENSORED, NEGATIVE, POSITIVE, shown_counts

MINIMUM = 11


def margins(shape: tuple[int, int]) -> list[Cell]:
    """A table of two attributes with its row, column and grand totals, all to be published."""
    cells = []
    for i in [*range(shape[0]), None]:
        for j in [*range(shape[1]), None]:
            members = np.zeros(shape, dtype=np.bool_)
            members[slice(None) if i is None else i, slice(None) if j is None else j] = True
            cells.append(Cell((str(i), str(j)), members.ravel(), rank=(i is None) + (j is None)))
    return cells


def naively_hidden(finest: CountArray, cells: Sequence[Cell]) -> set[Key]:
    return {cell.key for cell in cells if 0 < finest[cell.members].sum() < MINIMUM}


def derivable(finest: CountArray, cells: Sequence[Cell], hidden: set[Key]) -> list[Key]:
    """Small cells that are a sum and difference of shown counts (exact linear algebra)."""
    shown = [cell.members for cell in cells if cell.published and cell.key not in hidden]
    matrix = np.array(shown, dtype=np.float64).reshape(len(shown), len(finest))
    rank = np.linalg.matrix_rank(matrix) if shown else 0
    return [
        cell.key
        for cell in cells
        if 0 < finest[cell.members].sum() < MINIMUM
        and np.linalg.matrix_rank(np.vstack([matrix, cell.members])) == rank
    ]


def other_tables(finest: CountArray, cells: Sequence[Cell], hidden: set[Key]) -> Iterator[int]:
    """Every value of the first finest cell in a 2 x 2 table that agrees with all shown counts."""
    shown = [cell for cell in cells if cell.key not in hidden]
    top = int(finest.sum())
    for a in range(top + 1):
        for b in range(top + 1 - a):
            for c in range(top + 1 - a - b):
                table = np.array([a, b, c, top - a - b - c])
                if all(table[cell.members].sum() == finest[cell.members].sum() for cell in shown):
                    yield a


def test_a_table_of_large_cells_is_shown_whole() -> None:
    assert hidden_cells(np.full(6, 50), margins((2, 3)), MINIMUM) == set()


def test_zeros_are_shown_where_they_give_nobody_away() -> None:
    assert hidden_cells(np.array([0, 50, 50, 50, 50, 0]), margins((2, 3)), MINIMUM) == set()


def test_hiding_only_the_small_cell_would_be_undone_by_subtraction() -> None:
    finest, cells = np.array([4, 12, 13, 14]), margins((2, 2))
    naive = naively_hidden(finest, cells)
    assert naive == {("0", "0")}
    assert derivable(finest, cells, naive) == [("0", "0")]
    assert set(other_tables(finest, cells, naive)) == {4}


def test_other_cells_are_hidden_until_the_small_one_could_be_large() -> None:
    finest, cells = np.array([4, 12, 13, 14]), margins((2, 2))
    hidden = hidden_cells(finest, cells, MINIMUM)
    possible = set(other_tables(finest, cells, hidden))
    assert {4, MINIMUM} <= possible
    assert ("None", "None") not in hidden


def test_two_small_cells_that_sum_to_a_small_number_hide_a_third() -> None:
    finest = np.array([2, 3, 60, 70])
    cells = [Cell((str(i),), np.arange(4) == i) for i in range(4)]
    cells.append(Cell(("total",), np.ones(4, dtype=np.bool_), rank=1))
    assert hidden_cells(finest, cells, MINIMUM) == {("0",), ("1",), ("2",)}


def test_a_difference_that_nobody_prints_is_protected_too() -> None:
    # 25 in one table and 20 in the other: 5 are in one and not in the other.
    inner, outer = np.array([True, False]), np.array([True, True])
    cells = [
        Cell(("inner",), inner),
        Cell(("outer",), outer, rank=1),
        Cell(("difference",), ~inner, published=False),
    ]
    assert hidden_cells(np.array([20, 5]), cells, MINIMUM) == {("inner",)}


def test_a_cell_that_could_just_reach_the_minimum_is_protected() -> None:
    parts = [Cell((str(i),), np.arange(3) == i) for i in range(3)]
    total = Cell(("total",), np.array([True, True, False]), rank=1)
    assert hidden_cells(np.array([5, 6, 50]), [*parts, total], MINIMUM) == {("0",), ("1",)}


def test_a_cell_that_nothing_bounds_needs_no_companion() -> None:
    cells = [Cell((str(i),), np.arange(3) == i) for i in range(3)]
    assert hidden_cells(np.array([4, 60, 70]), cells, MINIMUM) == {("0",)}


def test_only_counts_that_the_attack_leans_on_are_hidden() -> None:
    finest = np.array([4, 30, 31, 32, 33, 34, 12, 35, 36])
    hidden = hidden_cells(finest, margins((3, 3)), MINIMUM)
    # Two columns are enough; the third and all totals have nothing to do with it.
    assert {("0", "0"), ("0", "1"), ("2", "0")} <= hidden
    assert {column for _, column in hidden} == {"0", "1"}
    assert "None" not in {row for row, _ in hidden}


def test_counts_that_contradict_each_other_are_not_taken_for_safe() -> None:
    cell = Cell(("0",), np.array([True, False]))
    shown = [Cell(("a",), np.array([True, True])), Cell(("b",), np.array([True, True]))]
    attack = extreme(cell, 1.0, shown, {("a",): 20, ("b",): 90}, np.zeros((0, 2)))
    assert attack.extreme == -float("inf")


def test_a_count_shown_elsewhere_is_not_hidden_here() -> None:
    finest, cells = np.array([4, 12, 13, 14]), margins((2, 2))
    hidden = hidden_cells(finest, cells, MINIMUM, shown_elsewhere={("0", "1"), ("0", "None")})
    assert not hidden & {("0", "1"), ("0", "None")}


def test_a_count_hidden_elsewhere_stays_hidden_here() -> None:
    finest, cells = np.full(4, 50), margins((2, 2))
    assert hidden_cells(finest, cells, MINIMUM, hidden_elsewhere={("0", "1")}) == {("0", "1")}


TABLES = st.lists(st.one_of(st.integers(0, 12), st.integers(0, 80)), min_size=12, max_size=12).map(
    np.array
)


@given(TABLES)
@settings(max_examples=60, deadline=None)
def test_no_small_cell_of_a_table_can_be_derived(finest: CountArray) -> None:
    cells = margins((3, 4))
    assert derivable(finest, cells, hidden_cells(finest, cells, MINIMUM)) == []


def test_the_attacker_of_these_tests_breaks_the_naive_rule() -> None:
    rng = np.random.default_rng(0)
    cells = margins((3, 4))
    broken = 0
    for _ in range(50):
        finest = np.where(rng.random(12) < 0.2, rng.integers(1, 11, 12), rng.integers(20, 90, 12))
        broken += bool(derivable(finest, cells, naively_hidden(finest, cells)))
    assert broken > 25


def subjects(counts: dict[tuple[bool, int, str, str], int]) -> pl.DataFrame:
    rows = [key for key, count in counts.items() for _ in range(count)]
    return pl.DataFrame(
        rows, schema=["in_holdout", "status", "sex", "age_band"], orient="row", strict=False
    )


@pytest.fixture
def few_old_cases() -> pl.DataFrame:
    """Four positives among old women of the holdout; everything else is large."""
    return subjects(
        {
            (part, status, sex, age): 4
            if (part, status, sex, age) == (True, POSITIVE, "f", "old")
            else 40 + 10 * status
            for part in (True, False)
            for status in (POSITIVE, NEGATIVE, CENSORED)
            for sex in ("f", "m")
            for age in ("old", "young")
        }
    )


def test_a_small_number_of_positives_is_hidden_with_a_companion(
    few_old_cases: pl.DataFrame,
) -> None:
    shown = shown_counts(few_old_cases, policy(), ["holdout", "cross_fitted"])
    positives = {key: counts.positives for key, counts in shown.items()}
    assert positives["holdout", "sex & age_band", "f & old"] is None
    hidden = [key for key, count in positives.items() if count is None]
    assert len(hidden) > 1
    assert shown["cross_fitted", "overall", "all"].positives == 284


def test_shown_counts_are_the_true_ones(few_old_cases: pl.DataFrame) -> None:
    shown = shown_counts(few_old_cases, policy(), ["holdout", "cross_fitted"])
    female = shown["cross_fitted", "sex", "f"]
    assert female.censored in (None, 240)
    assert shown["holdout", "overall", "all"].subjects == 564


def test_attributes_without_a_crossing_still_share_their_totals(
    few_old_cases: pl.DataFrame,
) -> None:
    shown = shown_counts(few_old_cases, policy(crossings=[]), ["holdout"])
    assert {key[1] for key in shown} == {"overall", "sex", "age_band"}
    assert shown["holdout", "sex", "f"].positives == 44


def test_where_nothing_can_be_solved_everything_is_hidden_that_may_be() -> None:
    finest, cells = np.array([4, 12, 13, 14]), margins((2, 2))
    contradiction = np.array([[1.0, 1.0, 1.0, 1.0]])
    totals = {("None", "None")}
    hidden = hidden_cells(finest, cells, MINIMUM, shown_elsewhere=totals, ties=contradiction)
    assert hidden == {cell.key for cell in cells} - totals


def test_where_totals_bound_a_cell_the_rest_says_no_more_of_it() -> None:
    # Three in all, all of one kind: that the other kind is empty would tell.
    cells = [Cell(("a",), np.array([True, False])), Cell(("b",), np.array([False, True]))]
    cells.append(Cell(("total",), np.array([True, True]), rank=1))
    hidden = hidden_cells(np.array([3, 0]), cells, MINIMUM, shown_elsewhere={("total",)})
    assert hidden == {("a",), ("b",)}


def test_a_sign_that_there_are_enough_is_hidden_where_it_bounds_a_small_cell() -> None:
    # Of 55, that 50 or more are in b says that at most 5 are in a.
    a, b = np.array([True, False]), np.array([False, True])
    cells = [
        Cell(("a",), a),
        Cell(("b",), b),
        Cell(("total",), a | b, rank=1),
        Cell(("enough of b",), b, at_least=50),
    ]
    found = hidden_cells(np.array([4, 51]), cells, MINIMUM, shown_elsewhere={("total",)})
    assert found == {("a",), ("b",), ("enough of b",)}
    kept = hidden_cells(np.array([40, 51]), cells, MINIMUM, shown_elsewhere={("total",)})
    assert kept == set()

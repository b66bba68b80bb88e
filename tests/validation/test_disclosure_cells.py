"""What is hidden first, and which rates go with a hidden count: by hand, without a program."""

import numpy as np
import polars as pl
import pytest

from tests.validation.audit_examples import gating_line, policy
from validation.disclosure.cells import Cell, hidden_cells
from validation.disclosure.cube import POSITIVE, cells_of, cube_of, empty_cube
from validation.disclosure.group_counts import _linked, _same, _withheld

NO_WORSE = gating_line(line="n", against="best_challenger", at_least=-0.02)
KEY = ("now", "holdout", "sex", "f")
BOTH = {"auroc", "auprc", "brier"}
CALIBRATION = {"calibration_slope", "calibration_intercept", "observed_expected"}
OF_BOTH = BOTH | CALIBRATION | {"net_benefit"}


@pytest.mark.parametrize(
    ("hidden", "withheld"),
    [
        ("enough_positives", OF_BOTH | {"tpr", "ppv"}),
        ("enough_negatives", OF_BOTH | {"fpr"}),
        ("enough_known", {"selection_rate"}),
        ("enough_selected", {"ppv"}),
        ("found", {"tpr", "ppv", "net_benefit"}),
        ("alarms", {"fpr", "net_benefit"}),
        ("selected", {"ppv", "selection_rate"}),
        ("positives", {"tpr", "fpr"}),
        ("subjects", {"fpr", "selection_rate", "net_benefit"}),
        ("censored", {"fpr", "selection_rate", "net_benefit"}),
    ],
)
def test_a_hidden_count_withholds_the_metrics_that_tell_it(hidden: str, withheld: set[str]) -> None:
    assert set(_withheld({(*KEY, hidden)}, KEY)) == withheld


def test_what_is_hidden_of_others_withholds_nothing() -> None:
    assert _withheld({("now", "holdout", "sex", "m", "found")}, KEY) == ()


def test_a_zero_is_hidden_last() -> None:
    # Hiding the 30 protects the 4; nobody hides the zero for it.
    cells = [Cell((str(i),), np.arange(3) == i) for i in range(3)]
    cells.append(Cell(("total",), np.ones(3, dtype=np.bool_), rank=1))
    assert hidden_cells(np.array([4, 0, 30]), cells, 11) == {("0",), ("2",)}


def test_of_one_report_only_what_one_report_holds_is_possible() -> None:
    cube = empty_cube(("sex",), (("f", "m"),))
    # In the holdout 4 choices of positives and of negatives and 1 of the censored; else 2, 2, 1.
    assert int(cube.possible.sum()) == 2 * (9 + 5)
    assert not cube.possible[1:].any()


def test_rates_are_given_up_before_counts_crossings_before_attributes_totals_last() -> None:
    people = pl.DataFrame(
        {"sex": ["f", "m"] * 30, "site": ["a"] * 60, "in_holdout": [True] * 60}
    ).with_columns(status=pl.lit(POSITIVE))
    cube = cube_of(people, ("sex", "site"))

    def rank(names: tuple[str, ...], kind: str) -> int:
        cells = cells_of(cube, names, ["holdout"], least=12)
        return next(cell.rank for cell in cells if cell.key[-1] == kind)

    assert rank((), "subjects") == rank((), "found") == 1
    assert rank(("sex",), "enough_positives") == 0
    assert rank(("sex",), "subjects") == -1
    assert rank(("sex", "site"), "subjects") == -2
    assert rank(("sex",), "found") == -11
    assert rank(("sex",), "selected") == -21


def test_attributes_that_crossings_link_are_counted_in_one_cube() -> None:
    config = policy(
        attributes=["a", "b", "c", "d"], crossings=[["a", "b"], ["b", "c"]], gating=[NO_WORSE]
    )
    assert sorted(_linked(config)) == [("a", "b", "c"), ("d",)]


def test_two_reports_are_the_same_if_levels_and_counts_are() -> None:
    empty, other = (empty_cube(("sex",), (levels,)) for levels in (("f", "m"), ("f", "x")))
    one = empty_cube(("sex",), (("f", "m"),))
    one.counts.flat[0] = 1
    assert _same(empty, empty) is True
    assert _same(empty, other) is False
    assert _same(empty, one) is False

"""Groups, and which metric a group is large enough for."""

import numpy as np
import polars as pl
import pytest

from tests.validation.audit_examples import policy
from validation.groups import (
    Census,
    UnauditableTable,
    census,
    groups_of,
    why_not,
    with_named_levels,
)
from validation.tasks import MetricName

FRAME = pl.DataFrame({"sex": ["f", "m", None, "f"], "age_band": ["old", "old", "young", "young"]})


def test_groups_are_levels_then_crossings_each_with_everybody_else() -> None:
    groups = groups_of(with_named_levels(FRAME, ["sex", "age_band"]), policy())
    assert [(group.attribute, group.level, group.rows.tolist()) for group in groups] == [
        ("sex", "f", [0, 3]),
        ("sex", "m", [1]),
        ("sex", "unknown", [2]),
        ("age_band", "old", [0, 1]),
        ("age_band", "young", [2, 3]),
        ("sex & age_band", "f & old", [0]),
        ("sex & age_band", "f & young", [3]),
        ("sex & age_band", "m & old", [1]),
        ("sex & age_band", "unknown & young", [2]),
    ]
    for group in groups:
        assert sorted([*group.rows, *group.rest]) == [0, 1, 2, 3]


def test_a_source_that_says_unknown_says_as_much_as_one_that_says_nothing() -> None:
    frame = pl.DataFrame({"sex": ["unknown", None, "m"], "age_band": ["old"] * 3})
    groups = groups_of(with_named_levels(frame, ["sex", "age_band"]), policy(crossings=[]))
    assert [(g.level, g.rows.tolist()) for g in groups if g.attribute == "sex"] == [
        ("m", [2]),
        ("unknown", [0, 1]),
    ]


def test_two_crossings_of_one_name_are_refused_and_not_merged() -> None:
    sex, band = ["a & b", "a", "a"], ["c", "b & c", "c"]
    frame = pl.DataFrame({"sex": sex, "age_band": band})
    with pytest.raises(UnauditableTable, match="make one name of two crossings"):
        groups_of(frame, policy())
    # The text alone is no fault: "Oil & Gas" is a level.
    assert len(groups_of(frame.tail(2), policy())) == 5
    assert len(groups_of(frame, policy(crossings=[]))) == 4


def test_an_attribute_without_a_column_is_named() -> None:
    with pytest.raises(ValueError, match=r"\['race'\]"):
        with_named_levels(FRAME, ["sex", "race"])


def test_censored_subjects_are_counted_but_are_neither_events_nor_selected() -> None:
    counted = census(
        y=np.array([1.0, 0.0, 0.0, 0.0]),
        weight=np.array([1.2, 1.0, 0.0, 1.0]),
        score=np.array([0.9, 0.5, 0.9, 0.1]),
        threshold=0.5,
        clusters=np.arange(4),
    )
    assert counted == Census(subjects=4, known=3, positives=1, negatives=2, selected=2)


def test_a_patient_with_six_rows_is_one_positive_and_not_six() -> None:
    counted = census(
        y=np.array([1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]),
        weight=np.ones(7),
        score=np.full(7, 0.9),
        threshold=0.5,
        clusters=np.array([4, 4, 4, 4, 4, 4, 8]),
    )
    assert counted == Census(subjects=7, known=2, positives=1, negatives=2, selected=2)


ENOUGH = Census(subjects=100, known=60, positives=30, negatives=30, selected=30)


@pytest.mark.parametrize("name", ["auroc", "tpr", "fpr", "ppv", "selection_rate", "net_benefit"])
def test_a_census_at_the_minimum_is_enough(name: MetricName) -> None:
    assert why_not(name, ENOUGH, policy()) is None


@pytest.mark.parametrize(
    ("name", "counted", "reason"),
    [
        ("auroc", Census(100, 100, 29, 71, 50), "fewer than 30 positives"),
        ("auroc", Census(100, 100, 71, 29, 50), "fewer than 30 known non-events"),
        ("tpr", Census(100, 100, 29, 71, 50), "fewer than 30 positives"),
        ("tpr", Census(100, 100, 71, 29, 50), None),
        ("fpr", Census(100, 100, 71, 29, 50), "fewer than 30 known non-events"),
        ("fpr", Census(100, 100, 0, 100, 50), None),
        ("ppv", Census(100, 100, 50, 50, 29), "fewer than 30 selected"),
        ("selection_rate", Census(100, 30, 0, 30, 0), None),
        ("selection_rate", Census(100, 29, 0, 29, 0), "fewer than 30 subjects with a known label"),
        ("selection_rate", Census(10, 10, 0, 10, 0), "fewer than 11 subjects"),
    ],
)
def test_a_metric_asks_for_the_subjects_it_needs(
    name: MetricName, counted: Census, reason: str | None
) -> None:
    assert why_not(name, counted, policy()) == reason

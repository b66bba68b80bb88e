"""Two models are compared as each decides, or not at all."""

import numpy as np
import polars as pl
import pytest

from tests.validation.audit_examples import policy, simulated
from tests.validation.test_non_inferiority import worse
from validation.incumbent_decisions import UNKNOWN_DECISIONS, compared_as_decided
from validation.mitigation.mitigated import AT_THRESHOLD
from validation.non_inferiority import compared_with_incumbent
from validation.ranking import FloatArray
from validation.tasks import METRIC_NAMES

POLICY = policy(minimum_positives=20)
STUDY = 0.2
FRAME = simulated(subjects=3000)
OTHERS = worse(FRAME)


def by_sex(female: float, male: float) -> FloatArray:
    return np.where(FRAME["sex"] == "male", male, female)


def net_benefit(frame: pl.DataFrame, limits: FloatArray) -> float:
    """Of the test split, row by row: false alarms cost the odds of the study's threshold."""
    benefit = people = 0.0
    rows = frame.select("split", "label", "weight", "score").iter_rows()
    for (split, y, w, s), limit in zip(rows, limits, strict=True):
        if split == "test" and w > 0:
            people += w
            if s >= limit:
                benefit += w * (1.0 if y else -STUDY / (1.0 - STUDY))
    return benefit / people


@pytest.mark.parametrize(
    ("own", "theirs"),
    [
        (by_sex(0.1, 0.3), by_sex(0.2, 0.2)),
        (by_sex(0.2, 0.2), by_sex(0.3, 0.05)),
        (by_sex(0.15, 0.3), by_sex(0.3, 0.3)),
    ],
    ids=["now by groups", "then by groups", "then at another threshold"],
)
def test_what_a_threshold_decides_is_compared_as_each_model_decides(
    own: FloatArray, theirs: FloatArray
) -> None:
    found = compared_as_decided(FRAME, OTHERS, POLICY, own=own, theirs=theirs)
    expected = net_benefit(FRAME, own) - net_benefit(OTHERS, theirs)
    assert found.differences["holdout"]["net_benefit"].value == pytest.approx(expected, abs=1e-9)
    at_one = compared_with_incumbent(FRAME, OTHERS, POLICY)
    assert at_one.differences["holdout"]["net_benefit"].value != pytest.approx(expected, abs=1e-4)
    for population, metrics in found.differences.items():
        for name in set(METRIC_NAMES) - set(AT_THRESHOLD):
            assert metrics[name] == at_one.differences[population][name]


def test_at_one_threshold_for_all_and_for_both_nothing_is_moved() -> None:
    one = np.full(FRAME.height, STUDY)
    found = compared_as_decided(FRAME, OTHERS, POLICY, own=one, theirs=one)
    assert found == compared_with_incumbent(FRAME, OTHERS, POLICY)


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [(None, UNKNOWN_DECISIONS), (by_sex(0.0, 0.2), "a threshold is not between 0 and 1")],
    ids=["unknown", "no probability"],
)
def test_decisions_that_are_not_known_are_not_compared(
    theirs: FloatArray | None, reason: str
) -> None:
    found = compared_as_decided(FRAME, OTHERS, POLICY, own=by_sex(0.1, 0.3), theirs=theirs)
    for metrics in found.differences.values():
        for name in METRIC_NAMES:
            assert (metrics[name].value is None) == (name in AT_THRESHOLD)
        assert reason in str(metrics["net_benefit"].reason)

"""What a trial reached and which constraints it keeps, by hand."""

from typing import Any

import polars as pl
import pytest

from pipelines.tuning.config import GroupGap, TuningConstraints
from pipelines.tuning.objective import CALIBRATION, CANNOT_TELL, cost, greatest_gap, measure
from tests.validation.audit_examples import policy

GAP = GroupGap(metric="tpr", attribute="sex", at_most=0.2)


def answered(times: int = 12) -> pl.DataFrame:
    """Two folds; women's cases are found (score >= .5) in 3 of 4, men's in 2 of 4.

    Each row stands `times` times, a patient each, so that the audit's minimum is reached.
    """
    sex = ["female"] * 8 + ["male"] * 8
    label = [1, 1, 1, 1, 0, 0, 0, 0] * 2
    score = [0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]
    fold = [0, 1] * 8
    rows = pl.DataFrame({"sex": sex, "label": label, "score": score, "fold": fold})
    return pl.concat([rows] * times).with_columns(
        cluster=pl.int_range(16 * times, dtype=pl.Int64), weight=pl.lit(1.0)
    )


def of_sex(**changes: Any) -> Any:
    return policy().model_copy(
        update={"attributes": ("sex",), "crossings": (), "threshold": 0.5, "minimum_positives": 12}
        | changes
    )


def constraints(**given: Any) -> TuningConstraints:
    return TuningConstraints(group_gaps=(GAP,), **given)


def test_value_gap_and_calibration_are_those_computed_by_hand() -> None:
    found = measure(answered(), of_sex(), constraints(observed_expected=(0.8, 1.25)))
    assert found is not None
    # Fold 0: cases .9 .9 .9 .1 and others .1 .1 .1 .1. Of 16 pairs 12 are right, 4 are ties.
    assert found.by_fold[0] == pytest.approx((12 + 4 / 2) / 16)
    # Fold 1: cases .9 .1 .9 .1 and others .1 .9 .1 .1: 6 right, 8 ties, 2 wrong.
    assert found.by_fold[1] == pytest.approx((6 + 8 / 2) / 16)
    assert found.value == pytest.approx((0.875 + 0.625) / 2)
    assert found.spread == pytest.approx(0.25 / 2**0.5)
    assert cost(found) == -found.value
    # 8 events; the scores add up to 6 x .9 + 10 x .1 = 6.4.
    assert found.told[CALIBRATION] == pytest.approx(8 / 6.4)
    assert found.excess[CALIBRATION] == pytest.approx(0.0, abs=1e-12)
    assert found.told[GAP.name] == pytest.approx(0.25)
    assert found.excess[GAP.name] == pytest.approx(0.05)


def test_a_level_with_too_few_cases_is_not_compared_and_one_alone_cannot_be_told() -> None:
    few_men = answered().filter(
        (pl.col("sex") == "female") | (pl.col("label") == 0) | (pl.col("cluster") < 30)
    )
    assert greatest_gap(answered(), GAP, of_sex()) == pytest.approx(0.25)
    assert greatest_gap(few_men, GAP, of_sex()) is None
    found = measure(few_men, of_sex(), constraints())
    assert found is not None
    assert found.excess == {GAP.name: CANNOT_TELL}


def test_a_fold_without_a_case_gives_no_value() -> None:
    rows = answered().filter((pl.col("fold") == 0) | (pl.col("label") == 0))
    assert measure(rows, of_sex(), TuningConstraints()) is None


def test_unknown_labels_count_for_nothing() -> None:
    unknown = answered().with_columns(label=pl.lit(None, pl.Int64), weight=pl.lit(0.0))
    unknown = unknown.with_columns(pl.col("cluster") + 1000)
    both = pl.concat([answered(), unknown])
    assert measure(both, of_sex(), constraints()) == measure(answered(), of_sex(), constraints())

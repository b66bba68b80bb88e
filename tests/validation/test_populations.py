"""A predictions table that contradicts itself is not audited."""

import polars as pl
import pytest

from tests.validation.audit_examples import CHALLENGERS, policy, simulated
from validation.populations import populations_of


def test_the_holdout_is_the_test_split_and_cross_fitting_is_everybody() -> None:
    frame = simulated(subjects=300)
    holdout, cross_fitted = populations_of(frame, policy(), CHALLENGERS)
    assert (holdout.name, cross_fitted.name) == ("holdout", "cross_fitted")
    assert len(holdout.y) == frame.filter(pl.col("split") == "test").height
    assert len(cross_fitted.y) == 300
    assert cross_fitted.in_holdout.sum() == len(holdout.y)


def test_censored_subjects_weigh_nothing() -> None:
    frame = simulated(subjects=300)
    cross_fitted = populations_of(frame, policy(), CHALLENGERS)[1]
    assert (cross_fitted.weight == 0).sum() == frame["label"].null_count() > 0


def test_each_population_is_judged_by_its_own_scores() -> None:
    frame = simulated(subjects=300).with_columns(
        score_cross_fitted=pl.lit(0.25), prevalence_cross_fitted=pl.lit(0.5)
    )
    holdout, cross_fitted = populations_of(frame, policy(), CHALLENGERS)
    assert set(cross_fitted.score) == {0.25}
    assert set(holdout.challengers["prevalence"]) == {0.15}
    assert set(cross_fitted.challengers["prevalence"]) == {0.5}


@pytest.mark.parametrize(
    "frame",
    [
        simulated(subjects=300).drop("score_cross_fitted"),
        simulated(subjects=300).with_columns(score_cross_fitted=pl.lit(None, pl.Float64)),
    ],
    ids=["no column", "all null"],
)
def test_without_cross_fitted_scores_there_is_only_the_holdout(frame: pl.DataFrame) -> None:
    assert [found.name for found in populations_of(frame, policy(), CHALLENGERS)] == ["holdout"]


def test_cross_fitting_without_its_challengers_has_none() -> None:
    frame = simulated(subjects=300).drop("prevalence_cross_fitted")
    assert list(populations_of(frame, policy(), CHALLENGERS)[1].challengers) == [
        "logistic_regression"
    ]


def first(column: str, value: object, *, where: str = "test") -> pl.Expr:
    """Put a value into the first row of a split."""
    is_first = (pl.col("split") == where).cum_sum().eq(1) & (pl.col("split") == where)
    return pl.when(is_first).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)


LABELLED = simulated(subjects=300).filter(pl.col("label").is_not_null())


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (LABELLED.drop("weight"), r"without columns \['weight'\]"),
        (LABELLED.drop("prevalence"), r"without columns \['prevalence'\]"),
        (LABELLED.drop("age_band"), r"attributes without a column: \['age_band'\]"),
        (LABELLED.with_columns(split=pl.lit("train")), "holdout: no subjects"),
        (LABELLED.with_columns(first("label", 0.5)), "neither 0, 1 nor null"),
        (LABELLED.with_columns(first("label", None)), "must go together"),
        (LABELLED.with_columns(first("weight", 0.0)), "must go together"),
        (LABELLED.with_columns(first("weight", -1.0)), "null, infinite or negative"),
        (LABELLED.with_columns(first("weight", float("inf"))), "null, infinite or negative"),
        (LABELLED.with_columns(first("weight", None)), "null, infinite or negative"),
        (LABELLED.with_columns(first("score", 1.2)), "'score' holds a value that is no prob"),
        (LABELLED.with_columns(first("score", float("nan"))), "'score' holds"),
        (LABELLED.with_columns(first("score", None)), "'score' holds"),
        (LABELLED.with_columns(first("prevalence", None)), "'prevalence' holds"),
        (LABELLED.with_columns(subject_id=pl.lit(1)), "a subject is there twice"),
        (LABELLED.with_columns(first("score_cross_fitted", None)), "not every subject of the hold"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused(frame: pl.DataFrame, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        populations_of(frame, policy(), CHALLENGERS)

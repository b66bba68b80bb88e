"""A new model against the one that stands: on the same subjects, unseen by both."""

import numpy as np
import polars as pl
import pytest

from tests.validation import forecast_examples
from tests.validation.audit_examples import CHALLENGERS, logistic, policy, simulated
from validation.audit import audit_predictions_table
from validation.estimates import Estimate
from validation.incumbent import NO_SUBJECT_IN_COMMON
from validation.metrics import metric
from validation.non_inferiority import (
    OTHER_COLUMNS,
    OTHER_QUESTION,
    compared_with_incumbent,
)
from validation.sampled import NO_SPREAD
from validation.tasks import METRIC_NAMES, MetricName, Task, metric_names


def worse(frame: pl.DataFrame, noise: float = 1.5) -> pl.DataFrame:
    """The same subjects, ranked less well."""
    logit = np.log(frame["score"].to_numpy() / (1 - frame["score"].to_numpy()))
    score = logistic(logit + np.random.default_rng(5).normal(0, noise, len(logit)))
    return frame.with_columns(score=pl.Series(score), score_cross_fitted=pl.Series(score))


def test_a_model_against_itself_differs_by_nothing() -> None:
    frame = simulated()
    found = compared_with_incumbent(frame, frame, policy())
    assert found.stands
    assert set(found.differences) == {"holdout", "cross_fitted"}
    for differences in found.differences.values():
        assert set(differences) == set(METRIC_NAMES)
        for estimate in differences.values():
            assert (estimate.value, estimate.low, estimate.high) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("task", ["volatility", "quantiles", "direction"])
def test_forecasts_against_themselves_differ_by_nothing(task: Task) -> None:
    market = forecast_examples.simulated(task)
    config = forecast_examples.policy(task)
    found = compared_with_incumbent(market, market, config)
    for differences in found.differences.values():
        for estimate in differences.values():
            assert (estimate.value, estimate.low, estimate.high) == (0.0, 0.0, 0.0)


def test_a_model_that_happens_to_select_the_same_subjects_is_not_shown_to_be_as_good() -> None:
    frame, limit = simulated(), policy().selected_from
    # Half as far above, or below, the threshold: other scores, ranks and losses; nobody moves.
    score = np.where(
        frame["subject_id"].to_numpy() % 2, frame["score"], 0.5 * (frame["score"] + limit)
    )
    incumbent = frame.with_columns(score=pl.Series(score), score_cross_fitted=pl.Series(score))
    found = compared_with_incumbent(frame, incumbent, policy()).differences["holdout"]
    decided: tuple[MetricName, ...] = ("tpr", "fpr", "ppv", "selection_rate", "net_benefit")
    for name in decided:
        assert found[name] == Estimate(reason=NO_SPREAD)
    scored: tuple[MetricName, ...] = ("auroc", "brier")
    for name in scored:
        assert (found[name].standard_error or 0.0) > 0


def test_a_better_model_is_shown_to_be_better_and_the_pairing_makes_it_sure() -> None:
    frame = simulated()
    found = compared_with_incumbent(frame, worse(frame), policy())
    audited = audit_predictions_table(frame, policy(), challengers=CHALLENGERS)
    for population in audited:
        gained = found.differences[population.population]["auroc"]
        own = population.overall.metrics["auroc"]
        assert (gained.low or 0.0) > 0
        assert 0 < (gained.standard_error or 0.0) < 1.2 * (own.standard_error or 0.0)


def test_only_subjects_that_both_held_out_are_compared() -> None:
    frame = simulated(subjects=2000)
    # The incumbent learned from every third subject and never heard of the last hundred.
    incumbent = worse(frame).with_columns(
        split=pl.when(pl.col("subject_id") % 3 == 0).then(pl.lit("train")).otherwise("split")
    )
    incumbent = incumbent.head(1900).reverse()
    found = compared_with_incumbent(frame, incumbent, policy()).differences["holdout"]["auroc"]
    both = frame.join(incumbent.select("subject_id", "split", other="score"), on="subject_id")
    both = both.filter((pl.col("split") == "test") & (pl.col("split_right") == "test"))
    y = both["label"].fill_null(0).cast(pl.Float64).to_numpy()
    weight = both["weight"].to_numpy()[None]
    own, other = (
        metric("auroc", y, both[column].to_numpy(), weight, 0.2)[0] for column in ("score", "other")
    )
    assert found.value == pytest.approx(own - other, abs=1e-12)


def test_without_cross_fitted_scores_of_both_only_the_holdout_is_compared() -> None:
    frame = simulated()
    for one, other in [
        (frame.drop("score_cross_fitted"), frame),
        (frame, frame.drop("score_cross_fitted")),
    ]:
        assert set(compared_with_incumbent(one, other, policy()).differences) == {"holdout"}


@pytest.mark.parametrize(
    ("incumbent", "reason"),
    [
        (simulated().with_columns(pl.col("subject_id") + 10_000), NO_SUBJECT_IN_COMMON),
        (simulated().with_columns(split=pl.lit("train")), NO_SUBJECT_IN_COMMON),
        (simulated().with_columns((1 - pl.col("label")).alias("label")), OTHER_QUESTION),
        (simulated().drop("score", "score_cross_fitted"), OTHER_COLUMNS),
        (simulated().with_columns(score=pl.lit(2.0)), "holds a value that is no probability"),
        (pl.concat([simulated(), simulated()]), "a subject is there twice"),
    ],
    ids=["others", "learned from all", "other labels", "no scores", "no probabilities", "twice"],
)
def test_where_nothing_can_be_compared_it_still_stands_and_says_why(
    incumbent: pl.DataFrame, reason: str
) -> None:
    found = compared_with_incumbent(simulated(), incumbent, policy())
    assert found.stands
    assert found.differences == {}
    assert reason in str(found.reason)


def test_a_label_that_became_known_since_is_no_other_question() -> None:
    frame = simulated()
    before = frame.with_columns(
        label=pl.when(pl.col("subject_id") % 7 == 0).then(None).otherwise("label")
    )
    assert compared_with_incumbent(frame, before, policy()).reason is None


@pytest.mark.parametrize("task", ["volatility", "quantiles", "direction"])
def test_forecasts_are_compared_row_by_row(task: Task) -> None:
    market = forecast_examples.simulated(task)
    config = forecast_examples.policy(task)
    reference = forecast_examples.REFERENCES[task]
    # The incumbent is the simple model itself: its differences are those to the challenger.
    names = [name for name in market.columns if name.startswith(reference)]
    incumbent = market.drop([name.replace(reference, "score", 1) for name in names]).rename(
        {name: name.replace(reference, "score", 1) for name in names}
    )
    if task == "quantiles":
        incumbent = incumbent.with_columns(
            score=pl.col("score_q50"), score_walk_forward=pl.col("score_q50_walk_forward")
        )
    found = compared_with_incumbent(market, incumbent.reverse(), config)
    audited = audit_predictions_table(
        market, config, challengers=forecast_examples.CHALLENGERS[task]
    )
    assert found.reason is None
    assert set(found.differences) == {"holdout", "walk_forward"}
    for population in audited:
        differences = found.differences[population.population]
        assert set(differences) == set(metric_names(task))
        challenger = next(one for one in population.challengers if one.name == reference)
        for name, expected in challenger.difference.items():
            assert differences[name] == expected

"""Biases that were planted are shown to be there, or nothing can be told: the gate never opens."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.validation.audit_examples import (
    CHALLENGERS,
    gating_line,
    logistic,
    policy,
    simulated,
    sound_data,
)
from validation.audit import audit_predictions_table
from validation.config import AuditConfig
from validation.evidence import Evidence, GateVerdict, PredictionSource
from validation.gate import judge

LINES: dict[str, dict[str, Any]] = {
    "tpr": gating_line(line="cases found", metric="tpr", group="sex", between=[-0.1, 0.1]),
    "calibration": gating_line(
        line="adds up", metric="observed_expected", group="sex", between=[-0.1, 0.1]
    ),
    "auroc": gating_line(line="ranks", metric="auroc", group="sex", between=[-0.1, 0.1]),
}


def strict(*names: str) -> AuditConfig:
    lines = [LINES[name] for name in names]
    return policy(
        crossings=[],
        bootstrap_draws=100,
        gating=[*lines, gating_line(line="n", against="best_challenger", at_least=-0.05)],
    )


def verdict_on(frame: pl.DataFrame, config: AuditConfig) -> GateVerdict:
    evidence = Evidence(
        study="example",
        intended_use="a test",
        policy=config,
        populations=audit_predictions_table(frame, config, challengers=CHALLENGERS),
        data=sound_data(),
        prediction_source=PredictionSource(key="predict_holdout/00", sha256="0" * 64),
    )
    return judge(evidence, config)


def scores_changed(frame: pl.DataFrame, men: pl.Expr) -> pl.DataFrame:
    """The network's scores of men replaced, in both populations."""
    both = ("score", "score_cross_fitted")
    is_man = pl.col("sex") == "male"
    return frame.with_columns(
        pl.when(is_man).then(men).otherwise(pl.col(name)).alias(name) for name in both
    )


def missed_men() -> pl.DataFrame:
    return simulated(subjects=5000, men_scored_lower=1.5)


def overestimated_men() -> pl.DataFrame:
    return scores_changed(simulated(subjects=5000), pl.col("score") ** 0.3)


def a_proxy() -> pl.DataFrame:
    """Of men the model knows a proxy and not the outcome: their scores are other men's."""
    frame = simulated(subjects=5000)
    shuffled = np.random.default_rng(5).permutation(frame["score"].to_numpy())
    return scores_changed(frame.with_columns(proxy=pl.Series(shuffled)), pl.col("proxy"))


@pytest.mark.parametrize(
    ("frame", "line"),
    [(missed_men(), "tpr"), (overestimated_men(), "calibration"), (a_proxy(), "auroc")],
    ids=["a lowered true positive rate", "miscalibration of one group", "a proxy"],
)
def test_a_planted_bias_is_shown_to_break_its_line(frame: pl.DataFrame, line: str) -> None:
    verdict = verdict_on(frame, strict(line))
    assert verdict.lines[0].verdict == "fail"
    assert (verdict.is_open, verdict.decision) == (False, "close")


@pytest.mark.parametrize("line", LINES)
def test_a_bias_in_few_subjects_cannot_be_told_and_does_not_open(line: str) -> None:
    frame = simulated(subjects=250, men_scored_lower=1.5)
    verdict = verdict_on(frame, strict(line))
    assert verdict.lines[0].verdict == "cannot_tell"
    assert not verdict.is_open


def test_a_group_of_one_is_neither_judged_nor_passed_over() -> None:
    frame = simulated(subjects=4000)
    lone = frame.with_columns(
        sex=pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("other")).otherwise("sex"),
        split=pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("test")).otherwise("split"),
    )
    config = strict("tpr")
    verdict = verdict_on(lone, config)
    assert not verdict.is_open
    populations = audit_predictions_table(lone, config, challengers=CHALLENGERS)
    for population in populations:
        one = next(group for group in population.groups if group.level == "other")
        assert one.counts.subjects is None
        assert all(estimate.value is None for estimate in one.metrics.values())


def test_a_challenger_whose_scores_are_the_label_closes_the_gate() -> None:
    frame = simulated(subjects=4000)
    label = pl.col("label").fill_null(0).cast(pl.Float64)
    liar = frame.with_columns(logistic_regression=label, logistic_regression_cross_fitted=label)
    verdict = verdict_on(liar, strict("tpr"))
    assert verdict.lines[-1].verdict == "fail"


def test_a_network_that_copies_the_best_challenger_passes_no_line_it_would_not_pass_itself() -> (
    None
):
    frame = simulated(subjects=4000, men_scored_lower=2.0)
    copied = frame.with_columns(
        logistic_regression=pl.col("score"), logistic_regression_cross_fitted=pl.col("score")
    )
    verdict = verdict_on(copied, strict("tpr"))
    assert [line.verdict for line in verdict.lines] == ["fail", "pass"]
    assert not verdict.is_open


def test_scores_that_know_nothing_are_shown_to_rank_nobody() -> None:
    rng = np.random.default_rng(3)
    noise = pl.Series(logistic(rng.normal(-1.9, 1.0, 4000)))
    frame = simulated(subjects=4000).with_columns(score=noise, score_cross_fitted=noise)
    config = policy(crossings=[], bootstrap_draws=100)
    assert verdict_on(frame, config).lines[0].verdict == "fail"

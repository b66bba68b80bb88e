"""From a predictions table to a verdict: fair models do not fail, planted harms do."""

import numpy as np
import polars as pl
import pytest

from tests.validation.audit_examples import (
    CHALLENGERS,
    gating_line,
    policy,
    simulated,
    sound_data,
)
from validation.audit import audit_predictions_table
from validation.config import AuditConfig
from validation.evidence import Evidence, PopulationEvidence, PredictionSource
from validation.gate import judge
from validation.metrics import metric
from validation.tasks import METRIC_NAMES

FAIRNESS = policy(
    attributes=["sex"],
    crossings=[],
    gating=[
        gating_line(line="tpr", metric="tpr", group="sex", between=[-0.15, 0.15]),
        gating_line(line="fpr", metric="fpr", group="sex", between=[-0.15, 0.15]),
        gating_line(line="auroc", group="sex", between=[-0.15, 0.15]),
        gating_line(line="no worse", against="best_challenger", at_least=-0.02),
    ],
)


def audited(frame: pl.DataFrame, config: AuditConfig) -> list[PopulationEvidence]:
    return list(audit_predictions_table(frame, config, challengers=CHALLENGERS))


def verdicts(frame: pl.DataFrame, config: AuditConfig = FAIRNESS) -> dict[str, str]:
    evidence = Evidence(
        study="simulated",
        intended_use="a test",
        policy=config,
        populations=tuple(audited(frame, config)),
        data=sound_data(),
        prediction_source=PredictionSource(key="predict_holdout/00", sha256="0" * 64),
    )
    verdict = judge(evidence, config)
    lines: dict[str, str] = {line.line: line.verdict for line in verdict.lines}
    return lines | {"overall": verdict.verdict}


@pytest.fixture(scope="module")
def holdout() -> PopulationEvidence:
    return audited(simulated(), policy())[0]


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return simulated().filter(pl.col("split") == "test")


@pytest.mark.parametrize("seed", range(8))
def test_a_fair_model_never_fails(seed: int) -> None:
    frame = simulated(seed=seed, subjects=2000).drop("score_cross_fitted")
    assert "fail" not in verdicts(frame).values()


def test_a_fair_model_on_many_subjects_passes() -> None:
    assert set(verdicts(simulated(subjects=8000)).values()) == {"pass"}


@pytest.mark.parametrize("seed", range(3))
def test_a_model_that_misses_men_fails_and_says_which_line(seed: int) -> None:
    unfair = simulated(seed=seed, men_scored_lower=1.5).drop("score_cross_fitted")
    found = verdicts(unfair)
    assert found["overall"] == "fail"
    assert found["tpr"] == "fail"
    # Men are ranked among themselves as before: that line has nothing to blame.
    assert found["auroc"] != "fail"


def test_a_network_that_loses_to_a_simple_model_fails() -> None:
    swapped = {"score": "logistic_regression", "logistic_regression": "score"}
    found = verdicts(simulated().drop("score_cross_fitted").rename(swapped))
    assert found["no worse"] == found["overall"] == "fail"


def test_overall_values_are_those_of_the_labelled_rows_with_their_weights(
    holdout: PopulationEvidence, frame: pl.DataFrame
) -> None:
    known = frame.filter(pl.col("label").is_not_null())
    y, score, weight = (
        known[name].cast(pl.Float64).to_numpy() for name in ("label", "score", "weight")
    )
    for name in METRIC_NAMES:
        expected = metric(name, y, score, weight[None], policy().selected_from)[0]
        assert holdout.overall.metrics[name].value == pytest.approx(expected, abs=1e-7), name


def test_a_gap_is_the_group_minus_all_the_others(
    holdout: PopulationEvidence, frame: pl.DataFrame
) -> None:
    known = frame.filter(pl.col("label").is_not_null())
    y, score, weight = (
        known[name].cast(pl.Float64).to_numpy() for name in ("label", "score", "weight")
    )
    inside = (known["age_band"] == "65+").to_numpy()
    values = [
        metric("tpr", y[rows], score[rows], weight[None, rows], policy().selected_from)[0]
        for rows in (inside, ~inside)
    ]
    (gap,) = [gap for gap in holdout.gaps if (gap.level, gap.metric) == ("65+", "tpr")]
    assert gap.estimate.value == pytest.approx(values[0] - values[1])
    # (1.96 + .84) standard errors, but for a t quantile and an interval that is not symmetric.
    assert gap.detectable == pytest.approx(2.8 * (gap.estimate.standard_error or 0.0), rel=0.02)


def test_the_gaps_of_two_groups_mirror_each_other(holdout: PopulationEvidence) -> None:
    women, men = (
        gap.estimate for gap in holdout.gaps if (gap.attribute, gap.metric) == ("sex", "auroc")
    )
    # Equal to the last digit only because both are measured on the same draws.
    assert women.value == pytest.approx(-(men.value or 0.0), abs=1e-12)
    assert women.low == pytest.approx(-(men.high or 0.0), abs=1e-12)


def test_the_difference_to_a_challenger_is_paired(holdout: PopulationEvidence) -> None:
    (regression,) = [each for each in holdout.challengers if each.name == "logistic_regression"]
    paired = regression.difference["auroc"].standard_error or np.inf
    alone = holdout.overall.metrics["auroc"].standard_error or 0.0
    other = regression.metrics["auroc"].standard_error or 0.0
    assert paired < 0.9 * np.hypot(alone, other)
    assert regression.best
    assert sum(each.best for each in holdout.challengers) == 1


def test_counts_are_of_subjects_positives_and_censored(
    holdout: PopulationEvidence, frame: pl.DataFrame
) -> None:
    counts = holdout.overall.counts
    assert counts.subjects == frame.height
    assert counts.positives == (frame["label"] == 1.0).sum()
    assert counts.censored == frame["label"].null_count()


def test_intervals_hold_their_values(holdout: PopulationEvidence) -> None:
    for name, estimate in holdout.overall.metrics.items():
        assert estimate.value is not None, name
        assert (estimate.low or 0.0) < estimate.value < (estimate.high or 0.0), name


def test_the_same_table_and_seed_give_the_same_evidence() -> None:
    frame = simulated(subjects=600)
    assert audited(frame, policy()) == audited(frame, policy())


def test_the_order_of_rows_does_not_move_a_value() -> None:
    frame = simulated(subjects=600)
    straight = audited(frame, policy())[0].overall.metrics
    shuffled = audited(frame.sample(fraction=1.0, shuffle=True, seed=1), policy())[0]
    for name, estimate in straight.items():
        assert shuffled.overall.metrics[name].value == pytest.approx(estimate.value, abs=1e-9)


def with_a_rare_level(count: int, label: float) -> pl.DataFrame:
    """Some subjects of the holdout get a third sex and one label."""
    frame = simulated().filter(pl.col("split") == "test").drop("score_cross_fitted")
    rare = pl.int_range(pl.len()) < count
    return frame.with_columns(
        sex=pl.when(rare).then(pl.lit("other")).otherwise("sex"),
        label=pl.when(rare).then(pl.lit(label)).otherwise("label").cast(pl.Float32),
        weight=pl.when(rare).then(pl.lit(1.0)).otherwise("weight"),
    )


def test_a_group_without_positives_is_cannot_tell_and_never_zero() -> None:
    (found,) = audited(with_a_rare_level(200, 0.0), policy())
    (group,) = [group for group in found.groups if group.level == "other"]
    assert group.counts.positives == 0
    assert group.metrics["tpr"].value is None
    assert group.metrics["tpr"].reason == "fewer than 30 positives"
    assert group.metrics["fpr"].value is not None
    line = verdicts(with_a_rare_level(200, 0.0), FAIRNESS)
    assert line["tpr"] == line["overall"] == "cannot_tell"


def test_a_group_of_ten_is_neither_counted_nor_measured() -> None:
    (found,) = audited(with_a_rare_level(10, 0.0), policy())
    (group,) = [group for group in found.groups if group.level == "other"]
    assert group.counts.subjects is None
    assert {each.reason for each in group.metrics.values()} == {"fewer than 11 subjects"}
    assert all(each.value is None for each in group.metrics.values())
    shown = [g.counts.subjects for g in found.groups if g.attribute == "sex"]
    assert shown.count(None) > 1


def test_everybody_in_one_group_leaves_nobody_to_compare_with() -> None:
    frame = simulated(subjects=600).with_columns(sex=pl.lit("f")).drop("score_cross_fitted")
    (found,) = audited(frame, policy())
    gaps = [gap for gap in found.gaps if gap.attribute == "sex"]
    assert {gap.estimate.value for gap in gaps} == {None}
    assert verdicts(frame)["overall"] == "cannot_tell"

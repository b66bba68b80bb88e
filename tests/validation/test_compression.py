"""A smaller model is released only where no group's gap may have worsened by more than agreed."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.validation.audit_examples import logistic, policy, simulated
from tests.validation.gate_examples import evidence, interval
from validation.compression.duties import is_of_compression
from validation.compression.records import (
    CompressedPopulation,
    CompressionEvidence,
    GapChange,
)
from validation.compression.worsening import (
    OF_FORECASTS,
    OTHER_SUBJECTS,
    compared_with_uncompressed,
    rule_of_three,
)
from validation.disclosure.view import for_readers
from validation.estimates import Estimate
from validation.evidence import Evidence, ModelSummary
from validation.gate import judge
from validation.metrics import metric
from validation.tasks import METRIC_NAMES, MetricName

MARGINS = {"tpr": 0.05}
POLICY = policy(
    compressed_gap_margins=MARGINS, approval={"when_cannot_tell": "ask", "narrow_fail_share": 0.25}
)


def moved(frame: pl.DataFrame, men: float = 0.0, noise: float = 0.0) -> pl.DataFrame:
    """The same subjects by a smaller model: logits with noise, those of men lower."""
    logit = np.log(frame["score"].to_numpy() / (1 - frame["score"].to_numpy()))
    logit = logit + np.random.default_rng(3).normal(0.0, noise, len(logit))
    score = logistic(logit - men * (frame["sex"] == "male").to_numpy())
    return frame.with_columns(score=pl.Series(score), score_cross_fitted=pl.Series(score))


def compared(smaller: pl.DataFrame, whole: pl.DataFrame) -> CompressionEvidence:
    return compared_with_uncompressed(smaller, whole, POLICY, form="onnx_int8", key="p/1")


def change_of(
    found: CompressionEvidence, metric_name: MetricName, level: str, population: str = "holdout"
) -> GapChange:
    one = next(each for each in found.populations if each.population == population)
    return next(
        each
        for each in one.gaps
        if (each.metric, each.attribute, each.level) == (metric_name, "sex", level)
    )


def test_a_gap_that_widens_is_measured_on_the_same_subjects_as_before() -> None:
    whole = simulated()
    smaller = moved(whole, men=1.0)
    found = change_of(compared(smaller, whole), "tpr", "male")
    test = [frame.filter(pl.col("split") == "test") for frame in (smaller, whole)]
    rates = []
    for frame in test:
        men = (frame["sex"] == "male").to_numpy()
        y = frame["label"].fill_null(0).cast(pl.Float64).to_numpy()
        weight, score = frame["weight"].to_numpy(), frame["score"].to_numpy()
        inside, outside = (
            metric("tpr", y[rows], score[rows], weight[rows][None], 0.2)[0] for rows in (men, ~men)
        )
        rates.append(inside - outside)
    assert found.change.value == pytest.approx(rates[0] - rates[1], abs=1e-12)
    assert (found.change.high or 0.0) < -0.1
    assert (found.worsening or 0.0) >= -float(found.change.low or 0.0) - 1e-12


def test_who_decides_alike_about_everybody_here_would_not_about_others() -> None:
    whole = simulated()
    found = compared(whole, whole)
    for level in ("female", "male"):
        gap = change_of(found, "tpr", level)
        assert gap.change.value == 0.0
        assert 0.005 < (gap.worsening or 0.0) < 0.2
        assert change_of(found, "auroc", level).worsening == 0.0


@pytest.mark.parametrize(("n", "share"), [(100, 0.0362), (1000, 0.00368), (1, 0.975)])
def test_the_rule_of_three_by_hand(n: float, share: float) -> None:
    assert rule_of_three(n) == pytest.approx(share, abs=1e-4)


def test_a_gap_known_to_lie_on_one_side_does_not_worsen_by_coming_nearer_to_zero() -> None:
    unequal = moved(simulated(subjects=6000), men=2.0)
    nearer = moved(unequal, men=-1.0)
    gap = change_of(compared(nearer, unequal), "auroc", "male")
    towards = change_of(compared(nearer, unequal), "fpr", "male")
    assert (towards.change.low or 0.0) > 0.0  # men's false alarms were too few, and are more now
    # No worsening but what nobody among so few says: the rule of three.
    assert (towards.worsening or 0.0) < 0.01
    assert gap.worsening is not None


@pytest.mark.parametrize(
    "others",
    [
        simulated().with_columns(pl.col("subject_id") + 1),
        simulated().head(2000),
        simulated().with_columns((1 - pl.col("label")).alias("label")),
        simulated().drop("score_cross_fitted"),
    ],
    ids=["other subjects", "fewer", "other labels", "without cross-fitting"],
)
def test_other_subjects_or_labels_are_not_compared(others: pl.DataFrame) -> None:
    found = compared(simulated(), others)
    assert found.populations == ()
    assert OTHER_SUBJECTS in str(found.reason)


def test_every_metric_of_every_group_and_crossing_is_told_or_says_why() -> None:
    found = compared(moved(simulated(), noise=0.1), simulated())
    for population in found.populations:
        assert set(population.overall) == set(METRIC_NAMES)
        places = {(gap.attribute, gap.level) for gap in population.gaps}
        assert len(places) == 2 + 3 + 6
        assert len(population.gaps) == len(places) * len(METRIC_NAMES)
        for gap in population.gaps:
            assert (gap.worsening is None) == (gap.change.reason is not None)


# ---- the gate ----------------------------------------------------------------------------------


def gap_change(level: str, worsening: float | None) -> GapChange:
    change = interval(0.0) if worsening is not None else Estimate(reason="too few")
    return GapChange(metric="tpr", attribute="sex", level=level, change=change, worsening=worsening)


def smaller(*gaps: GapChange, **changes: Any) -> Evidence:
    """Evidence that the gate opens for, of a smaller model with these changes of its gaps."""
    told = CompressionEvidence(
        form="onnx_int8",
        uncompressed="predict_holdout/1",
        populations=(CompressedPopulation(population="holdout", overall={}, gaps=gaps),),
    )
    model = ModelSummary(architecture="LSTM", details={"form": "onnx_int8"})
    return evidence(POLICY, **({"compression": told, "model": model} | changes))


WITHIN = (gap_change("f", 0.03), gap_change("m", 0.05))


def test_the_gate_opens_for_a_smaller_model_whose_gaps_worsened_within_the_margin() -> None:
    verdict = judge(smaller(*WITHIN), POLICY)
    assert (verdict.verdict, verdict.decision, verdict.reasons) == ("pass", "release", ())


OF_TRAINED = ModelSummary(architecture="LSTM", details={"form": "trained"})


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (smaller(gap_change("f", 0.0501), WITHIN[1]), "sex f on holdout is not shown to have"),
        (smaller(gap_change("f", None), WITHIN[1]), "sex f on holdout worsened cannot be told"),
        (smaller(WITHIN[0]), "not compared once in tpr in every group"),
        (smaller(*WITHIN, WITHIN[0]), "not compared once in tpr in every group"),
        (smaller(*WITHIN, compression=None), "was not compared with the one it was made of"),
        (smaller(*WITHIN, model=OF_TRAINED), "is of another form"),
        (smaller(*WITHIN, model=None), "is of another form"),
        (
            smaller(
                compression=CompressionEvidence(
                    form="onnx_int8", uncompressed="p/1", reason=OF_FORECASTS
                )
            ),
            OF_FORECASTS,
        ),
        (
            smaller(compression=CompressionEvidence(form="onnx_int8", uncompressed="p/1")),
            "was not compared on holdout",
        ),
    ],
)
def test_the_gate_closes_on_a_gap_that_may_have_worsened_or_is_not_told(
    measured: Evidence, words: str
) -> None:
    verdict = judge(measured, POLICY)
    assert (verdict.verdict, verdict.decision) == ("cannot_tell", "close")
    assert words in " ".join(verdict.reasons)
    assert all(is_of_compression(reason) for reason in verdict.reasons)


def test_without_a_margin_nothing_smaller_is_released() -> None:
    without = POLICY.model_copy(update={"compressed_gap_margins": {}})
    measured = smaller(*WITHIN).model_copy(update={"policy": without})
    verdict = judge(measured, without)
    assert (verdict.verdict, verdict.decision) == ("cannot_tell", "close")
    assert "no margin for gaps in tpr" in " ".join(verdict.reasons)


def test_a_trained_model_owes_no_comparison() -> None:
    verdict = judge(evidence(POLICY, model=OF_TRAINED), POLICY)
    assert verdict.verdict == "pass"


def test_readers_see_no_number_by_which_few_decisions_could_be_counted() -> None:
    told = for_readers(smaller(*WITHIN)).compression
    assert told is not None
    assert (told.form, told.populations) == ("onnx_int8", ())


@pytest.mark.parametrize("margin", [0.0, -0.1, float("nan"), float("inf"), 1.5])
def test_a_margin_is_a_share_above_zero(margin: float) -> None:
    with pytest.raises(ValueError, match="compressed_gap_margins"):
        policy(compressed_gap_margins={"tpr": margin})

"""A generation of forecasts is published only if it is whole and like the release."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.validation.forecast_examples import policy, simulated
from validation.config import AuditConfig
from validation.evidence import PredictionEvidence
from validation.prediction_audit import audit_scores, population_stability_index
from validation.prediction_gate import judge_predictions
from validation.tasks import Task

COUNTS = {"events": 10_000, "unknown_code_events": 100}
TASKS: tuple[Task, ...] = ("volatility", "quantiles", "direction")


def scored(task: Task, seed: int, **columns: Any) -> pl.DataFrame:
    """Scores of a market of its own; scale as a naive observer has it, off by a tenth."""
    market = simulated(task, seed=seed, names=20, sessions=200)
    rng = np.random.default_rng(seed)
    unit = {
        "volatility": pl.col("score"),
        "quantiles": (pl.col("^score_q95$") - pl.col("^score_q05$")),
        "direction": pl.lit(1.0),
    }[task]
    noise = pl.Series(np.exp(rng.normal(0.0, 0.1, market.height)))
    return market.with_columns(share_missing=pl.lit(0.1), scale=unit * noise).with_columns(
        **columns
    )


def audit(
    task: Task, scores: pl.DataFrame, config: AuditConfig | None = None
) -> PredictionEvidence:
    chosen = config or policy(task)
    return audit_scores(scores, scored(task, 1), COUNTS, chosen, study="example")


def reasons(evidence: PredictionEvidence) -> str:
    assert evidence.gate is not None
    return " | ".join(evidence.gate.reasons)


@pytest.mark.parametrize("task", TASKS)
def test_a_generation_like_its_release_passes(task: Task) -> None:
    found = audit(task, scored(task, 2))
    assert reasons(found) == ""
    assert found.gate is not None
    assert found.gate.is_open


def test_only_a_task_with_a_threshold_selects_anybody() -> None:
    named = {
        task: {each.name for each in audit(task, scored(task, 2)).measurements} for task in TASKS
    }
    assert "selection_rate_change" in named["direction"]
    assert "selection_rate_change" not in named["volatility"] | named["quantiles"]


FAILING: dict[str, tuple[Callable[[], PredictionEvidence], str]] = {
    "a volatility of 0": (
        lambda: audit("volatility", scored("volatility", 2, score=pl.lit(0.0))),
        "scores_null_or_not_above_0: 4000, must be at most 0",
    ),
    "no volatility": (
        lambda: audit("volatility", scored("volatility", 2, score=pl.lit(None, pl.Float64))),
        "scores_null_or_not_above_0: 4000",
    ),
    "an infinite volatility": (
        lambda: audit("volatility", scored("volatility", 2, score=pl.lit(float("inf")))),
        "scores_null_or_not_above_0: 4000",
    ),
    "crossing quantiles": (
        lambda: audit("quantiles", scored("quantiles", 2, score_q25=pl.col("score_q05") - 1e-6)),
        "scores_null_or_quantiles_crossing: 4000",
    ),
    "a null quantile": (
        lambda: audit("quantiles", scored("quantiles", 2, score_q95=pl.lit(None, pl.Float64))),
        "scores_null_or_quantiles_crossing: 4000",
    ),
    "a score that is not the median": (
        lambda: audit("quantiles", scored("quantiles", 2, score=pl.col("score_q25"))),
        "scores_null_or_quantiles_crossing: 4000",
    ),
    "a probability above 1": (
        lambda: audit("direction", scored("direction", 2, score=pl.lit(1.5))),
        "scores_null_or_outside_0_1: 4000",
    ),
    "a key twice": (
        lambda: audit("volatility", scored("volatility", 2, subject_id=pl.lit(1))),
        "examples_scored_twice: 3800",
    ),
    "a shifted volatility": (
        lambda: audit("volatility", scored("volatility", 2, score=pl.col("score") * 1.5)),
        "score_shift_psi",
    ),
    "wider intervals": (
        lambda: audit("quantiles", scored("quantiles", 2, score_q95=pl.col("score_q95") + 0.5)),
        "score_shift_psi",
    ),
    "nothing to compare a width with": (
        lambda: audit("quantiles", scored("quantiles", 2).drop("scale")),
        "score_shift_psi: cannot tell",
    ),
    "more ups": (
        lambda: audit("direction", scored("direction", 2, score=pl.lit(0.9))),
        "selection_rate_change",
    ),
}


@pytest.mark.parametrize("failing", FAILING)
def test_a_generation_that_is_not_whole_or_not_alike_is_refused(failing: str) -> None:
    make, words = FAILING[failing]
    assert words in reasons(make())


def test_a_storm_that_the_scale_has_seen_is_no_shift() -> None:
    calm = scored("volatility", 2)
    storm = calm.with_columns(pl.col("score", "scale") * 3.0)
    assert reasons(audit("volatility", storm)) == ""


def test_the_shift_is_of_the_width_over_the_scale() -> None:
    def relative(frame: pl.DataFrame) -> Any:
        return ((frame["score_q95"] - frame["score_q05"]) / frame["scale"]).to_numpy()

    found = {
        each.name: each.value for each in audit("quantiles", scored("quantiles", 2)).measurements
    }
    expected = population_stability_index(
        relative(scored("quantiles", 1)), relative(scored("quantiles", 2)), 10
    )
    assert found["score_shift_psi"] == pytest.approx(expected)


QUANTILES = pl.col("^score(_q..)?$")
WITHOUT_INDEX: Any = {"max_score_shift_psi": None}


def few(task: Task, seed: int = 2) -> pl.DataFrame:
    """One session of twenty names."""
    return scored(task, seed).filter(pl.col("index_time") == pl.col("index_time").max())


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("spoilt", "is_inside"),
    [
        (QUANTILES, True),
        (QUANTILES * 100.0, False),
        (QUANTILES * 0.001, False),
        (QUANTILES * 0.0 + 0.5, False),
    ],
    ids=["as it is", "times 100", "times .001", "one for all"],
)
def test_twenty_rows_tell_scores_that_are_not_the_releases(
    task: Task, spoilt: pl.Expr, is_inside: bool
) -> None:
    limits = policy(task).predictions.model_copy(update=WITHOUT_INDEX)
    config = policy(task, predictions=limits.model_dump())
    found = audit(task, few(task).with_columns(spoilt), config)

    assert found.rows == 20
    assert "score_shift_psi" not in {each.name for each in found.measurements}
    assert ("outside_reference_share" in reasons(found)) == (not is_inside)
    assert "outside_reference_share: cannot tell" not in reasons(found)


def test_the_share_outside_is_of_the_inner_range_of_the_releases_ratios() -> None:
    """Of ratios 1 to 1001 the inner range is 2 to 1000: one of four lies below, one above."""
    release = pl.DataFrame({"score": np.arange(1.0, 1002.0), "scale": np.ones(1001)})
    scores = (
        few("volatility")
        .head(4)
        .with_columns(score=pl.Series([3.98, 4.0, 2000.0, 2000.2]), scale=pl.lit(2.0))
    )
    found = audit_scores(scores, release, COUNTS, policy("volatility"), study="example")
    outside = [each.value for each in found.measurements if each.name == "outside_reference_share"]
    assert outside == [0.5]


@pytest.mark.parametrize("task", TASKS)
def test_leaving_out_any_measurement_closes_the_gate(task: Task) -> None:
    whole = audit(task, scored(task, 2))
    for name in {each.name for each in whole.measurements}:
        kept = tuple(each for each in whole.measurements if each.name != name)
        verdict = judge_predictions(whole.model_copy(update={"measurements": kept}), policy(task))
        assert f"{name} of overall was not measured" in verdict.reasons

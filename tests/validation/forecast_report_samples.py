"""Judged evidence of audits of forecasts, measured on simulated markets or written by hand."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import polars as pl

from tests.validation.forecast_examples import REFERENCES, simulated, with_owed_challengers
from tests.validation.forecast_examples import section as section_of
from tests.validation.report_samples import lineage
from validation.config import AuditConfig
from validation.data_evidence import (
    CheckResult,
    DataEvidence,
    FileRows,
    FlowStep,
    QuarantineRule,
    SplitSize,
)
from validation.estimates import Counts, Estimate
from validation.evidence import Evidence, ModelSummary, PredictionEvidence, PredictionSource
from validation.forecast_audit import audit_forecasts
from validation.gate import judge
from validation.harms import harms
from validation.overfitting import OverfittingEvidence
from validation.prediction_audit import audit_scores
from validation.report.render import render_prediction_report, render_report
from validation.tasks import CHALLENGERS, Task

TASKS: tuple[Task, ...] = ("volatility", "quantiles", "direction")
SURVIVORS = (
    "Twenty large companies of today, chosen because they are still there: names that failed, "
    "merged or shrank are missing (survivorship)."
)
TRIALS = OverfittingEvidence(
    trials=13,
    ledger_sha256="7a" * 32,
    chain_is_whole=True,
    blocks=46,
    pbo=0.0794,
    sharpe=1.2341,
    expected_maximum_sharpe=0.2178,
    deflated_sharpe=0.99991,
)


def policy(task: Task) -> AuditConfig:
    """Lines of all three kinds, as the studies have them."""
    skill, loss, gap = {
        "volatility": ("skill_mae", "mae", "relative_error"),
        "quantiles": ("skill", "pinball", "coverage_90"),
        "direction": ("skill_brier", "brier", "skill_brier"),
    }[task]
    shared = {"on": "walk_forward", "group": "overall"}
    lines = [
        {"line": "Has skill over the reference", "metric": skill, "at_least": 0.0} | shared,
        {
            "line": "Not worse than the best simple model",
            "metric": loss,
            "against": "best_challenger",
            "at_most": 0.0005,
        }
        | shared,
        {"line": "As right in every sector", "metric": gap, "between": [-0.25, 0.25]}
        | shared
        | {"group": "sector"},
    ]
    changes = {
        "gating": lines,
        "bootstrap_draws": 100,
        "attributes": ["sector", "volatility_regime", "era"],
        "crossings": [["sector", "volatility_regime"]],
    }
    return AuditConfig.model_validate(section_of(task, **changes))


@cache
def table(task: Task, skilled: bool) -> pl.DataFrame:
    """A simulated market of returns of everyday size; without skill, the reference's forecasts."""
    frame = with_owed_challengers(task, simulated(task, seed=3, names=20, sessions=600))
    if task == "quantiles":
        returns = [name for name in frame.columns if "_q" in name or name in ("label", "score")]
        frame = frame.with_columns(pl.col([*returns, "score_walk_forward"]) / 10)
    if skilled:
        return frame
    reference = REFERENCES[task]
    # A hair of noise: forecasts that are the reference's to the last bit have no interval.
    return frame.with_columns(
        (
            pl.col(
                name.replace("score", reference, 1)
                if "_q" in name or task != "quantiles"
                else f"{reference}_q50{name.removeprefix('score')}"
            )
            + 1e-3 * (pl.col("subject_id") % 2 - 0.5)
        ).alias(name)
        for name in frame.columns
        if name.startswith("score")
    )


def data_evidence() -> DataEvidence:
    names = ("no_label_reaches_the_next_part", "scalers_refitted", "truncation_replay")
    return DataEvidence(
        files=(
            FileRows(file="bars", rows_in=166000, accepted=165990, quarantined=10, duplicates=0),
        ),
        quarantine=(
            QuarantineRule(file="bars", rule="price_not_above_0", rows=10, words="A price of 0."),
        ),
        flow=(
            FlowStep(
                step="history", words="Fewer than 67 sessions", excluded=1340, remaining=164650
            ),
        ),
        checks=(
            CheckResult(
                name="columns", table="events", kind="contract", passed=True, words="0 rows differ"
            ),
            *(
                CheckResult(name=name, table="sequences", kind="leakage", passed=True, words=name)
                for name in names
            ),
            CheckResult(
                name="second_route", table="predictions", kind="audit", passed=True, words="agrees"
            ),
        ),
        splits=tuple(
            SplitSize(split=name, counts=Counts(subjects=20, rows=rows, blocks=blocks, unknown=n))
            for name, rows, blocks, n in (("train", 50400, 38, 0), ("test", 5020, 4, 100))
        ),
    )


@cache
def forecast_evidence(task: Task, *, skilled: bool = True) -> Evidence:
    """Judged evidence; the gate opens where the forecasts are skilled."""
    config, predictions = policy(task), table(task, skilled)
    evidence = Evidence(
        study=f"sp500_{task}",
        intended_use="States how the next sessions may be, so that a desk can see the range.\n"
        "Not a recommendation to buy or sell.",
        policy=config,
        populations=audit_forecasts(predictions, config, CHALLENGERS[task]),
        data=data_evidence(),
        data_limits=(SURVIVORS, "Closing prices only: no volume, no highs and lows."),
        model=ModelSummary(
            architecture="Masked LSTM, 1 layer of 32, mean of 3 seeds", seeds=(0, 1, 2)
        ),
        lineage=lineage("ingest_events", "train_model", "predict_holdout"),
        prediction_source=PredictionSource(key="predict_holdout/1", sha256="5e" * 32),
        is_point_in_time=False,
        harms=harms(predictions, config, CHALLENGERS[task]),
        overfitting=TRIALS,
    )
    return rejudged(evidence)


def rejudged(evidence: Evidence, **changes: object) -> Evidence:
    """The same evidence with changes, judged again."""
    changed = evidence.model_copy(update=changes)
    return changed.model_copy(update={"gate": judge(changed, changed.policy)})


@cache
def forecast_generation(task: Task) -> PredictionEvidence:
    """Judged evidence of one generation of forecasts."""
    frame = table(task, skilled=True).with_columns(scale=pl.lit(0.2), share_missing=pl.lit(0.0))
    return audit_scores(
        frame.head(40),
        frame,
        {"events": 1000, "unknown_code_events": 3},
        policy(task),
        study=f"sp500_{task}",
        lineage=lineage("score_subjects"),
    )


def silenced(value: Any) -> Any:
    """The same evidence with nothing known: every estimate is null with a reason."""
    if isinstance(value, dict):
        if "standard_error" in value:
            return Estimate(reason="fewer than 10 blocks of time").model_dump(mode="json")
        return {k: each if k == "policy" else silenced(each) for k, each in value.items()}
    return [silenced(each) for each in value] if isinstance(value, list) else value


@cache
def silent_evidence(task: Task) -> Evidence:
    raw = silenced(forecast_evidence(task).model_dump(mode="json"))
    for harm in raw["harms"]:
        harm["alarm"] = None
    for population in raw["populations"]:
        for gap in population["gaps"]:
            gap["detectable"] = None
    return rejudged(Evidence.model_validate(raw))


def bare_evidence(task: Task) -> Evidence:
    """What an audit leaves that learned nothing at all."""
    return Evidence(
        study="bare", intended_use="", policy=forecast_evidence(task).policy, populations=()
    )


def all_pages(task: Task) -> Iterator[str]:
    """Every kind of page: open, closed, undecided, unjudged, and of a generation."""
    yield render_report(forecast_evidence(task))
    yield render_report(forecast_evidence(task, skilled=False))
    yield render_report(silent_evidence(task))
    yield render_report(bare_evidence(task))
    yield render_prediction_report(forecast_generation(task))

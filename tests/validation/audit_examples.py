"""A policy and simulated predictions that the audit's tests share."""

from typing import Any

import numpy as np
import polars as pl

from validation.config import AuditConfig
from validation.data_evidence import CheckResult, DataEvidence, FileRows
from validation.ranking import FloatArray

CHALLENGERS = ("logistic_regression", "prevalence")


def section(**changes: Any) -> dict[str, Any]:
    """The audit section of a study as it stands in YAML."""
    return {
        "threshold": 0.2,
        "attributes": ["sex", "age_band"],
        "crossings": [["sex", "age_band"]],
        "bootstrap_draws": 200,
        "bootstrap_seed": 7,
        "minimum_positives": 30,
        "gating": [
            gating_line(),
            gating_line(line="tpr by sex", metric="tpr", group="sex", between=[-0.2, 0.2]),
            gating_line(line="no worse", against="best_challenger", at_least=-0.02),
        ],
        "predictions": {
            "minimum_rows": 100,
            "max_unknown_code_share": 0.05,
            "max_missing_share": 0.5,
            "max_score_shift_psi": 0.25,
            "max_selection_rate_change": 0.1,
        },
    } | changes


def gating_line(**changes: Any) -> dict[str, Any]:
    """A gating line on the holdout's AUROC; any limit given replaces its own."""
    limits = {"at_least", "at_most", "between"} & changes.keys()
    default: dict[str, Any] = {} if limits else {"at_least": 0.6}
    shared = {"line": "auroc", "metric": "auroc", "on": "holdout", "group": "overall"}
    return shared | default | changes


def sound_data(*left_out: str) -> DataEvidence:
    """Rows that add up and one passed check of each kind, but for the kinds left out."""
    return DataEvidence(
        files=(FileRows(file="a", rows_in=9, accepted=8, quarantined=0, duplicates=1),),
        checks=tuple(
            CheckResult(name=f"a {kind} check", table="t", kind=kind, passed=True, words="held")
            for kind in ("contract", "leakage", "audit")
            if kind not in left_out
        ),
    )


def policy(**changes: Any) -> AuditConfig:
    return AuditConfig.model_validate(section(**changes))


def simulated(
    *, seed: int = 0, subjects: int = 3000, men_scored_lower: float = 0.0, signal: float = 1.2
) -> pl.DataFrame:
    """Predictions whose scores, given the label, are alike in all groups unless men are shifted.

    men_scored_lower: how far the logit of every man is moved down. A fifth is censored.
    """
    rng = np.random.default_rng(seed)
    y = (rng.random(subjects) < 0.15).astype(np.float64)
    sex = rng.choice(["female", "male"], subjects)
    logit = rng.normal(-1.9, 1.0, subjects) + signal * y
    logit = logit - np.where(sex == "male", men_scored_lower, 0.0)
    score = logistic(logit)
    weaker = logistic(logit + rng.normal(0.0, 1.0, subjects))
    censored = rng.random(subjects) < 0.2
    return pl.DataFrame(
        {
            "subject_id": np.arange(subjects),
            "cluster": rng.integers(0, subjects // 3, subjects),
            "split": rng.choice(["train", "validation", "test"], subjects, p=[0.2, 0.1, 0.7]),
            "label": pl.Series(y).cast(pl.Float32).set(pl.Series(censored), None),
            "weight": np.where(censored, 0.0, rng.uniform(1.0, 1.5, subjects)),
            "sex": sex,
            "age_band": rng.choice(["18-44", "45-64", "65+"], subjects),
            "score": score,
            "score_cross_fitted": score,
            "logistic_regression": weaker,
            "logistic_regression_cross_fitted": weaker,
            "prevalence": np.full(subjects, 0.15),
            "prevalence_cross_fitted": np.full(subjects, 0.15),
        }
    )


def logistic(x: FloatArray) -> FloatArray:
    return 1.0 / (1.0 + np.exp(-x))

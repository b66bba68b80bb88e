"""Evidence like that of the demonstration study, measured by the audit on simulated scores."""

from functools import cache
from typing import Any

import numpy as np
import polars as pl

from validation.audit import audit_predictions_table
from validation.config import AuditConfig
from validation.data_evidence import (
    CheckResult,
    DataEvidence,
    FileRows,
    Finding,
    FlowGroup,
    FlowStep,
    QuarantineRule,
    SplitSize,
)
from validation.declaration import Declaration
from validation.estimates import Counts, Estimate
from validation.evidence import (
    Evidence,
    GateVerdict,
    LimitsOrder,
    LineageEntry,
    ModelSummary,
    PredictionEvidence,
    PredictionSource,
    TrainingCost,
)
from validation.gate import judge
from validation.incumbent import IncumbentEvidence
from validation.prediction_audit import audit_scores

CHALLENGERS = ("logistic_regression", "hist_gradient_boosting", "prevalence")
POLICY = {
    "threshold": 0.10,
    "attributes": ["sex", "age_band"],
    "crossings": [["sex", "age_band"]],
    "minimum_positives": 30,
    "gating": [
        {
            "line": "Discriminates on subjects it never saw",
            "metric": "auroc",
            "on": "holdout",
            "group": "overall",
            "at_least": 0.65,
        },
        {
            "line": "Predicted risks add up to observed cases",
            "metric": "observed_expected",
            "on": "cross_fitted",
            "group": "overall",
            "between": [0.80, 1.25],
        },
        {
            "line": "Not worse than the best simple model",
            "metric": "auroc",
            "on": "cross_fitted",
            "group": "overall",
            "against": "best_challenger",
            "at_least": -0.02,
        },
        {
            "line": "Finds cases equally among women and men",
            "metric": "tpr",
            "on": "cross_fitted",
            "group": "sex",
            "between": [-0.30, 0.30],
        },
        {
            "line": "False alarms equal among women and men",
            "metric": "fpr",
            "on": "cross_fitted",
            "group": "sex",
            "between": [-0.10, 0.10],
        },
    ],
    "predictions": {
        "minimum_rows": 100,
        "max_unknown_code_share": 0.01,
        "max_missing_share": 0.80,
        "max_score_shift_psi": 0.50,
        "max_selection_rate_change": 0.20,
    },
}
FILES = (
    ("nafld1 (enrolment)", 17549, 17549, 0, 0, 0),
    ("nafld1 (body measures)", 52647, 42801, 2, 0, 9844),
    ("nafld2", 400123, 396292, 14, 3817, 0),
    ("nafld3", 34340, 34340, 0, 0, 0),
)


def policy(draws: int = 100) -> AuditConfig:
    return AuditConfig.model_validate(POLICY | {"bootstrap_draws": draws})


def predictions(subjects: int) -> pl.DataFrame:
    """Simulated scores: two models that know the risk with noise, and a constant."""
    rng = np.random.default_rng(7)
    logit = rng.normal(-3.3, 1.0, subjects)
    risk = 1 / (1 + np.exp(-logit))
    label = (rng.random(subjects) < risk).astype(float)
    censored = rng.random(subjects) < 0.33
    weight = np.where(censored, 0.0, 1.0 / 0.67)

    def guess(noise: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        seen = logit + rng.normal(0.0, noise, subjects)
        shrunk = -3.3 + (seen + 3.3) / (1 + noise**2)
        return 1 / (1 + np.exp(-shrunk - 0.5 * noise**2 / (1 + noise**2)))

    scores = {"score": 0.3, "logistic_regression": 0.8, "hist_gradient_boosting": 0.4}
    columns = {
        name + suffix: guess(noise)
        for name, noise in scores.items()
        for suffix in ("", "_cross_fitted")
    }
    return pl.DataFrame(
        {
            "subject_id": np.arange(subjects),
            "cluster": np.arange(subjects) // 3,
            "split": np.where(rng.random(subjects) < 0.2, "test", "train"),
            "label": pl.Series(label, nan_to_null=True).set(pl.Series(censored), None),
            "weight": weight,
            "sex": np.where(rng.random(subjects) < 0.53, "female", "male"),
            "age_band": rng.choice(["18-44", "45-64", "65+"], subjects, p=[0.3, 0.45, 0.25]),
            "prevalence": np.full(subjects, 0.056),
            "prevalence_cross_fitted": np.full(subjects, 0.056),
            **columns,
        }
    )


def _groups(counts: list[int | None]) -> tuple[FlowGroup, ...]:
    levels = [("sex", "female"), ("sex", "male")]
    levels += [("age band", band) for band in ("18-44", "45-64", "65+")]
    return tuple(
        FlowGroup(attribute=attribute, level=level, subjects=subjects)
        for (attribute, level), subjects in zip(levels, counts, strict=True)
    )


def data_evidence() -> DataEvidence:
    rows = ("rows_in", "accepted", "quarantined", "duplicates", "empty")
    leakage = ("no event known after the index time", "no matched set in two splits")
    return DataEvidence(
        files=tuple(
            FileRows(file=name, **dict(zip(rows, counts, strict=True))) for name, *counts in FILES
        ),
        quarantine=(
            QuarantineRule(
                file="nafld2",
                rule="value_physically_impossible",
                rows=14,
                words="The value lies outside the code's plausible range.",
            ),
        ),
        flow=(
            FlowStep(
                step="too_young",
                words="Younger than 18 on the index day",
                excluded=11,
                remaining=17538,
                excluded_groups=_groups([None, None, 11, 0, 0]),
                remaining_groups=_groups([None, None, 5179, 7896, 4463]),
            ),
            FlowStep(
                step="prevalent",
                words="Diagnosed with diabetes before the index day",
                excluded=2383,
                remaining=15155,
                excluded_groups=_groups([1150, 1233, 301, 1189, 893]),
                remaining_groups=_groups([8192, 6963, 4878, 6707, 3570]),
            ),
        ),
        findings=(
            Finding(
                kind="copied_channel",
                where="chol, hdl",
                words="chol equals hdl wherever both were measured; only hdl is used.",
                count=39847,
                share=1.0,
            ),
            Finding(
                kind="repeated_diagnoses",
                where="nafld3",
                words="The same diagnosis on another day is an event, not a duplicate.",
                count=1762,
            ),
        ),
        checks=(
            *(
                CheckResult(
                    name="expect_column_values_to_not_be_null",
                    table=table,
                    kind="contract",
                    passed=True,
                    words=f"{column}: never null; 0 of 17,549 rows differ",
                    unexpected=0,
                )
                for table in ("events", "subjects", "quarantine")
                for column in ("subject_id", "time", "code")
            ),
            *(
                CheckResult(name=name, table="sequences", kind="leakage", passed=True, words=name)
                for name in leakage
            ),
            CheckResult(
                name="agreement_with_fairlearn",
                table="predictions",
                kind="audit",
                passed=True,
                words="72 group metrics computed again by Fairlearn; 0 differ",
            ),
        ),
        splits=tuple(
            SplitSize(split=name, counts=Counts(subjects=n, positives=p, censored=c))
            for name, n, p, c in (
                ("train", 10609, 476, 3471),
                ("validation", 1515, 68, 490),
                ("test", 3031, 146, 991),
            )
        ),
    )


def lineage(*stages: str) -> tuple[LineageEntry, ...]:
    return tuple(
        LineageEntry(stage=stage, key=f"{stage}/{index:016x}", sha256=f"{index:064x}")
        for index, stage in enumerate(stages, start=0xA1B2C3D4)
    )


TRAINING = TrainingCost(
    file="training_log.json",
    networks=3,
    device="cuda",
    processes=2,
    seconds=61.7,
    gpu_seconds=123.4,
    peak_memory_bytes=600 * 1024**2,
)


@cache
def model_evidence(subjects: int = 6000, draws: int = 100) -> Evidence:
    """Judged evidence of an audit of a model; the gate opens on it."""
    config = policy(draws)
    evidence = Evidence(
        study="nafld_diabetes",
        intended_use="Ranks adults without diabetes by their risk of a first diagnosis within "
        "five years, so that a clinic can invite those at high risk to a glucose test.\n"
        "Not for diagnosis, and not outside the population it was audited on.",
        policy=config,
        populations=audit_predictions_table(predictions(subjects), config, challengers=CHALLENGERS),
        data=data_evidence(),
        data_limits=(
            "One region: adults seen in Olmsted County, Minnesota.",
            "A case-control sample: the prevalence is the sample's and not a town's.",
            "Race, ethnicity and insurance are not in the records: no audit by them is possible.",
            "Diagnoses come from billing codes: who is tested more often is diagnosed more often.",
        ),
        model=ModelSummary(
            architecture="Masked LSTM, 1 layer of 32, mean of 3 seeds, calibrated on validation",
            seeds=(0, 1, 2),
            epochs=(11, 9, 14),
            clip_rate=0.031,
            training=TRAINING,
            details={"channels": 19, "parameters": 12289},
        ),
        lineage=lineage(
            "ingest_events", "check_events", "build_sequences", "train_model", "predict_holdout"
        ),
        prediction_source=PredictionSource(
            key="predict_holdout/00000000a1b2c3d8", sha256="5e" * 32
        ),
    )
    return evidence.model_copy(update={"gate": judge(evidence, config)})


def closed_evidence() -> Evidence:
    """The same audit under a limit that no model meets."""
    open_evidence = model_evidence()
    declared = open_evidence.policy.model_dump(mode="json")
    declared["gating"][0]["at_least"] = 0.99
    strict = AuditConfig.model_validate(declared)
    evidence = open_evidence.model_copy(update={"policy": strict})
    return evidence.model_copy(update={"gate": judge(evidence, strict)})


DECLARED = Declaration(
    owner="Equipoise demonstration",
    domain="ehr",
    outcome="first diagnosis of diabetes",
    horizon="1,826 days after the index day",
    index="the day of enrolment",
    censoring="whoever is followed for less than the horizon without the outcome",
    inputs=("hdl", "sbp", "bmi"),
    schedule="every day at 05:30",
    not_for="Not for diagnosis.",
)


def rejudged(evidence: Evidence, **policy: Any) -> Evidence:
    """The same numbers under another policy."""
    declared = evidence.policy.model_dump(mode="json") | policy
    changed = evidence.model_copy(update={"policy": AuditConfig.model_validate(declared)})
    return changed.model_copy(update={"gate": judge(changed, changed.policy)})


def asking_evidence() -> Evidence:
    """One line cannot tell, and the study puts that before two people; a line is only reported."""
    declared = model_evidence().policy.model_dump(mode="json")
    declared["gating"][3]["between"] = [-0.20, 0.20]
    reported = declared["gating"][4] | {"line": "False alarms by age", "group": "age_band"}
    evidence = rejudged(
        model_evidence(),
        gating=declared["gating"],
        reported=[reported],
        approval={"when_cannot_tell": "ask", "approvers": 2, "expires_after_days": 7},
    )
    paired = Estimate(value=0.02, low=0.01, high=0.03, standard_error=0.005)
    return evidence.model_copy(
        update={
            "declared": DECLARED,
            "limits_order": LimitsOrder(
                policy_sha256="c0" * 32, audits_before=3, registered_before_predictions=True
            ),
            "incumbent": IncumbentEvidence(
                stands=True, differences={"cross_fitted": {"auroc": paired}}
            ),
        }
    )


@cache
def prediction_evidence() -> PredictionEvidence:
    """Judged evidence of an audit of a generation of predictions."""
    scores = predictions(2000).select(
        "subject_id", "sex", "age_band", "score", share_missing=pl.lit(0.4)
    )
    return audit_scores(
        scores,
        scores.reverse(),
        {"events": 1000, "unknown_code_events": 3},
        policy(),
        study="nafld_diabetes",
        lineage=lineage("score_subjects"),
    )


def unjudged(gate: GateVerdict | None = None) -> Evidence:
    return model_evidence().model_copy(update={"gate": gate})

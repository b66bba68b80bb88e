"""Whole evidence that the gate opens for, and the same with one thing changed."""

from typing import Any

from tests.validation.audit_examples import policy, sound_data
from validation.config import AuditConfig
from validation.estimates import Counts, Estimate
from validation.evidence import (
    Challenger,
    Evidence,
    Gap,
    GateVerdict,
    GroupPerformance,
    LineVerdict,
    PopulationEvidence,
    PredictionSource,
)
from validation.tasks import METRIC_NAMES

VALUE, GAP, CHALLENGER = 0, 1, 2


def interval(value: float, width: float = 0.02) -> Estimate:
    return Estimate(value=value, low=value - width, high=value + width, standard_error=width / 2)


def together(value: float, width: float = 0.02) -> Estimate:
    """A gap: by itself half as wide as the interval that holds for all gaps at once."""
    return Estimate(
        value=value,
        low=value - width / 2,
        high=value + width / 2,
        simultaneous_low=value - width,
        simultaneous_high=value + width,
        standard_error=width / 4,
    )


def performance(attribute: str, level: str, auroc: float = 0.75) -> GroupPerformance:
    return GroupPerformance(
        attribute=attribute,
        level=level,
        counts=Counts(subjects=500, positives=100, censored=50),
        metrics=dict.fromkeys(METRIC_NAMES, interval(auroc)),
    )


def challenger(name: str, auroc: float, *, best: bool) -> Challenger:
    return Challenger(
        name=name,
        best=best,
        metrics={"auroc": interval(auroc)},
        difference={"auroc": interval(0.75 - auroc, 0.01)},
    )


def population(**changes: Any) -> PopulationEvidence:
    fields: dict[str, Any] = {
        "population": "holdout",
        "overall": performance("overall", "all"),
        "groups": (performance("sex", "f"), performance("sex", "m")),
        "gaps": tuple(
            Gap(attribute="sex", level=level, metric=name, estimate=together(gap), detectable=0.03)
            for level, gap in (("f", 0.05), ("m", -0.05))
            for name in METRIC_NAMES
        ),
        "challengers": (
            challenger("boosting", 0.74, best=True),
            challenger("constant", 0.5, best=False),
        ),
    }
    return PopulationEvidence.model_validate(fields | changes)


def evidence(config: AuditConfig | None = None, **changes: Any) -> Evidence:
    fields: dict[str, Any] = {
        "study": "example",
        "intended_use": "a test",
        "policy": config or policy(),
        "populations": (population(),),
        "data": sound_data(),
        "prediction_source": PredictionSource(key="predict_holdout/00", sha256="0" * 64),
    }
    return Evidence.model_validate(fields | changes)


def with_gap(estimate: Estimate) -> Evidence:
    """The example with another TPR gap of women against the rest."""
    gaps = tuple(
        gap.model_copy(update={"estimate": estimate})
        if (gap.level, gap.metric) == ("f", "tpr")
        else gap
        for gap in population().gaps
    )
    return evidence(populations=(population().model_copy(update={"gaps": gaps}),))


def with_overall(estimate: Estimate) -> Evidence:
    """The example with another overall AUROC."""
    metrics = population().overall.metrics | {"auroc": estimate}
    overall = population().overall.model_copy(update={"metrics": metrics})
    return evidence(populations=(population().model_copy(update={"overall": overall}),))


def with_population(**changes: Any) -> Evidence:
    return evidence(populations=(population().model_copy(update=changes),))


def line_of(verdict: GateVerdict, index: int) -> LineVerdict:
    return verdict.lines[index]

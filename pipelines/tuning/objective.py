"""What a trial reached out of sample, and whether it keeps the study's constraints."""

from dataclasses import dataclass, field
from statistics import fmean, stdev

import numpy as np
import polars as pl

from pipelines.tuning.config import GroupGap, TuningConstraints
from validation.comparison import primary_metric, value_of
from validation.config import AuditConfig
from validation.groups import census, groups_of, numbers_of, why_not, with_named_levels
from validation.tasks import LOWER_IS_BETTER, MetricName

CALIBRATION = "observed over expected"
SCORE = "score"
# How far a constraint counts as broken that cannot be told: further than any limit is wide.
CANNOT_TELL = 1.0


@dataclass(frozen=True)
class Measured:
    """The primary metric by fold, and by how much each constraint is broken (0 or less: kept)."""

    metric: MetricName
    by_fold: tuple[float, ...]
    excess: dict[str, float] = field(default_factory=dict)
    told: dict[str, float | None] = field(default_factory=dict)

    @property
    def value(self) -> float:
        return fmean(self.by_fold)

    @property
    def spread(self) -> float | None:
        """Standard deviation over folds; None of a single one."""
        return stdev(self.by_fold) if len(self.by_fold) > 1 else None


def measure(
    answered: pl.DataFrame, policy: AuditConfig, constraints: TuningConstraints
) -> Measured | None:
    """Measure out-of-sample answers; None where a fold cannot give the metric.

    Args:
        answered: a row per fold and example with fold, score, label, weight and attributes.
    """
    metric = primary_metric(policy)
    parts = answered.partition_by("fold", maintain_order=True)
    found = [value_of(metric, part, SCORE, policy) for part in parts]
    by_fold = tuple(value for value in found if value is not None)
    if not found or len(by_fold) < len(found):
        return None
    told = _told(answered, policy, constraints)
    return Measured(
        metric=metric,
        by_fold=by_fold,
        excess=_excess(told, constraints),
        told=told,
    )


def cost(measured: Measured) -> float:
    """The value as a number of which less is better."""
    return measured.value if measured.metric in LOWER_IS_BETTER else -measured.value


def _told(
    answered: pl.DataFrame, policy: AuditConfig, constraints: TuningConstraints
) -> dict[str, float | None]:
    """What each constraint is about, None where it cannot be told; of all folds together."""
    found: dict[str, float | None] = {}
    if constraints.observed_expected is not None:
        found[CALIBRATION] = value_of("observed_expected", answered, SCORE, policy)
    for gap in constraints.group_gaps:
        found[gap.name] = greatest_gap(answered, gap, policy)
    return found


def greatest_gap(answered: pl.DataFrame, gap: GroupGap, policy: AuditConfig) -> float | None:
    """The metric's greatest difference between two levels; None where fewer than two can tell."""
    alone = policy.model_copy(update={"attributes": (gap.attribute,), "crossings": ()})
    levels = groups_of(with_named_levels(answered, alone.attributes), alone)
    values = [
        value_of(gap.metric, part, SCORE, policy)
        for part in (answered[group.rows] for group in levels)
        if policy.is_forecast or _tells(gap.metric, part, policy)
    ]
    known = [value for value in values if value is not None]
    return max(known) - min(known) if len(known) > 1 else None


def _tells(metric: MetricName, part: pl.DataFrame, policy: AuditConfig) -> bool:
    counted = census(
        numbers_of(part, "label"),
        numbers_of(part, "weight"),
        numbers_of(part, SCORE),
        policy.selected_from,
        np.asarray(part["cluster"].to_numpy(), dtype=np.int64),
    )
    return why_not(metric, counted, policy) is None


def _excess(told: dict[str, float | None], constraints: TuningConstraints) -> dict[str, float]:
    found: dict[str, float] = {}
    if constraints.observed_expected is not None:
        least, most = constraints.observed_expected
        ratio = told[CALIBRATION]
        found[CALIBRATION] = CANNOT_TELL if ratio is None else max(least - ratio, ratio - most)
    for gap in constraints.group_gaps:
        seen = told[gap.name]
        found[gap.name] = CANNOT_TELL if seen is None else seen - gap.at_most
    return found

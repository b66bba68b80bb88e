"""Groups of subjects: attribute levels and crossings, each against everybody else."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from validation.config import AuditConfig
from validation.estimates import Estimate
from validation.evidence import Gap
from validation.ranking import FloatArray, IntArray
from validation.sample_size import detectable
from validation.tasks import CROSSED, MetricName
from validation.too_few import KNOWN, NON_EVENTS, POSITIVES, SELECTED, SUBJECTS, fewer

UNKNOWN_LEVEL = "unknown"
# Between the names, and the levels, of a crossing.
JOIN = CROSSED

_NEEDS_EVENTS: frozenset[MetricName] = frozenset(
    {
        "auroc",
        "auprc",
        "brier",
        "calibration_slope",
        "calibration_intercept",
        "observed_expected",
        "tpr",
        "ppv",
        "net_benefit",
    }
)
_NEEDS_NON_EVENTS: frozenset[MetricName] = _NEEDS_EVENTS - {"tpr", "ppv"} | {"fpr"}


class UnauditableTable(ValueError):
    """The predictions contradict themselves; said in names and counts, never in values."""


@dataclass(frozen=True)
class Group:
    """One level of an attribute or crossing. rows [m] and rest [n - m]: positions of subjects."""

    attribute: str
    level: str
    rows: IntArray
    rest: IntArray


def with_named_levels(frame: pl.DataFrame, attributes: Sequence[str]) -> pl.DataFrame:
    """The attributes as text, an absent one as "unknown", as a source that says so in words.

    Raises UnauditableTable on a missing column.
    """
    missing = [name for name in attributes if name not in frame.columns]
    if missing:
        raise UnauditableTable(f"attributes without a column: {missing}")
    return frame.select(
        pl.col(name).cast(pl.String).fill_null(UNKNOWN_LEVEL) for name in attributes
    )


def numbers_of(frame: pl.DataFrame, column: str) -> FloatArray:
    """[n] a column as numbers, null as NaN."""
    values: FloatArray = frame[column].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return values


def groups_of(frame: pl.DataFrame, config: AuditConfig) -> list[Group]:
    """All levels of all attributes, then of all crossings, in the order of the study.

    Raises UnauditableTable where two crossings of levels would bear one name.
    """
    wanted = [(name,) for name in config.attributes] + list(config.crossings)
    return [group for names in wanted for group in _levels(frame, names)]


def _levels(frame: pl.DataFrame, names: tuple[str, ...]) -> list[Group]:
    levels = frame.select(pl.concat_str(list(names), separator=JOIN)).to_series()
    if frame.select(names).n_unique() != levels.n_unique():
        # "a & b" with "c", and "a" with "b & c": two groups would be measured as one.
        raise UnauditableTable(
            f"crossing {list(names)}: levels that hold {JOIN!r} make one name of two crossings;"
            " name them otherwise"
        )
    return [
        Group(
            attribute=JOIN.join(names),
            level=str(level),
            rows=np.flatnonzero((levels == level).to_numpy()),
            rest=np.flatnonzero((levels != level).to_numpy()),
        )
        for level in levels.unique().sort()
    ]


@dataclass(frozen=True)
class Census:
    """Unweighted counts behind a set of rows. subjects: rows; the others: clusters (patients).

    A patient with several rows is one: an interval needs as many patients as it says, not rows.
    known: with a row whose label is known; positives, negatives, selected: with one that is
    known and is that; selected: score >= threshold.
    """

    subjects: int
    known: int
    positives: int
    negatives: int
    selected: int


def census(
    y: FloatArray,
    weight: FloatArray,
    score: FloatArray,
    threshold: float,
    clusters: npt.NDArray[np.int64],
) -> Census:
    """Count; a weight of 0 is a censored subject, who carries no metric. All [n]."""
    known = weight > 0

    def patients(rows: npt.NDArray[np.bool_]) -> int:
        return len(np.unique(clusters[known & rows]))

    return Census(
        subjects=len(y),
        known=patients(known),
        positives=patients(y == 1.0),
        negatives=patients(y != 1.0),
        selected=patients(score >= threshold),
    )


def why_not(name: MetricName, counted: Census, config: AuditConfig) -> str | None:
    """Why a metric cannot be told on these subjects; None if it can.

    The words name the limit and never the count, which may be one to protect.
    """
    least = config.least_positives
    if counted.subjects < config.minimum_cell_subjects:
        return fewer(config.minimum_cell_subjects, SUBJECTS)
    if name in _NEEDS_EVENTS and counted.positives < least:
        return fewer(least, POSITIVES)
    if name in _NEEDS_NON_EVENTS and counted.negatives < least:
        return fewer(least, NON_EVENTS)
    if name == "ppv" and counted.selected < least:
        return fewer(least, SELECTED)
    if name == "selection_rate" and counted.known < least:
        return fewer(least, KNOWN)
    return None


def gap_of(group: Group, metric: MetricName, found: Estimate) -> Gap:
    """A group's gap in a metric, with the smallest that this sample would tell from zero."""
    return Gap(
        attribute=group.attribute,
        level=group.level,
        metric=metric,
        estimate=found,
        detectable=detectable(found),
    )

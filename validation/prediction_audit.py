"""The audit of one generation of scores before it is published.

No label is known yet, so it asks what can be asked: are these scores whole, made from data like
the release's, and do they select about as many of every group as the release did?
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from validation.config import AuditConfig
from validation.evidence import LineageEntry, Measurement, PredictionEvidence
from validation.forecast_populations import forecast_columns
from validation.groups import numbers_of
from validation.prediction_gate import (
    BAD_OF_TASK,
    MISSING,
    OUTSIDE,
    ROWS,
    SHIFT,
    UNKNOWN_CODES,
    judge_predictions,
    repeated_of,
)
from validation.ranking import FloatArray
from validation.selection_changes import is_probability, selection_changes
from validation.tasks import Task

BoolArray = npt.NDArray[np.bool_]
QUANTILE_COLUMNS = forecast_columns("quantiles", "score")

# Counts that the caller must give.
EVENTS, UNKNOWN_EVENTS = "events", "unknown_code_events"

# What an empty bin counts as, so that the index stays finite.
_EMPTY_BIN = 0.5
# The range in which nearly all of the release's scores lie.
_INNER = (0.001, 0.999)


def audit_scores(
    scores: pl.DataFrame,
    reference: pl.DataFrame,
    counts: Mapping[str, int],
    config: AuditConfig,
    *,
    study: str,
    lineage: Sequence[LineageEntry] = (),
) -> PredictionEvidence:
    """Measure a generation of scores against the release's reference scores, and judge it.

    Of forecasts a row is a subject at an index time: index_time is there too, of quantiles all of
    them, and of volatility and quantiles the scale of each row, in both tables.

    scores: subject_id, score, share_missing and the attributes, one row per scored subject.
    reference: score and the attributes of the subjects on whom the release was audited. Both have
    `threshold`, each row's own, where the release has a table of them; else neither.
    counts: `events` read as input and `unknown_code_events`, those whose code the release does
    not know. Never raises on their content: what cannot be measured is null and closes the gate.
    """
    measurements = [_attempt(name, measure) for name, measure in _wholes(scores, counts, config)]
    measurements += [
        _attempt(name, measure) for name, measure in _drifts(scores, reference, config)
    ]
    changes, too_small = selection_changes(scores, reference, config)
    evidence = PredictionEvidence(
        study=study,
        policy=config,
        rows=scores.height,
        measurements=(*measurements, *changes),
        not_judged=too_small,
        lineage=tuple(lineage),
    )
    return evidence.model_copy(update={"gate": judge_predictions(evidence, config)})


def _attempt(name: str, measure: Callable[[], float]) -> Measurement:
    try:
        value = float(measure())
    except Exception as error:  # not measured, whatever the cause: the gate closes on it
        return Measurement(name=name, reason=f"could not be measured ({type(error).__name__})")
    if not np.isfinite(value):
        return Measurement(name=name, reason="is not a finite number")
    return Measurement(name=name, value=value)


def _wholes(
    scores: pl.DataFrame, counts: Mapping[str, int], config: AuditConfig
) -> Iterator[tuple[str, Callable[[], float]]]:
    key = ["subject_id", "index_time"] if config.is_forecast else ["subject_id"]
    yield ROWS, lambda: scores.height
    yield BAD_OF_TASK[config.task], lambda: int(np.count_nonzero(~_is_whole(scores, config.task)))
    yield repeated_of(config), lambda: scores.height - scores.select(key).n_unique()
    yield UNKNOWN_CODES, lambda: _unknown_code_share(counts)
    yield MISSING, lambda: float(np.mean(numbers_of(scores, "share_missing")))


def _is_whole(scores: pl.DataFrame, task: Task) -> BoolArray:
    """Rows [n] whose score is one at all: a probability, a volatility, quantiles in order."""
    if task == "volatility":
        values = numbers_of(scores, "score")
        return np.isfinite(values) & (values > 0.0)
    if task == "quantiles":
        quantiles = np.column_stack([numbers_of(scores, each) for each in QUANTILE_COLUMNS])
        in_order = np.all(np.diff(quantiles, axis=1) >= 0.0, axis=1)
        is_median = numbers_of(scores, "score") == numbers_of(scores, "score_q50")
        whole: BoolArray = np.isfinite(quantiles).all(axis=1) & in_order & is_median
        return whole
    return is_probability(numbers_of(scores, "score"))


def _unknown_code_share(counts: Mapping[str, int]) -> float:
    events, unknown = counts[EVENTS], counts[UNKNOWN_EVENTS]
    if not 0 <= unknown <= events or events == 0:
        raise ValueError("counts of events contradict each other")
    return unknown / events


def _drifts(
    scores: pl.DataFrame, reference: pl.DataFrame, config: AuditConfig
) -> Iterator[tuple[str, Callable[[], float]]]:
    if config.predictions.max_score_shift_psi is not None:
        yield SHIFT, lambda: _shift(scores, reference, config)
    if config.is_forecast:
        yield OUTSIDE, lambda: _outside_share(scores, reference, config.task)


def _outside_share(scores: pl.DataFrame, reference: pl.DataFrame, task: Task) -> float:
    """Share of rows whose score lies outside the inner 99.8 % of the release's.

    Unlike a stability index it tells with one row. One score for all rows is no forecast of any.
    """
    expected, actual = _compared(reference, task), _compared(scores, task)
    if len(expected) == 0 or len(actual) == 0 or np.isnan([expected.sum(), actual.sum()]).any():
        raise ValueError("a range needs scores on both sides")
    if len(actual) > 1 and len(np.unique(numbers_of(scores, "score"))) == 1:
        return 1.0
    low, high = np.quantile(expected, _INNER)
    return float(np.mean((actual < low) | (actual > high)))


def _shift(scores: pl.DataFrame, reference: pl.DataFrame, config: AuditConfig) -> float:
    expected, actual = (_compared(frame, config.task) for frame in (reference, scores))
    return population_stability_index(expected, actual, config.predictions.psi_bins)


def _compared(frame: pl.DataFrame, task: Task) -> FloatArray:
    """What may not drift: a probability, or a volatility or width as a multiple of its scale.

    In units of its own a volatility drifts with every storm; a sound model follows it.
    """
    if task == "volatility":
        return numbers_of(frame, "score") / numbers_of(frame, "scale")
    if task == "quantiles":
        width = numbers_of(frame, "score_q95") - numbers_of(frame, "score_q05")
        return width / numbers_of(frame, "scale")
    return numbers_of(frame, "score")


def population_stability_index(expected: FloatArray, actual: FloatArray, bins: int) -> float:
    """Sum over bins of (a - e) ln(a / e), a and e the shares of actual [m] and expected [n].

    Bins are quantiles of `expected`; an empty bin counts as half a subject (Siddiqi, Credit Risk
    Scorecards, 2006). 0 is no shift; above 0.25 is commonly called a large one. Raises ValueError
    where there is no value, or one that is NaN.
    """
    if len(expected) == 0 or len(actual) == 0 or np.isnan([expected.sum(), actual.sum()]).any():
        raise ValueError("a stability index needs scores on both sides")
    edges = np.unique(np.quantile(expected, np.linspace(0.0, 1.0, bins + 1)[1:-1]))
    shares = []
    for values in (expected, actual):
        counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        filled = np.where(counts == 0, _EMPTY_BIN, counts)
        shares.append(filled / filled.sum())
    before, now = shares
    return float(np.sum((now - before) * np.log(now / before)))

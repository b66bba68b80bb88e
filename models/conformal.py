"""Quantiles corrected by their own recent misses, as far as these were known at the time.

Split conformal prediction for quantiles (Romano, Patterson & Candes 2019), level by level, over
a window that moves with time. There is no state but the labels: a backfill repeats it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

LEAST_ROWS = 200


@dataclass(frozen=True)
class Predicted:
    """Uncorrected quantiles [R, L] of one estimator, and when they were made [R].

    Attributes:
        quantiles: [R, L] in the label's unit, at ascending levels.
        scale: [R] > 0.
        index_day: [R] days, from any origin.
    """

    quantiles: Floats
    scale: Floats
    index_day: Floats


@dataclass(frozen=True)
class History:
    """What came true of such predictions.

    Attributes:
        predicted: of H rows.
        label: [H] NaN where unknown.
        label_end_day: [H] when the label was decided and known; NaN where unknown.
    """

    predicted: Predicted
    label: Floats
    label_end_day: Floats


def correct(
    asked: Predicted, history: History, levels: tuple[float, ...], days: float
) -> tuple[Floats, Counts]:
    """Corrected quantiles [R, L], and how many labels [R] each row was corrected by.

    The offset of a level is that level's quantile of (label - quantile) / scale over the history
    with label_end_day <= the row's index_day and index_day within the last `days` before it;
    the row's quantile moves by offset x its scale, and the row is sorted. A row with fewer than
    200 such labels stays as it is, with a count of 0.
    """
    known = ~np.isnan(history.label) & ~np.isnan(history.label_end_day)
    past = history.predicted
    misses = (history.label[:, None] - past.quantiles) / past.scale[:, None]  # [H, L]
    misses, made, decided = misses[known], past.index_day[known], history.label_end_day[known]
    moments, which = np.unique(asked.index_day, return_inverse=True)
    offsets = np.zeros((len(moments), len(levels)))
    counts = np.zeros(len(moments), dtype=np.int64)
    for number, moment in enumerate(moments):
        recent = (decided <= moment) & (made > moment - days)
        if recent.sum() >= LEAST_ROWS:
            counts[number] = recent.sum()
            offsets[number] = _own_quantiles(misses[recent], levels)
    moved = asked.quantiles + offsets[which] * asked.scale[:, None]
    corrected = np.where(counts[which, None] > 0, np.sort(moved, axis=1), asked.quantiles)
    return corrected, counts[which]


def _own_quantiles(misses: Floats, levels: tuple[float, ...]) -> list[float]:
    """[L] of each column [N] the quantile at its own level."""
    columns = zip(misses.T, levels, strict=True)
    return [float(np.quantile(column, level)) for column, level in columns]

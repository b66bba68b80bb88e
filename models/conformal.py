"""Quantiles corrected by their own recent misses, as far as these were known at the time.

Split conformal prediction for quantiles (Romano, Patterson & Candes 2019), level by level, over
a window that moves with time; by groups apart (Vovk et al. 2003) and with levels that adapt
(Gibbs & Candes 2021) where a study asks for it. There is no state but the labels: a backfill
repeats it.
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
        group: [R] whose misses correct whose quantiles; None for everybody together.
    """

    quantiles: Floats
    scale: Floats
    index_day: Floats
    group: Floats | None = None

    def of(self, rows: npt.NDArray[np.bool_]) -> "Predicted":
        """Those of `rows` [R] alone, as one group."""
        return Predicted(self.quantiles[rows], self.scale[rows], self.index_day[rows])


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


@dataclass(frozen=True)
class Correction:
    """How quantiles are corrected.

    Attributes:
        days: of this many days before a row's index time misses are looked at.
        rate: how fast the levels asked for follow what is missed all the same; 0 for not at all.
    """

    days: float
    rate: float = 0.0


def correct(
    asked: Predicted, history: History, levels: tuple[float, ...], correction: Correction
) -> tuple[Floats, Counts]:
    """Corrected quantiles [R, L], and how many labels [R] each row was corrected by.

    The offset of a level is that level's quantile of (label - quantile) / scale over the history
    with label_end_day <= the row's index_day and index_day within the last `days` before it;
    the row's quantile moves by offset x its scale, and the row is sorted. A row with fewer than
    200 such labels stays as it is, with a count of 0. A group with as many labels of its own is
    corrected by these alone.
    """
    corrected, counts = _together(asked, history, levels, correction)
    if asked.group is None or history.predicted.group is None:
        return corrected, counts
    for group in np.unique(asked.group):
        rows, past = asked.group == group, history.predicted.group == group
        own = History(history.predicted.of(past), history.label[past], history.label_end_day[past])
        apart, counted = _together(asked.of(rows), own, levels, correction)
        enough = counted > 0
        corrected[rows] = np.where(enough[:, None], apart, corrected[rows])
        counts[rows] = np.where(enough, counted, counts[rows])
    return corrected, counts


@dataclass(frozen=True)
class _Misses:
    """(label - quantile) / scale [H, L] of the known labels, when made and when decided [H].

    label: [H], in the scale of each row; quantiles: [H, L], likewise.
    """

    of_level: Floats
    made: Floats
    decided: Floats
    label: Floats
    quantiles: Floats

    @classmethod
    def of(cls, history: History) -> "_Misses":
        known = ~np.isnan(history.label) & ~np.isnan(history.label_end_day)
        past = history.predicted
        misses = (history.label[:, None] - past.quantiles) / past.scale[:, None]
        return cls(
            misses[known],
            past.index_day[known],
            history.label_end_day[known],
            (history.label / past.scale)[known],
            (past.quantiles / past.scale[:, None])[known],
        )

    def offsets(self, moment: float, asked_levels: Floats, days: float) -> tuple[Floats, int]:
        """[L] what each quantile moves by at a moment, in scales, and by how many labels."""
        recent = (self.decided <= moment) & (self.made > moment - days)
        if recent.sum() < LEAST_ROWS:
            return np.zeros(len(asked_levels)), 0
        return np.array(_own_quantiles(self.of_level[recent], asked_levels)), int(recent.sum())


def _together(
    asked: Predicted, history: History, levels: tuple[float, ...], correction: Correction
) -> tuple[Floats, Counts]:
    """As `correct`, without groups."""
    misses = _Misses.of(history)
    moments, which = np.unique(asked.index_day, return_inverse=True)
    targets = _adapted(misses, moments, np.array(levels), correction)
    offsets = np.zeros((len(moments), len(levels)))
    counts = np.zeros(len(moments), dtype=np.int64)
    for number, moment in enumerate(moments):
        found = misses.offsets(moment, targets[number], correction.days)
        offsets[number], counts[number] = found
    moved = asked.quantiles + offsets[which] * asked.scale[:, None]
    corrected = np.where(counts[which, None] > 0, np.sort(moved, axis=1), asked.quantiles)
    return corrected, counts[which]


def _adapted(misses: _Misses, moments: Floats, levels: Floats, correction: Correction) -> Floats:
    """[M, L] the levels that are asked for at each moment so that `levels` are reached.

    Whenever labels become known of rows that had been corrected, each level moves by rate x (level
    - the share of these labels that lay below its corrected quantile), within 0 and 1. That is the
    quantile as it was published, in the sorted row.
    """
    if correction.rate == 0.0:
        return np.tile(levels, (len(moments), 1))
    target, at = levels.copy(), dict.fromkeys(moments.tolist(), levels)
    given = np.full(misses.of_level.shape, np.nan)  # the quantiles published of each past row
    waiting = np.ones(len(misses.made), dtype=bool)
    for moment in np.union1d(misses.made, moments):
        told = waiting & (misses.decided <= moment) & ~np.isnan(given[:, 0])
        if told.any():
            below = (misses.label[told, None] <= given[told]).mean(axis=0)
            target = np.clip(target + correction.rate * (levels - below), 0.0, 1.0)
            waiting &= ~told
        offsets, count = misses.offsets(moment, target, correction.days)
        if count:
            made = misses.made == moment
            given[made] = np.sort(misses.quantiles[made] + offsets, axis=1)
        at[float(moment)] = target
    return np.array([at[moment] for moment in moments.tolist()])


def _own_quantiles(misses: Floats, levels: Floats) -> list[float]:
    """[L] of each column [N] the quantile at its own level."""
    columns = zip(misses.T, levels, strict=True)
    return [float(np.quantile(column, level)) for column, level in columns]

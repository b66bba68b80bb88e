"""Discrimination: weighted AUROC and average precision for many weightings of the same rows.

A bootstrap asks for the same metric under thousands of weightings. The order of scores never
changes, so it is sorted once and cut at the tie blocks that hold an event: everything else is
sums between two cuts. Weights may be zero; a zero weight is the same as an absent row.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Ranking:
    """Rows in ascending order of score and the cuts around each tie block with an event.

    order [n]: rows by ascending score.      cuts [s]: first position of each segment.
    events [p]: positions of events.         block_starts [k]: first of `events` in each block.
    block_segments [k]: the segment that is the block.
    """

    order: IntArray
    cuts: IntArray
    events: IntArray
    block_starts: IntArray
    block_segments: IntArray


def rank(y: FloatArray, score: FloatArray) -> Ranking:
    """Sort rows by score and find the tie blocks that hold events. y [n] is 0 or 1."""
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    events = np.flatnonzero(y[order] == 1.0)
    starts = np.searchsorted(ordered, ordered[events], side="left")
    ends = np.searchsorted(ordered, ordered[events], side="right")
    block_first, block_starts = np.unique(starts, return_index=True)
    cuts = np.unique(np.concatenate([[0], starts, ends]))
    cuts = cuts[cuts < len(order)]
    return Ranking(order, cuts, events, block_starts, np.searchsorted(cuts, block_first))


@dataclass(frozen=True)
class _Blocks:
    """Weight sums per draw and tie block, ascending by score; each [draws, k]."""

    event: FloatArray
    other: FloatArray
    other_below: FloatArray
    other_total: FloatArray  # [draws]


def _blocks(ranking: Ranking, ordered: FloatArray) -> _Blocks:
    event = np.add.reduceat(ordered[:, ranking.events], ranking.block_starts, axis=1)
    other = np.add.reduceat(ordered, ranking.cuts, axis=1)
    other[:, ranking.block_segments] -= event
    below = np.cumsum(other, axis=1)
    return _Blocks(
        event=event,
        other=other[:, ranking.block_segments],
        other_below=below[:, ranking.block_segments] - other[:, ranking.block_segments],
        other_total=below[:, -1],
    )


def discrimination(ranking: Ranking, ordered: FloatArray) -> tuple[FloatArray, FloatArray]:
    """AUROC and average precision, each [draws], of weights already in the ranking's order.

    ordered [draws, n]: weights, column j belonging to row ranking.order[j].
    """
    if len(ranking.events) == 0:
        nothing = np.full(len(ordered), np.nan)
        return nothing, nothing.copy()
    blocks = _blocks(ranking, ordered)
    event_total = blocks.event.sum(axis=1)
    # A pair of equal scores counts one half (Mann-Whitney with mid-ranks).
    won = (blocks.event * (blocks.other_below + 0.5 * blocks.other)).sum(axis=1)
    auroc = ratio(won, event_total * blocks.other_total)
    found = np.cumsum(blocks.event[:, ::-1], axis=1)[:, ::-1]
    false = blocks.other_total[:, None] - blocks.other_below
    precision = ratio(found, found + false)
    # A block without weight in a draw is no threshold of that draw.
    gained = np.where(blocks.event > 0, blocks.event * precision, 0.0).sum(axis=1)
    return auroc, ratio(gained, event_total)


def auroc(y: FloatArray, score: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted area under the ROC curve, [draws]; NaN where a draw lacks events or non-events.

    sum over pairs (event i, non-event j) of w_i w_j (1 if s_i > s_j, 1/2 if equal), divided by
    sum w_i * sum w_j: Hanley and McNeil, Radiology 1982; Mann and Whitney 1947 for ties.
    y [n], score [n], weights [draws, n].
    """
    ranking = rank(y, score)
    return discrimination(ranking, weights[:, ranking.order])[0]


def auprc(y: FloatArray, score: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted average precision, [draws]; NaN where a draw lacks events.

    sum over thresholds of (recall gained) * precision, without interpolation, as in
    sklearn.metrics.average_precision_score. y [n], score [n], weights [draws, n].
    """
    ranking = rank(y, score)
    return discrimination(ranking, weights[:, ranking.order])[1]


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """numerator / denominator, NaN where the denominator is not positive."""
    out: FloatArray = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out

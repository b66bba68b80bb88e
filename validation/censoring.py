"""Censoring weights that are estimated again in every bootstrap draw.

A subject who was followed long enough stands for those who were not: its weight is 1 / G(T-), where
G is the Kaplan-Meier estimate of staying uncensored, fitted on the training split. G is an estimate
too: an interval that takes the weights as given leaves its spread out.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from validation.ranking import FloatArray, IntArray

FITTED_ON = "train"
FOLLOWED = "followed_days"
# Weights are stored in single precision.
_SAME_WEIGHT = 1e-5
_OUTSIDE = -1

NO_FOLLOW_UP = f"the table has no column {FOLLOWED}"
NOBODY_CENSORED = "nobody was lost before the horizon"
OTHER_WEIGHTS = "they are not the inverse Kaplan-Meier weights of the training split"


@dataclass(frozen=True)
class LossCurve:
    """Where subjects are lost, of subjects sorted by days followed.

    Of one day, outcomes come before losses. cuts [s]: first position of each segment; a segment is
    either the losses of one moment or what lies between. loss_segments [k]: those of losses.
    """

    cuts: IntArray
    loss_segments: IntArray

    def staying(self, weights: FloatArray) -> FloatArray:
        """G before the first moment of loss and after each, [d, k + 1], of weights [d, m].

        Kaplan and Meier, J Am Stat Assoc 1958: product of 1 - lost / at risk, weighted.
        """
        sums = np.add.reduceat(weights, self.cuts, axis=1)
        at_risk = np.cumsum(sums[:, ::-1], axis=1)[:, ::-1][:, self.loss_segments]
        lost = sums[:, self.loss_segments]
        # Nobody at risk in a draw: nobody is lost in it either.
        share = np.divide(lost, at_risk, out=np.zeros_like(lost), where=at_risk > 0)
        start = np.ones((len(weights), 1))
        return np.concatenate([start, np.cumprod(1.0 - share, axis=1)], axis=1)


@dataclass(frozen=True)
class Censoring:
    """What a population's weights were estimated from. n: its rows; m: training subjects.

    known [n]: the label is known.       after [n]: moments of loss before the end of follow-up.
    curve: of the training subjects in the order of `source` and `outside`.
    firsts [c]: the first row of each of the population's clusters.
    source [m]: a row of the population that is drawn as often as the training subject, -1 for one
    whose cluster is not among the population's.
    outside [m]: for those, the number of the cluster, 0 to outside_clusters - 1.
    """

    known: npt.NDArray[np.bool_]
    after: IntArray
    curve: LossCurve
    firsts: IntArray
    source: IntArray
    outside: IntArray
    outside_clusters: int

    def weights(self, counts: FloatArray) -> FloatArray:
        """Weights [d, n] of rows drawn counts [d, n] times; NaN where nobody of the draw stayed."""
        staying = self.curve.staying(self._training_counts(counts))[:, self.after]
        drawn = counts * self.known
        out = np.where(drawn > 0, np.nan, 0.0)
        np.divide(drawn, staying, out=out, where=staying > 0)
        return out

    def _training_counts(self, counts: FloatArray) -> FloatArray:
        """How often each training subject is drawn, [d, m]."""
        if not self.outside_clusters:
            return counts[:, self.source]
        others = self._others(counts[:, self.firsts])[:, self.outside]
        return np.where(self.source == _OUTSIDE, others, counts[:, self.source])

    def _others(self, drawn: FloatArray) -> FloatArray:
        """Draws of the clusters outside the population, [d, outside_clusters].

        drawn [d, c]: of the population's own clusters, from which the seed follows: the same draw
        gives the same weights whoever asks. A row that is no draw with replacement (all as they
        are, or one cluster left out) leaves the training subjects as they are.
        """
        resampled = (drawn.sum(axis=1) == drawn.shape[1]) & (drawn != 1).any(axis=1)
        factors = np.random.default_rng(0).integers(1, 2**63, drawn.shape[1], dtype=np.uint64)
        seeds = drawn.astype(np.uint64) @ factors
        found = np.ones((len(drawn), self.outside_clusters))
        for i in np.flatnonzero(resampled):
            rng = np.random.default_rng(int(seeds[i]))
            picked = rng.integers(0, self.outside_clusters, self.outside_clusters)
            found[i] = np.bincount(picked, minlength=self.outside_clusters)
        return found


def censoring_of(
    predictions: pl.DataFrame, rows: pl.DataFrame, weight: FloatArray
) -> Censoring | str:
    """How the weights of `rows` can be estimated again, or why they are taken as they are.

    predictions: the whole table with followed_days, cluster, split and label (null = censored).
    rows: those of one population, weight [n] theirs.
    """
    if FOLLOWED not in predictions.columns:
        return NO_FOLLOW_UP
    fitted = predictions.filter(
        (pl.col("split") == FITTED_ON) & pl.col(FOLLOWED).is_finite().fill_null(False)
    ).select(
        pl.col(FOLLOWED).cast(pl.Float64),
        pl.col("cluster").cast(pl.Int64),
        lost=pl.col("label").cast(pl.Float64).fill_null(np.nan).is_nan(),
    )
    if not fitted["lost"].any():
        return NOBODY_CENSORED
    found = _censoring(fitted.sort(FOLLOWED, "lost"), rows, weight > 0)
    again = found.weights(np.ones((1, rows.height)))[0]
    if not np.allclose(again, weight, rtol=_SAME_WEIGHT, atol=0.0):
        return OTHER_WEIGHTS
    return found


def _censoring(fitted: pl.DataFrame, rows: pl.DataFrame, known: npt.NDArray[np.bool_]) -> Censoring:
    days, lost = fitted[FOLLOWED].to_numpy(), fitted["lost"].to_numpy()
    moments = np.unique(days[lost])
    # Of one day the losses come last: they begin so many places before the day's end.
    ends = np.searchsorted(days, moments, side="right")
    starts = ends - np.bincount(np.searchsorted(moments, days[lost]), minlength=len(moments))
    cuts = np.unique(np.concatenate([[0], starts, ends]))
    cuts = cuts[cuts < len(days)]
    names, firsts = np.unique(rows["cluster"].to_numpy(), return_index=True)
    clusters = fitted["cluster"].to_numpy()
    place = np.minimum(np.searchsorted(names, clusters), len(names) - 1)
    is_inside = names[place] == clusters
    strangers, outside = np.unique(clusters[~is_inside], return_inverse=True)
    numbers = np.zeros(len(clusters), dtype=np.intp)
    numbers[~is_inside] = outside
    followed = rows[FOLLOWED].cast(pl.Float64).fill_null(np.inf).to_numpy()
    return Censoring(
        known=known,
        after=np.searchsorted(moments, followed, side="left"),
        curve=LossCurve(cuts.astype(np.intp), np.searchsorted(cuts, starts)),
        firsts=firsts,
        source=np.where(is_inside, firsts[place], _OUTSIDE),
        outside=numbers,
        outside_clusters=len(strangers),
    )

"""The subjects that an audit measures, taken from the predictions table and checked."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from validation.censoring import Censoring, censoring_of
from validation.config import AuditConfig
from validation.groups import UnauditableTable, numbers_of, with_named_levels
from validation.ranking import FloatArray, IntArray
from validation.tasks import PopulationName

_TEST_SPLIT = "test"
_CROSS_FITTED_SUFFIX = "_cross_fitted"
_SAME_SCORE = 1e-6
_SEED_COLUMN = re.compile(r"score_seed_\d+")


@dataclass(frozen=True)
class Population:
    """Subjects with labels and scores. All arrays [n]; a weight of 0 is a censored subject.

    seeds: [S, n], the score of each of the ensemble's seeds alone, where there are several.
    censoring: how the weights are estimated again in a draw; else fixed_because says why not.
    """

    name: PopulationName
    y: FloatArray
    weight: FloatArray
    clusters: npt.NDArray[np.int64]
    score: FloatArray
    challengers: Mapping[str, FloatArray]
    attributes: pl.DataFrame
    in_holdout: npt.NDArray[np.bool_]
    seeds: FloatArray | None = None
    censoring: Censoring | None = None
    fixed_because: str | None = None

    def weights_of(self, counts: FloatArray) -> FloatArray:
        """Weights [d, n] of rows drawn counts [d, n] times, whole clusters alike."""
        if self.censoring is None:
            return counts * self.weight
        return self.censoring.weights(counts)


def belongs_to(name: PopulationName) -> pl.Expr:
    """Whether a row of the predictions is one of the population's."""
    if name == "holdout":
        return pl.col("split") == _TEST_SPLIT
    return pl.col("score" + _CROSS_FITTED_SUFFIX).is_not_null()


def populations_of(
    predictions: pl.DataFrame, config: AuditConfig, challengers: Sequence[str]
) -> list[Population]:
    """holdout, and cross_fitted where there are such scores.

    predictions: subject_id, cluster, split, label (null = censored), weight, score, the
    attributes, one column per challenger, and each of them with the suffix _cross_fitted.
    Raises UnauditableTable where a column is missing or a row contradicts itself.
    """
    missing = [name for name in _needed(challengers) if name not in predictions.columns]
    if missing:
        raise UnauditableTable(f"predictions without columns {missing}")
    frame = predictions.with_columns(in_holdout=belongs_to("holdout"))
    found = [_population("holdout", frame, pl.col("in_holdout"), config, challengers)]
    if "score" + _CROSS_FITTED_SUFFIX in frame.columns:
        is_scored = belongs_to("cross_fitted")
        if frame.filter(is_scored).height:
            if frame.filter("in_holdout", ~is_scored).height:
                raise UnauditableTable("cross_fitted: not every subject of the holdout has a score")
            found.append(_population("cross_fitted", frame, is_scored, config, challengers))
    return found


def cross_fitted_population(
    predictions: pl.DataFrame, config: AuditConfig, models: Sequence[str]
) -> Population:
    """The subjects with a score_cross_fitted alone, and what each of the `models` says of them.

    predictions: as ``populations_of``; scores that are not cross-fitted need not be there.
    Raises UnauditableTable where a column is missing or a row contradicts itself.
    """
    frame = predictions.with_columns(in_holdout=belongs_to("holdout"))
    return _population("cross_fitted", frame, belongs_to("cross_fitted"), config, models)


def _needed(challengers: Sequence[str]) -> list[str]:
    return ["subject_id", "cluster", "split", "label", "weight", "score", *challengers]


def _population(
    name: PopulationName,
    predictions: pl.DataFrame,
    belongs: pl.Expr,
    config: AuditConfig,
    challengers: Sequence[str],
) -> Population:
    frame = predictions.filter(belongs)
    if frame.is_empty():
        raise UnauditableTable(f"{name}: no subjects")
    if frame["subject_id"].n_unique() != frame.height:
        raise UnauditableTable(f"{name}: a subject is there twice")
    suffix = _CROSS_FITTED_SUFFIX if name == "cross_fitted" else ""
    # Cross-fitted scores without cross-fitted challengers: the gate will say what is missing.
    present = [other for other in challengers if other + suffix in frame.columns]
    y, weight = _labels(frame, name)
    censoring = censoring_of(predictions, frame, weight)
    return Population(
        name=name,
        y=y,
        weight=weight,
        clusters=frame["cluster"].cast(pl.Int64).to_numpy(),
        score=_probabilities(frame, "score" + suffix),
        challengers={other: _probabilities(frame, other + suffix) for other in present},
        attributes=with_named_levels(frame, config.attributes),
        in_holdout=frame["in_holdout"].to_numpy(),
        # Each cross-fitted score comes from one network: its seeds differ from fold to fold.
        seeds=_seeds(frame) if name == "holdout" else None,
        censoring=None if isinstance(censoring, str) else censoring,
        fixed_because=censoring if isinstance(censoring, str) else None,
    )


def _labels(frame: pl.DataFrame, where: str) -> tuple[FloatArray, FloatArray]:
    label = numbers_of(frame, "label")
    weight = numbers_of(frame, "weight")
    censored = np.isnan(label)
    if not np.isin(label[~censored], [0.0, 1.0]).all():
        raise UnauditableTable(f"{where}: a label is neither 0, 1 nor null")
    if not np.isfinite(weight).all() or (weight < 0).any():
        raise UnauditableTable(f"{where}: a weight is null, infinite or negative")
    if ((weight == 0) != censored).any():
        raise UnauditableTable(f"{where}: weight 0 and a null label must go together")
    return np.where(censored, 0.0, label), weight


def _seeds(frame: pl.DataFrame) -> FloatArray | None:
    columns = sorted(name for name in frame.columns if _SEED_COLUMN.fullmatch(name))
    if len(columns) < 2:
        return None
    seeds = np.stack([_probabilities(frame, column) for column in columns])
    together = ensemble_score(seeds, np.ones(len(columns), dtype=np.intp))
    if not np.allclose(together, _probabilities(frame, "score"), rtol=0.0, atol=_SAME_SCORE):
        raise UnauditableTable("the scores of the ensemble's seeds do not make its score")
    return seeds


def ensemble_score(by_seed: FloatArray, times: IntArray) -> FloatArray:
    """Scores [n] of an ensemble that takes the seeds' scores by_seed [S, n] times [S] times.

    The ensemble averages logits before its calibration, which is linear in them: so the logit of
    its score is the mean of the seeds' own.
    """
    # A score of exactly 0 or 1 has no logit.
    kept = np.clip(by_seed, 1e-12, 1.0 - 1e-12)
    mean = (times / times.sum()) @ (np.log(kept) - np.log1p(-kept))
    score: FloatArray = np.exp(-np.logaddexp(0.0, -mean))
    return score


def _probabilities(frame: pl.DataFrame, column: str) -> FloatArray:
    score = numbers_of(frame, column)
    if not ((score >= 0.0) & (score <= 1.0)).all():
        raise UnauditableTable(f"column {column!r} holds a value that is no probability")
    return score

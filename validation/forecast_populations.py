"""The rows of forecasts that an audit measures, taken from the predictions table and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from validation.config import AuditConfig
from validation.forecasts import QUANTILES
from validation.groups import UnauditableTable, numbers_of, with_named_levels
from validation.ranking import FloatArray, IntArray
from validation.tasks import PopulationName, Task

_TEST_SPLIT = "test"
_WALK_FORWARD_SUFFIX = "_walk_forward"
NETWORK = "score"
_RETURN = "forward_return"


@dataclass(frozen=True)
class ForecastPopulation:
    """Rows (a subject at an index time) with labels and forecasts. All arrays [n].

    known: the label is known; a row without carries nothing, its label is NaN.
    blocks: 0 to number_of_blocks - 1; a block without a known label is -1.
    days: days since 1970 of the index time.    forecasts: [n, k] of the network (`score`) and of
    every challenger.    returns: of direction, log return of the label's time, where it is told.
    """

    name: PopulationName
    label: FloatArray
    known: npt.NDArray[np.bool_]
    clusters: IntArray
    blocks: IntArray
    number_of_blocks: int
    days: IntArray
    years: IntArray
    subjects: npt.NDArray[np.int64]
    forecasts: Mapping[str, FloatArray]
    attributes: pl.DataFrame
    returns: FloatArray | None = None


def forecast_columns(task: Task, model: str, suffix: str = "") -> tuple[str, ...]:
    """The columns of one model's forecast: one, or one per quantile."""
    if task == "quantiles":
        return tuple(f"{model}_{name}{suffix}" for name in QUANTILES)
    return (model + suffix,)


def forecast_populations(
    predictions: pl.DataFrame, config: AuditConfig, challengers: Sequence[str]
) -> list[ForecastPopulation]:
    """holdout (split test), and walk_forward where there are such scores.

    predictions: subject_id, index_time, cluster, split, label (null = unknown), the attributes,
    and of the network and of each challenger the columns of `forecast_columns`, each also with
    the suffix _walk_forward. Raises UnauditableTable where a column is missing or a row
    contradicts itself.
    """
    if config.reference not in challengers:
        raise UnauditableTable(f"the reference {config.reference!r} is no challenger")
    shared = ["subject_id", "index_time", "cluster", "split", "label"]
    _require(predictions, shared)
    held_out = predictions.filter(pl.col("split") == _TEST_SPLIT)
    found = [_population("holdout", held_out, config, challengers, "")]
    walked = NETWORK + _WALK_FORWARD_SUFFIX
    if walked in predictions.columns:
        rows = predictions.filter(pl.col(walked).is_not_null())
        if rows.height:
            found.append(
                _population("walk_forward", rows, config, challengers, _WALK_FORWARD_SUFFIX)
            )
    return found


def walk_forward_population(
    predictions: pl.DataFrame, config: AuditConfig, models: Sequence[str]
) -> ForecastPopulation:
    """The rows with a walk-forward score alone, and what each of the `models` says of them.

    predictions: as ``forecast_populations``; only the columns of a walk-forward are needed.
    Raises UnauditableTable where a column is missing or a row contradicts itself.
    """
    walked = forecast_columns(config.task, NETWORK, _WALK_FORWARD_SUFFIX)[0]
    _require(predictions, ["subject_id", "index_time", "cluster", "label", walked])
    rows = predictions.filter(pl.col(walked).is_not_null())
    return _population("walk_forward", rows, config, models, _WALK_FORWARD_SUFFIX)


def _require(frame: pl.DataFrame, columns: Sequence[str]) -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise UnauditableTable(f"predictions without columns {missing}")


def _population(
    name: PopulationName,
    frame: pl.DataFrame,
    config: AuditConfig,
    challengers: Sequence[str],
    suffix: str,
) -> ForecastPopulation:
    models = [NETWORK, *challengers]
    _require(frame, [each for one in models for each in forecast_columns(config.task, one, suffix)])
    if frame.is_empty():
        raise UnauditableTable(f"{name}: no rows")
    if frame.select("subject_id", "index_time").is_duplicated().any():
        raise UnauditableTable(f"{name}: a subject is there twice at one index time")
    label = _labels(frame, config.task, name)
    known = ~np.isnan(label)
    time = frame["index_time"]
    days = time.dt.epoch("d").cast(pl.Int64).to_numpy().astype(np.intp)
    clusters = _clusters(frame, days, name)
    named = np.unique(clusters[known])
    place = np.searchsorted(named, clusters)
    is_named = np.isin(clusters, named)
    forecasts = {model: _forecast(frame, config.task, model, suffix) for model in models}
    if config.task == "quantiles" and (np.diff(forecasts[NETWORK], axis=1) < 0).any():
        raise UnauditableTable(f"{name}: quantiles of the network cross")
    has_returns = config.task == "direction" and _RETURN in frame.columns
    return ForecastPopulation(
        name=name,
        label=label,
        known=known,
        clusters=clusters,
        blocks=np.where(is_named, place, -1),
        number_of_blocks=len(named),
        days=days,
        years=time.dt.year().to_numpy().astype(np.intp),
        subjects=frame["subject_id"].cast(pl.Int64).to_numpy(),
        forecasts=forecasts,
        attributes=with_named_levels(frame, config.attributes),
        returns=numbers_of(frame, _RETURN) if has_returns else None,
    )


def _clusters(frame: pl.DataFrame, days: IntArray, where: str) -> IntArray:
    if frame["cluster"].null_count():
        raise UnauditableTable(f"{where}: a row is in no block of time")
    clusters = frame["cluster"].cast(pl.Int64).to_numpy().astype(np.intp)
    pairs = pl.DataFrame({"day": days, "cluster": clusters})
    if pairs.n_unique() != pairs["day"].n_unique():
        raise UnauditableTable(f"{where}: a day lies in two blocks of time")
    return clusters


def _labels(frame: pl.DataFrame, task: Task, where: str) -> FloatArray:
    label = numbers_of(frame, "label")
    known = label[~np.isnan(label)]
    if np.isinf(known).any():
        raise UnauditableTable(f"{where}: a label is infinite")
    if task == "volatility" and not (known > 0).all():
        raise UnauditableTable(f"{where}: a volatility is not above 0")
    if task == "direction" and not np.isin(known, [0.0, 1.0]).all():
        raise UnauditableTable(f"{where}: a label is neither 0, 1 nor null")
    return label


def _forecast(frame: pl.DataFrame, task: Task, model: str, suffix: str) -> FloatArray:
    columns = forecast_columns(task, model, suffix)
    values = np.column_stack([numbers_of(frame, column) for column in columns])
    if not np.isfinite(values).all():
        raise UnauditableTable(f"a forecast of {model!r} is null or not finite")
    if task == "volatility" and not (values > 0).all():
        raise UnauditableTable(f"a volatility of {model!r} is not above 0")
    if task == "direction" and not ((values >= 0) & (values <= 1)).all():
        raise UnauditableTable(f"column {columns[0]!r} holds a value that is no probability")
    return values

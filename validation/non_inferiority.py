"""The audited model against the one that stands, on the subjects that both held out."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from validation.config import AuditConfig
from validation.estimates import Estimate
from validation.forecast_measuring import difference as forecast_difference
from validation.forecast_measuring import measure_forecasts, model_of
from validation.forecast_populations import NETWORK, forecast_columns, forecast_populations
from validation.groups import UnauditableTable
from validation.incumbent import NO_SUBJECT_IN_COMMON, IncumbentEvidence
from validation.measuring import difference, measure_parts, part_of
from validation.populations import Population, populations_of
from validation.tasks import INCUMBENT, METRIC_NAMES, MetricName, PopulationName, metric_names

OTHER_QUESTION = "the model that stands answers another question: labels of one subject differ"
OTHER_COLUMNS = "the predictions of the model that stands have other columns"
_LABEL = "label_of_incumbent"
_HELD_OUT = "held_out_by_incumbent"
_SUFFIXES = ("_cross_fitted", "_walk_forward")
# Labels are stored in single precision.
_SAME_LABEL = 1e-5

_Differences = dict[PopulationName, dict[MetricName, Estimate]]


def compared_with_incumbent(
    predictions: pl.DataFrame, incumbent: pl.DataFrame, config: AuditConfig
) -> IncumbentEvidence:
    """Paired differences, audited model minus incumbent, in every metric of the task.

    predictions, incumbent: the tables that both were audited on. Of people, subjects are joined by
    subject_id; of forecasts, rows by subject_id and index_time. What one of them learned from or
    never scored takes no part. Labels are those of `predictions`.
    """
    try:
        both = _joined(predictions, incumbent, config)
        if not (both["split"] == "test").any():
            return _without(NO_SUBJECT_IN_COMMON)
        if _labels_differ(both):
            return _without(OTHER_QUESTION)
        found = _of_forecasts(both, config) if config.is_forecast else _of_people(both, config)
    except pl.exceptions.ColumnNotFoundError:
        return _without(OTHER_COLUMNS)
    except UnauditableTable as error:
        return _without(f"the two models cannot be compared: {error}")
    return IncumbentEvidence(stands=True, differences=found)


def _without(reason: str) -> IncumbentEvidence:
    """A model stands and there is no difference to judge: a line about it cannot tell."""
    return IncumbentEvidence(stands=True, reason=reason)


def _joined(
    predictions: pl.DataFrame, incumbent: pl.DataFrame, config: AuditConfig
) -> pl.DataFrame:
    """The audited table with the incumbent's scores as those of a challenger of that name.

    A row that not both held out leaves the test split and has no score; training rows stay, since
    weights are estimated from them.
    """
    keys = ["subject_id", "index_time"] if config.is_forecast else ["subject_id"]
    shared = [
        s for s in _SUFFIXES if {NETWORK + s} <= {*predictions.columns} & {*incumbent.columns}
    ]
    own = [name for name in predictions.columns if not name.endswith(_SUFFIXES)]
    own += [name for name in predictions.columns if name.endswith(tuple(shared) or ("\0",))]
    renamed = [
        pl.col(theirs).alias(ours)
        for suffix in ("", *shared)
        for theirs, ours in zip(
            forecast_columns(config.task, NETWORK, suffix),
            forecast_columns(config.task, INCUMBENT, suffix),
            strict=True,
        )
    ]
    others = incumbent.select(
        *keys,
        pl.col("label").alias(_LABEL),
        (pl.col("split") == "test").alias(_HELD_OUT),
        *(pl.col(NETWORK + suffix).is_not_null().alias(_has(suffix)) for suffix in shared),
        *renamed,
    )
    both = predictions.select(own).join(others, on=keys, how="left", maintain_order="left")
    is_test, held_out = pl.col("split") == "test", pl.col(_HELD_OUT).fill_null(False)
    return both.with_columns(
        pl.when(is_test & ~held_out).then(pl.lit("none")).otherwise(pl.col("split")).alias("split"),
        *(
            pl.when(_has(suffix)).then(NETWORK + suffix).alias(NETWORK + suffix)
            for suffix in shared
        ),
    )


def _has(suffix: str) -> str:
    return f"scored_by_incumbent{suffix}"


def _labels_differ(both: pl.DataFrame) -> bool:
    """Where both tables know the label: one may know more by now than the other did."""
    known = both.select(pl.col("label", _LABEL).cast(pl.Float64)).drop_nulls().drop_nans()
    own, others = known["label"].to_numpy(), known[_LABEL].to_numpy()
    return not np.allclose(own, others, rtol=_SAME_LABEL, atol=_SAME_LABEL)


def _of_people(both: pl.DataFrame, config: AuditConfig) -> _Differences:
    return {
        population.name: _paired(population, config)
        for population in populations_of(both, config, (INCUMBENT,))
    }


def _paired(population: Population, config: AuditConfig) -> dict[MetricName, Estimate]:
    everyone = np.arange(len(population.y), dtype=np.intp)
    scores = (population.score, population.challengers[INCUMBENT])
    parts = [part_of(population, everyone, score, config) for score in scores]
    audited, incumbent = measure_parts(population, parts, config)
    return {name: difference(audited, incumbent, name, config) for name in METRIC_NAMES}


def _of_forecasts(both: pl.DataFrame, config: AuditConfig) -> _Differences:
    found: _Differences = {}
    for population in forecast_populations(both, config, (str(config.reference), INCUMBENT)):
        everything = np.ones(int(population.known.sum()), dtype=np.bool_)
        models: Sequence[str] = (NETWORK, INCUMBENT)
        measured = measure_forecasts(
            {(name,): (model_of(population, name, config), everything) for name in models}, config
        )
        audited, incumbent = measured[NETWORK,], measured[INCUMBENT,]
        found[population.name] = {
            name: forecast_difference(audited, incumbent, name, config.least_blocks)
            for name in metric_names(config.task)
        }
    return found

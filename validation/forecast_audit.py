"""From a table of forecasts to the performance part of the evidence."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from validation.break_even import break_even_cost
from validation.config import AuditConfig
from validation.estimates import Counts, Estimate
from validation.evidence import (
    Challenger,
    CoveragePoint,
    Gap,
    GroupPerformance,
    PopulationEvidence,
    SeriesPoint,
)
from validation.forecast_measuring import (
    MeasuredForecasts,
    Model,
    Rows,
    difference,
    measure_forecasts,
    metric_of,
    metrics_of,
    model_of,
    why_not,
)
from validation.forecast_populations import NETWORK, ForecastPopulation, forecast_populations
from validation.forecasts import LEVELS, QUANTILES, Ratio
from validation.group_counts import ALL_LEVELS
from validation.groups import Group, gap_of, groups_of
from validation.ranking import IntArray
from validation.tasks import OVERALL, PRIMARY_LOSS, PRIMARY_SKILL, losses_of, metric_names

# A year holds about twelve blocks of 22 sessions: its interval describes and judges nothing.
MINIMUM_BLOCKS_OF_A_YEAR = 5
# With longer blocks it holds fewer: a value can be said of them, an interval cannot.
MINIMUM_BLOCKS_OF_A_VALUE = 2

_Key = tuple[str, ...]
_Measured = Mapping[_Key, MeasuredForecasts]


def audit_forecasts(
    predictions: pl.DataFrame, config: AuditConfig, challengers: Sequence[str]
) -> tuple[PopulationEvidence, ...]:
    """Performance, groups, gaps, challengers, years and coverage of holdout and walk_forward.

    predictions: one row per subject and index time (see forecast_populations); challengers: their
    names. A row whose label is unknown is counted and carries no metric. Raises UnauditableTable
    where the table cannot be audited: the caller then has no evidence, and the gate stays closed.
    """
    populations = forecast_populations(predictions, config, challengers)
    return tuple(_audit(population, config, challengers) for population in populations)


def _audit(
    population: ForecastPopulation, config: AuditConfig, challengers: Sequence[str]
) -> PopulationEvidence:
    groups = groups_of(population.attributes, config)
    network = model_of(population, NETWORK, config)
    everything = np.ones(int(population.known.sum()), dtype=np.bool_)
    parts: dict[_Key, tuple[Model, Rows]] = {(NETWORK,): (network, everything)}
    for name in challengers:
        parts["challenger", name] = (model_of(population, name, config), everything)
    for group in groups:
        inside = rows_of(population, group)
        parts[_inside(group)], parts[_outside(group)] = (network, inside), (network, ~inside)
    years = population.years[population.known]
    for year in np.unique(years).tolist():
        parts["year", str(year)] = (network, years == year)
    measured = measure_forecasts(parts, config)
    return PopulationEvidence(
        population=population.name,
        overall=GroupPerformance(
            attribute=OVERALL,
            level=ALL_LEVELS,
            counts=_counts(population, np.arange(len(population.label)), config),
            metrics=metrics_of(measured[NETWORK,], config),
        ),
        groups=tuple(
            GroupPerformance(
                attribute=group.attribute,
                level=group.level,
                counts=_counts(population, group.rows, config),
                metrics=metrics_of(measured[_inside(group)], config),
            )
            for group in groups
        ),
        gaps=tuple(gap for group in groups for gap in _gaps(group, measured, config)),
        challengers=_challengers(challengers, measured, config),
        series=_series(years.tolist(), measured, config),
        coverage=_coverage(network, everything, config),
        break_even_cost=break_even_cost(population, config),
    )


def rows_of(population: ForecastPopulation, group: Group) -> Rows:
    """The group among the rows whose label is known, [m]."""
    inside = np.zeros(len(population.label), dtype=np.bool_)
    inside[group.rows] = True
    kept: Rows = inside[population.known]
    return kept


def _inside(group: Group) -> _Key:
    return ("inside", group.attribute, group.level)


def _outside(group: Group) -> _Key:
    return ("outside", group.attribute, group.level)


def _counts(population: ForecastPopulation, rows: IntArray, config: AuditConfig) -> Counts:
    known = rows[population.known[rows]]
    ups = int(np.count_nonzero(population.label[known] == 1.0))
    return Counts(
        subjects=len(np.unique(population.subjects[rows])),
        positives=ups if config.task == "direction" else None,
        rows=len(known),
        blocks=len(np.unique(population.blocks[known])),
        unknown=len(rows) - len(known),
    )


def _gaps(group: Group, measured: _Measured, config: AuditConfig) -> list[Gap]:
    inside, outside = measured[_inside(group)], measured[_outside(group)]
    gaps = []
    for name in metric_names(config.task):
        found = difference(inside, outside, name, config.least_blocks)
        gaps.append(gap_of(group, name, found))
    return gaps


def _challengers(
    names: Sequence[str], measured: _Measured, config: AuditConfig
) -> tuple[Challenger, ...]:
    primary = PRIMARY_LOSS[config.task]
    loss = {name: measured["challenger", name].point[primary] for name in names}
    best = min(loss, key=lambda name: np.nan_to_num(loss[name], nan=np.inf), default=None)
    return tuple(
        Challenger(
            name=name,
            best=name == best,
            metrics=metrics_of(measured["challenger", name], config),
            difference={
                compared: difference(
                    measured[NETWORK,], measured["challenger", name], compared, config.least_blocks
                )
                for compared in losses_of(config.task)
            },
        )
        for name in names
    )


def _series(
    years: Sequence[int], measured: _Measured, config: AuditConfig
) -> tuple[SeriesPoint, ...]:
    return tuple(
        SeriesPoint(
            year=year,
            rows=years.count(year),
            skill=_of_year(PRIMARY_SKILL[config.task], measured["year", str(year)]),
            loss=_of_year(PRIMARY_LOSS[config.task], measured["year", str(year)]),
        )
        for year in sorted(set(years))
    )


def _of_year(name: str, found: MeasuredForecasts) -> Estimate:
    """One metric; its value alone where the year has blocks for that, but not for an interval."""
    if found.blocks < MINIMUM_BLOCKS_OF_A_VALUE:
        return metric_of(name, found, MINIMUM_BLOCKS_OF_A_VALUE)
    few = why_not(name, found, MINIMUM_BLOCKS_OF_A_YEAR)
    value = found.point[name]
    if few is None or not np.isfinite(value):
        return metric_of(name, found, MINIMUM_BLOCKS_OF_A_YEAR)
    return Estimate(value=value, reason=f"{few}: no interval")


def _coverage(network: Model, rows: Rows, config: AuditConfig) -> tuple[CoveragePoint, ...]:
    if config.task != "quantiles":
        return ()
    shares = {name: Ratio(f"below_{name}") for name in QUANTILES}
    found = measure_forecasts({(NETWORK,): (network, rows)}, config, shares)[NETWORK,]
    return tuple(
        CoveragePoint(level=level, observed=metric_of(name, found, config.least_blocks))
        for level, name in zip(LEVELS, QUANTILES, strict=True)
    )


def block_performance(predictions: pl.DataFrame, config: AuditConfig) -> pl.DataFrame:
    """Primary loss by block of time: of walk_forward, or of the holdout where there is none.

    Columns: cluster i64, rows u32 (with a known label), loss and reference_loss f64 (means over
    the rows, in units of the loss) and skill f64 = reference_loss - loss; by cluster.
    """
    population = forecast_populations(predictions, config, [str(config.reference)])[-1]
    column = _LOSS_COLUMNS[config.task]
    known = population.known
    found = model_of(population, NETWORK, config).columns
    table = pl.DataFrame(
        {
            "cluster": pl.Series(population.clusters[known], dtype=pl.Int64),
            "loss": found[column],
            "reference_loss": found[f"reference_{column}"],
        }
    )
    means = table.group_by("cluster").agg(
        rows=pl.len(), loss=pl.col("loss").mean(), reference_loss=pl.col("reference_loss").mean()
    )
    return means.with_columns(skill=pl.col("reference_loss") - pl.col("loss")).sort("cluster")


_LOSS_COLUMNS = {"volatility": "absolute", "quantiles": "pinball", "direction": "square"}

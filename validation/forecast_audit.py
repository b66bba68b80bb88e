"""From a table of forecasts to the performance part of the evidence."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl

from validation.break_even import break_even_cost
from validation.config import AuditConfig
from validation.disclosure.group_counts import ALL_LEVELS
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
    gap,
    measure_forecasts,
    metric_of,
    metrics_of,
    model_of,
    why_not,
    why_not_both,
)
from validation.forecast_populations import NETWORK, ForecastPopulation, forecast_populations
from validation.forecasts import LEVELS, QUANTILES, Ratio
from validation.groups import Group, gap_of, groups_of
from validation.ranking import IntArray
from validation.simultaneous import Family, GapKey, Sides, family_of
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
    measured = [_measure(population, config, challengers) for population in populations]
    family = family_of(
        {key: sides for each in measured for key, sides in _sides(each, config)}, config
    )
    return tuple(_audit(each, config, challengers, family) for each in measured)


@dataclass(frozen=True)
class _Measurements:
    """A population, its groups, the network on all rows, and what each part gave."""

    population: ForecastPopulation
    groups: Sequence[Group]
    network: Model
    everything: Rows
    years: Sequence[int]
    of: _Measured


def _measure(
    population: ForecastPopulation, config: AuditConfig, challengers: Sequence[str]
) -> _Measurements:
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
    return _Measurements(population, groups, network, everything, years.tolist(), measured)


def _sides(each: _Measurements, config: AuditConfig) -> Iterator[tuple[GapKey, Sides]]:
    """Every gap that these rows can tell: its key, the group and the rest."""
    for group, name in product(each.groups, metric_names(config.task)):
        inside, outside = each.of[_inside(group)], each.of[_outside(group)]
        if why_not_both(inside, outside, name, config.least_blocks) is None:
            sides = inside.sampled(name), outside.sampled(name)
            yield (each.population.name, group.attribute, group.level, name), sides


def _audit(
    each: _Measurements, config: AuditConfig, challengers: Sequence[str], family: Family
) -> PopulationEvidence:
    population, groups, measured = each.population, each.groups, each.of
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
        gaps=tuple(found for group in groups for found in _gaps(each, group, config, family)),
        challengers=_challengers(challengers, measured, config),
        series=_series(each.years, measured, config),
        coverage=_coverage(each.network, each.everything, config),
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


def _gaps(each: _Measurements, group: Group, config: AuditConfig, family: Family) -> list[Gap]:
    inside, outside = each.of[_inside(group)], each.of[_outside(group)]
    gaps = []
    for name in metric_names(config.task):
        tail = family.tail_of((each.population.name, group.attribute, group.level, name))
        gaps.append(gap_of(group, name, gap(inside, outside, name, config.least_blocks, tail)))
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
    shares = {f"below_{name}": Ratio(f"below_{name}") for name in QUANTILES}
    found = measure_forecasts({(NETWORK,): (network, rows)}, config, shares)[NETWORK,]
    return tuple(
        CoveragePoint(level=level, observed=metric_of(name, found, config.least_blocks))
        for level, name in zip(LEVELS, shares, strict=True)
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

"""From predictions to the performance part of the evidence."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl

from validation.config import AuditConfig
from validation.curves import curves
from validation.disclosure.group_counts import (
    ALL_LEVELS,
    CENSORED,
    NEGATIVE,
    POSITIVE,
    ShownGroups,
    shown_groups,
)
from validation.disclosure.memory import ShownBefore
from validation.estimates import Estimate
from validation.evidence import Challenger, Gap, GroupPerformance, PopulationEvidence
from validation.forecast_audit import audit_forecasts
from validation.groups import Group, gap_of, groups_of
from validation.measuring import (
    Measured,
    Part,
    difference,
    gap,
    measure_parts,
    metrics_of,
    part_of,
    why_not_both,
)
from validation.populations import Population, populations_of
from validation.simultaneous import Family, GapKey, Sides, family_of
from validation.tasks import METRIC_NAMES, OVERALL, MetricName
from validation.too_few import SUBJECTS, fewer

COMPARED_WITH_CHALLENGERS: tuple[MetricName, ...] = ("auroc", "auprc", "brier", "net_benefit")

_NETWORK = ("network",)
_Key = tuple[str, ...]


def audit_predictions_table(
    predictions: pl.DataFrame,
    config: AuditConfig,
    *,
    challengers: Sequence[str],
    shown: ShownGroups | None = None,
) -> tuple[PopulationEvidence, ...]:
    """Performance, groups, gaps, challengers and curves of the holdout and of cross-fitting.

    predictions: one row per subject (see populations_of); challengers: their column names.
    shown: what may be shown of these groups beside earlier audits (see cells_shown); None: where
    there are none.
    Subjects of weight 0 are counted as censored and carry no metric. Of forecasts, see
    audit_forecasts. Raises UnauditableTable where the table cannot be audited: the caller then has
    no evidence, and the gate stays closed.
    """
    if config.is_forecast:
        return audit_forecasts(predictions, config, challengers)
    populations = populations_of(predictions, config, challengers)
    if shown is None:
        shown = _shown(populations, config)
    measured = [_measure(population, config) for population in populations]
    family = family_of(
        {key: sides for each in measured for key, sides in _sides(each, config)}, config
    )
    return tuple(_audit(each, config, shown, family) for each in measured)


def cells_shown(
    predictions: pl.DataFrame,
    config: AuditConfig,
    *,
    before: Sequence[ShownBefore] = (),
    scored_by: str = "",
) -> ShownGroups:
    """What an audit of this table shows of which subjects; its memory is for those that follow.

    before, scored_by: what earlier audits showed, and model and threshold (see shown_groups).
    Raises UnauditableTable as the audit does.
    """
    return _shown(populations_of(predictions, config, ()), config, before, scored_by)


def _shown(
    populations: Sequence[Population],
    config: AuditConfig,
    before: Sequence[ShownBefore] = (),
    scored_by: str = "",
) -> ShownGroups:
    holdout, everybody = populations[0], populations[-1]
    # cross_fitted holds the holdout too, its rows in the same order; see populations_of.
    selected = np.zeros(len(everybody.y), dtype=np.bool_)
    selected[everybody.in_holdout] = holdout.score >= config.selected_from
    known = np.where(everybody.y == 1.0, POSITIVE, NEGATIVE)
    subjects = everybody.attributes.with_columns(
        in_holdout=pl.Series(everybody.in_holdout),
        status=pl.Series(np.where(everybody.weight > 0, known, CENSORED)),
        selected=pl.Series(selected),
        selected_cross_fitted=pl.Series(everybody.score >= config.selected_from),
    )
    names = [population.name for population in populations]
    return shown_groups(subjects, config, names, before=before, scored_by=scored_by)


@dataclass(frozen=True)
class _Measurements:
    """A population, its groups, and what each of its parts gave."""

    population: Population
    groups: Sequence[Group]
    of: Mapping[_Key, Measured]


def _measure(population: Population, config: AuditConfig) -> _Measurements:
    groups = groups_of(population.attributes, config)
    parts = _parts(population, groups, config)
    results = measure_parts(population, list(parts.values()), config)
    return _Measurements(population, groups, dict(zip(parts, results, strict=True)))


def _sides(each: _Measurements, config: AuditConfig) -> Iterator[tuple[GapKey, Sides]]:
    """Every gap that these subjects can tell: its key, the group and the rest."""
    for group, name in product(each.groups, METRIC_NAMES):
        inside, outside = each.of.get(_inside(group)), each.of.get(_outside(group))
        if inside is None or outside is None:
            continue
        if why_not_both(inside, outside, name, config) is None:
            sides = inside.sampled(name), outside.sampled(name)
            yield (each.population.name, group.attribute, group.level, name), sides


def _audit(
    each: _Measurements, config: AuditConfig, shown: ShownGroups, family: Family
) -> PopulationEvidence:
    population, groups, measured = each.population, each.groups, each.of
    name = population.name
    return PopulationEvidence(
        population=name,
        overall=GroupPerformance(
            attribute=OVERALL,
            level=ALL_LEVELS,
            counts=shown.counts[name, OVERALL, ALL_LEVELS],
            withheld=shown.withheld[name, OVERALL, ALL_LEVELS],
            metrics=metrics_of(measured[_NETWORK], config),
        ),
        groups=tuple(
            GroupPerformance(
                attribute=group.attribute,
                level=group.level,
                counts=shown.counts[name, group.attribute, group.level],
                withheld=shown.withheld[name, group.attribute, group.level],
                metrics=_group_metrics(measured.get(_inside(group)), config),
            )
            for group in groups
        ),
        gaps=tuple(found for group in groups for found in _gaps(each, group, config, family)),
        challengers=_challengers(population, measured, config),
        curves=curves(
            population.y,
            population.score,
            population.weight,
            population.clusters,
            config,
            population.weights_of,
        ),
    )


def _inside(group: Group) -> _Key:
    return ("inside", group.attribute, group.level)


def _outside(group: Group) -> _Key:
    return ("outside", group.attribute, group.level)


def _parts(
    population: Population, groups: Sequence[Group], config: AuditConfig
) -> dict[_Key, Part]:
    everyone = np.arange(len(population.y), dtype=np.intp)
    parts: dict[_Key, Part] = {_NETWORK: part_of(population, everyone, population.score, config)}
    for name, score in population.challengers.items():
        parts["challenger", name] = part_of(population, everyone, score, config)
    for group in groups:
        for key, rows in ((_inside(group), group.rows), (_outside(group), group.rest)):
            # Too few to be shown at all: not even measured.
            if len(rows) >= config.minimum_cell_subjects:
                parts[key] = part_of(population, rows, population.score, config)
    return parts


def _too_small(config: AuditConfig) -> Estimate:
    return Estimate(reason=fewer(config.minimum_cell_subjects, SUBJECTS))


def _group_metrics(measured: Measured | None, config: AuditConfig) -> dict[MetricName, Estimate]:
    if measured is None:
        return {name: _too_small(config) for name in METRIC_NAMES}
    return metrics_of(measured, config)


def _gaps(each: _Measurements, group: Group, config: AuditConfig, family: Family) -> list[Gap]:
    inside, outside = each.of.get(_inside(group)), each.of.get(_outside(group))
    gaps = []
    for name in METRIC_NAMES:
        if inside is None or outside is None:
            found = _too_small(config)
        else:
            tail = family.tail_of((each.population.name, group.attribute, group.level, name))
            found = gap(inside, outside, name, config, tail)
        gaps.append(gap_of(group, name, found))
    return gaps


def _challengers(
    population: Population, measured: Mapping[_Key, Measured], config: AuditConfig
) -> tuple[Challenger, ...]:
    area = METRIC_NAMES.index("auroc")
    areas = {
        name: float(np.nan_to_num(measured["challenger", name].point[area]))
        for name in population.challengers
    }
    best = max(areas, key=lambda name: areas[name], default=None)
    return tuple(
        Challenger(
            name=name,
            best=name == best,
            metrics=metrics_of(measured["challenger", name], config),
            difference={
                compared: difference(
                    measured[_NETWORK], measured["challenger", name], compared, config
                )
                for compared in COMPARED_WITH_CHALLENGERS
            },
        )
        for name in population.challengers
    )

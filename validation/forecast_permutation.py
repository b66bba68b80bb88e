"""Exchanging the members of groups of forecasts: instruments, or blocks of time.

As in validation/permutation.py, a diagnostic. What is exchanged is what has one level of the
attribute: instruments by sector or listing status, blocks of time by era or regime. Every metric
is a ratio of sums over rows, so an exchange needs the sums of each instrument or block alone; the
rank correlation within a day is none and has no share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from validation.config import AuditConfig
from validation.evidence import Gap, PopulationEvidence
from validation.forecast_measuring import Model, model_of
from validation.forecast_populations import NETWORK, ForecastPopulation, forecast_populations
from validation.forecasts import RATIOS
from validation.permutation import EXCHANGES, share_at_least
from validation.ranking import FloatArray, IntArray
from validation.simultaneous import judged_gaps


def with_forecast_shares(
    populations: Sequence[PopulationEvidence], predictions: pl.DataFrame, config: AuditConfig
) -> tuple[PopulationEvidence, ...]:
    """The same evidence; the gaps that a line is about have their permutation_share.

    Raises UnauditableTable as the audit does.
    """
    tables = {
        each.name: each
        for each in forecast_populations(predictions, config, (str(config.reference),))
    }
    return tuple(_with_shares(each, tables[each.population], config) for each in populations)


def _with_shares(
    measured: PopulationEvidence, population: ForecastPopulation, config: AuditConfig
) -> PopulationEvidence:
    model = model_of(population, NETWORK, config)
    judged = {(by, name) for on, by, name in judged_gaps(config) if on == measured.population}
    units = {
        attribute: units_of(population, model, attribute)
        for attribute in sorted({attribute for attribute, _ in judged})
    }
    return measured.model_copy(
        update={
            "gaps": tuple(
                _with_share(gap, units[gap.attribute], config)
                if (gap.attribute, gap.metric) in judged
                else gap
                for gap in measured.gaps
            )
        }
    )


@dataclass(frozen=True)
class Units:
    """What is exchanged by an attribute: c units of one level each.

    names: of the columns.   levels [c]: of each unit.   sums [c, columns].
    fixed: level -> sums [columns] of rows that stay, in units of several levels.
    """

    names: tuple[str, ...]
    levels: tuple[str, ...]
    sums: FloatArray
    fixed: Mapping[str, FloatArray]


def units_of(population: ForecastPopulation, model: Model, attribute: str) -> Units:
    """Instruments or blocks of time, whichever have one level on more rows."""
    levels = population.attributes[attribute].filter(pl.Series(population.known)).to_numpy()
    known = population.known
    choices = [population.subjects[known].astype(np.intp), population.blocks[known]]
    return max(
        (_units(model, levels, members) for members in choices),
        # The first column of every task counts rows.
        key=lambda units: float(units.sums[:, units.names.index("one")].sum()),
    )


def _units(model: Model, levels: FloatArray, members: IntArray) -> Units:
    _, first, unit = np.unique(members, return_index=True, return_inverse=True)
    whole = np.bincount(unit, weights=levels != levels[first][unit]) == 0
    stay = ~whole[unit]
    columns = np.column_stack(list(model.columns.values()))
    sums = np.column_stack([np.bincount(unit, column, len(first)) for column in columns.T])
    return Units(
        names=tuple(model.columns),
        levels=tuple(str(level) for level in levels[first][whole]),
        sums=sums[whole],
        fixed={
            str(level): columns[stay & (levels == level)].sum(axis=0) for level in np.unique(levels)
        },
    )


def _with_share(gap: Gap, units: Units, config: AuditConfig) -> Gap:
    ratio = RATIOS[config.task].get(gap.metric)
    observed = gap.estimate.value
    needed = set() if ratio is None else {ratio.numerator, ratio.denominator}
    if ratio is None or observed is None or not needed <= set(units.names):
        return gap
    if len(set(units.levels)) < 2:
        return gap
    rng = np.random.default_rng([config.bootstrap_seed, 0xE8C])
    levels = np.array(units.levels)
    drawn = np.stack([rng.permutation(levels) for _ in range(EXCHANGES)]) == gap.level
    inside = drawn @ units.sums + units.fixed[gap.level]
    total = units.sums.sum(axis=0) + np.sum(list(units.fixed.values()), axis=0)
    apart = [
        ratio(dict(zip(units.names, sums.T, strict=True))) for sums in (inside, total - inside)
    ]
    share = share_at_least(observed, apart[0] - apart[1])
    return gap.model_copy(update={"permutation_share": share})

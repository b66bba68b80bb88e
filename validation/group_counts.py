"""Counts of subjects by group that may be shown together: both populations, all attributes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import polars as pl

from validation.config import AuditConfig
from validation.disclosure import BoolArray, Cell, CountArray, Key, hidden_cells
from validation.estimates import Counts
from validation.groups import JOIN
from validation.tasks import OVERALL, PopulationName

POSITIVE, NEGATIVE, CENSORED = 0, 1, 2
ALL_LEVELS = "all"

_STATUSES: Mapping[str, tuple[int, ...]] = {
    "subjects": (POSITIVE, NEGATIVE, CENSORED),
    "positives": (POSITIVE,),
    "censored": (CENSORED,),
    # Not printed, but subjects - positives - censored.
    "negatives": (NEGATIVE,),
}
_HOLDOUT, _OTHERS = 0, 1
# What a reader can compute: each population, and one minus the other.
_PARTS: Mapping[str, tuple[int, ...]] = {
    "holdout": (_HOLDOUT,),
    "cross_fitted": (_HOLDOUT, _OTHERS),
    "difference": (_OTHERS,),
}

GroupKey = tuple[str, str, str]  # population, attribute, level


@dataclass(frozen=True)
class _Cube:
    """Finest cells: part, status, then one axis per attribute."""

    attributes: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    counts: CountArray

    def members(
        self, parts: Sequence[int], statuses: Sequence[int], level_of: Mapping[str, str]
    ) -> BoolArray:
        """The finest cells, [u], of these parts and statuses and of one level per named axis."""
        axes = [
            [levels.index(level_of[name])] if name in level_of else range(len(levels))
            for name, levels in zip(self.attributes, self.levels, strict=True)
        ]
        chosen = np.zeros(self.counts.shape, dtype=np.bool_)
        chosen[np.ix_(parts, statuses, *axes)] = True
        return chosen.ravel()


def shown_counts(
    subjects: pl.DataFrame, config: AuditConfig, populations: Sequence[PopulationName]
) -> dict[GroupKey, Counts]:
    """Counts per (population, attribute, level), null where they would disclose a small cell.

    subjects: `in_holdout` (bool), `status` (POSITIVE, NEGATIVE or CENSORED) and the attributes
    as text, one row per subject of any of the populations.
    """
    counts: dict[Key, int | None] = {}
    for attributes in _linked(config):
        cube = _cube(subjects, attributes)
        linked = [names for names in config.crossings if set(names) <= set(attributes)]
        tables: list[tuple[str, ...]] = [(), *((name,) for name in attributes), *linked]
        cells = [cell for names in tables for cell in _cells(cube, names, populations)]
        finest = cube.counts.ravel()
        hidden = hidden_cells(finest, cells, config.minimum_cell_subjects)
        for cell in cells:
            # Overall counts come once for every set of attributes: hidden in one, hidden in all.
            if cell.key in hidden or counts.get(cell.key, 0) is None:
                counts[cell.key] = None
            elif cell.published:
                counts[cell.key] = int(finest[cell.members].sum())
    groups = {key[:3] for key in counts}
    return {
        (population, attribute, level): Counts(
            subjects=counts[population, attribute, level, "subjects"],
            positives=counts[population, attribute, level, "positives"],
            censored=counts[population, attribute, level, "censored"],
        )
        for population, attribute, level in groups
    }


def _linked(config: AuditConfig) -> list[tuple[str, ...]]:
    # Attributes that no crossing links share nothing but the totals: each set is a cube of its
    # own, which keeps cubes small.
    sets = [{name} for name in config.attributes]
    for crossing in config.crossings:
        touched = [names for names in sets if names & set(crossing)]
        sets = [names for names in sets if not names & set(crossing)]
        sets.append(set().union(*touched))
    return [tuple(name for name in config.attributes if name in names) for names in sets]


def _cube(subjects: pl.DataFrame, attributes: tuple[str, ...]) -> _Cube:
    levels, codes = [], []
    for name in attributes:
        names, code = np.unique(subjects[name].to_numpy(), return_inverse=True)
        levels.append(tuple(str(level) for level in names))
        codes.append(code)
    shape = (2, 3, *(len(names) for names in levels))
    part = np.where(subjects["in_holdout"].to_numpy(), _HOLDOUT, _OTHERS)
    flat = np.ravel_multi_index((part, subjects["status"].to_numpy(), *codes), shape)
    counts = np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)
    return _Cube(attributes, tuple(levels), counts.astype(np.int64))


def _cells(
    cube: _Cube, names: tuple[str, ...], populations: Sequence[PopulationName]
) -> Iterator[Cell]:
    attribute = JOIN.join(names) or OVERALL
    axes = [cube.levels[cube.attributes.index(name)] for name in names]
    parts = [*populations, "difference"] if len(populations) == 2 else list(populations)
    for part, status, levels in product(parts, _STATUSES, product(*axes)):
        members = cube.members(
            _PARTS[part], _STATUSES[status], dict(zip(names, levels, strict=True))
        )
        yield Cell(
            key=(part, attribute, JOIN.join(levels) or ALL_LEVELS, status),
            members=members,
            # Crossings are given up before attributes, totals last.
            rank=-len(names) if names else 1,
            published=part != "difference" and status != "negatives",
        )

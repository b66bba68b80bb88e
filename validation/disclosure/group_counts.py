"""Counts and rates of subjects by group that may be shown together, and beside earlier reports.

Two people read an audit. The auditor's file holds every rate exactly, with the small counts
hidden; whoever reads the report sees no rate either from which a small count follows.

What it stops: whoever knows every count and rate of a report exactly, both populations, all
crossings, the totals, which metrics had too few subjects, and one earlier report of the study.
What it does not: who puts three or more reports together, who knows some subjects from elsewhere,
who guesses a number of subjects from the width of an interval.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from validation.config import AuditConfig
from validation.disclosure.cells import Cell, Key, hidden_cells
from validation.disclosure.cube import (
    ALL_LEVELS,
    BEFORE,
    CENSORED,
    COUNTED,
    GAINED,
    LOST,
    NEGATIVE,
    NOW,
    POSITIVE,
    RATED,
    Cube,
    cells_of,
    compared,
    cube_of,
    finest_of,
    ties_of,
    widened,
)
from validation.disclosure.memory import ShownBefore, remembered
from validation.estimates import Counts
from validation.tasks import OVERALL, MetricName, PopulationName, RiskMetric

__all__ = ["ALL_LEVELS", "CENSORED", "NEGATIVE", "POSITIVE", "shown_counts", "shown_groups"]

GroupKey = tuple[str, str, str]  # population, attribute, level

# A metric is shown where what it says of numbers of subjects may be known: that there are enough,
# and of a rate its numerator and its denominator.
_ENOUGH_OF_BOTH: Final = ("enough_positives", "enough_negatives")
_NEEDS: Final[Mapping[RiskMetric, tuple[str, ...]]] = {
    "auroc": _ENOUGH_OF_BOTH,
    "auprc": _ENOUGH_OF_BOTH,
    "brier": _ENOUGH_OF_BOTH,
    "calibration_slope": _ENOUGH_OF_BOTH,
    "calibration_intercept": _ENOUGH_OF_BOTH,
    "observed_expected": _ENOUGH_OF_BOTH,
    "tpr": ("enough_positives", "found", "positives"),
    "fpr": ("enough_negatives", "alarms", *COUNTED),
    "ppv": ("enough_positives", "enough_selected", "found", "selected"),
    "selection_rate": ("enough_known", "selected", "subjects", "censored"),
    "net_benefit": (*_ENOUGH_OF_BOTH, "found", "alarms", "subjects", "censored"),
}


@dataclass(frozen=True)
class ShownGroups:
    """counts: null where hidden.   withheld: rates of a group that only the auditor's file holds.
    memory: what this report shows of which subjects; for the auditor and the next report alone."""

    counts: Mapping[GroupKey, Counts]
    withheld: Mapping[GroupKey, tuple[MetricName, ...]]
    memory: ShownBefore


def shown_counts(
    subjects: pl.DataFrame, config: AuditConfig, populations: Sequence[PopulationName]
) -> Mapping[GroupKey, Counts]:
    """The counts of shown_groups alone."""
    return shown_groups(subjects, config, populations).counts


def shown_groups(
    subjects: pl.DataFrame,
    config: AuditConfig,
    populations: Sequence[PopulationName],
    *,
    before: Sequence[ShownBefore] = (),
    scored_by: str = "",
) -> ShownGroups:
    """Counts per (population, attribute, level), and the rates that are not for every reader.

    subjects: `in_holdout` (bool), `status` (POSITIVE, NEGATIVE or CENSORED) and the attributes
    as text, one row per subject of any of the populations. `selected` (by the score of the
    holdout) and `selected_cross_fitted`, both bool, where rates are shown.
    before: earlier reports of the study. A count whose change since one of them is 1 to
    minimum - 1, or would give such a change away, is hidden. scored_by: names model and threshold,
    so that changed decisions of another model are not taken for people who came.
    """
    # Totals are of everybody, no count by an attribute: they are shown, whatever they are.
    cubes = [cube_of(subjects, attributes) for attributes in _linked(config)]
    hidden = _hidden(cubes, config, populations)
    for earlier in before:
        hidden |= _hidden_beside(cubes, config, populations, hidden, earlier, scored_by)
    true: dict[Key, int] = {}
    for cube in cubes:
        for names in _tables(cube.attributes, config):
            true |= _true_counts(cube, names, populations)
    groups = {key[1:4]: key[:4] for key in true}
    return ShownGroups(
        counts={
            (population, attribute, level): _counts(true, hidden, key)
            for (population, attribute, level), key in groups.items()
        },
        withheld={
            (population, attribute, level): _withheld(hidden, key)
            for (population, attribute, level), key in groups.items()
        },
        memory=remembered(cubes, populations, hidden, scored_by),
    )


def _counts(true: Mapping[Key, int], hidden: Set[Key], key: Key) -> Counts:
    subjects, positives, censored = (
        None if (*key, kind) in hidden else true[*key, kind] for kind in COUNTED
    )
    return Counts(subjects=subjects, positives=positives, censored=censored)


def _withheld(hidden: Set[Key], key: Key) -> tuple[MetricName, ...]:
    return tuple(
        metric for metric, kinds in _NEEDS.items() if any((*key, kind) in hidden for kind in kinds)
    )


def _linked(config: AuditConfig) -> list[tuple[str, ...]]:
    # Attributes that no crossing links share nothing but the totals: each set is a cube of its
    # own, tied to the others by those, which keeps cubes small.
    sets = [{name} for name in config.attributes]
    for crossing in config.crossings:
        touched = [names for names in sets if names & set(crossing)]
        sets = [names for names in sets if not names & set(crossing)]
        sets.append(set().union(*touched))
    return [tuple(name for name in config.attributes if name in names) for names in sets]


def _tables(attributes: tuple[str, ...], config: AuditConfig) -> list[tuple[str, ...]]:
    crossed = [names for names in config.crossings if set(names) <= set(attributes)]
    return [(), *((name,) for name in attributes), *crossed]


def _true_counts(
    cube: Cube, names: tuple[str, ...], populations: Sequence[PopulationName]
) -> dict[Key, int]:
    cells = cells_of(cube, names, populations, with_decisions=False)
    return {one.key: int(cube.finest[one.members].sum()) for one in cells if one.published}


def _hidden(
    cubes: Sequence[Cube], config: AuditConfig, populations: Sequence[PopulationName]
) -> set[Key]:
    """What one report hides by itself."""
    cells = [
        cell
        for i, cube in enumerate(cubes)
        for names in _tables(cube.attributes, config)
        # The totals are the same in every cube.
        if names or i == 0
        for cell in widened(
            cells_of(cube, names, populations, least=config.minimum_positives), cubes, i
        )
    ]
    absent = {cell.key for cell in cells if cell.key[-1] in RATED and not cell.published}
    return absent | hidden_cells(
        finest_of(cubes),
        cells,
        config.minimum_cell_subjects,
        shown_elsewhere=_totals(cells),
        ties=ties_of(cubes),
    )


def _totals(cells: Sequence[Cell]) -> set[Key]:
    return {cell.key for cell in cells if cell.published and cell.key[2] == OVERALL}


# ---- beside an earlier report ------------------------------------------------------------------


def _hidden_beside(
    cubes: Sequence[Cube],
    config: AuditConfig,
    populations: Sequence[PopulationName],
    hidden: Set[Key],
    earlier: ShownBefore,
    scored_by: str,
) -> set[Key]:
    """What the new report must hide too, so that two reports together say no more than each."""
    tables = [earlier.table(cube.attributes) for cube in cubes]
    known = [table for table in tables if table is not None]
    if len(known) < len(cubes) or len(cubes) != len(earlier.tables):
        # Other attributes than today's: the two cannot be compared, so nothing new is shown.
        return {
            cell.key
            for cube in cubes
            for names in _tables(cube.attributes, config)
            for cell in cells_of(cube, names, populations, least=config.minimum_positives)
            if cell.published and names
        }
    before = [table.cube for table in known]
    hidden_before = {(BEFORE, *key[1:]) for key in earlier.hidden}
    if hidden == earlier.hidden and all(map(_same, cubes, before)):
        return set()
    same_scores = earlier.scored_by == scored_by
    both = [
        compared(now, then, same_scores=same_scores)
        for now, then in zip(cubes, before, strict=True)
    ]
    cells = list(_compared_cells(both, config, populations, known[0].populations, same_scores))
    printed = {one.key for one in cells if one.published}
    shown_before = {key for key in printed if key[0] == BEFORE} - hidden_before
    found = hidden_cells(
        finest_of(both),
        cells,
        config.minimum_cell_subjects,
        hidden_elsewhere=hidden | hidden_before,
        shown_elsewhere=shown_before | _totals(cells),
        ties=ties_of(both),
    )
    return {key for key in found if key[0] == NOW}


def _compared_cells(
    cubes: Sequence[Cube],
    config: AuditConfig,
    populations: Sequence[PopulationName],
    before: Sequence[PopulationName],
    same_scores: bool,
) -> Iterator[Cell]:
    """Both reports' counts, and the changes that nobody prints and anybody can compute."""
    least = config.minimum_positives
    for i, cube in enumerate(cubes):
        for names in _tables(cube.attributes, config):
            if not names and i > 0:
                continue
            for report, shown, asked in (
                (NOW, populations, least),
                (BEFORE, before, least),
                (GAINED, populations, None),
                (LOST, populations, None),
            ):
                cells = cells_of(
                    cube, names, shown, report=report, least=asked, with_decisions=same_scores
                )
                yield from widened(cells, cubes, i)


def _same(now: Cube, before: Cube) -> bool:
    return now.levels == before.levels and np.array_equal(now.counts, before.counts)

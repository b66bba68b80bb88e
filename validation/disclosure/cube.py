"""Subjects counted in the finest cells that reports speak of, and every count that adds them up."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

import numpy as np
import polars as pl

from validation.disclosure.cells import BoolArray, Cell, CountArray, FloatArray, Key
from validation.groups import JOIN
from validation.tasks import OVERALL, PopulationName

POSITIVE, NEGATIVE, CENSORED = 0, 1, 2
ALL_LEVELS = "all"
# Reports: the one to be made, an earlier one, and what joined and left in between.
NOW, BEFORE, GAINED, LOST = "now", "before", "gained", "lost"
DIFFERENCE = "difference"

_IN_BOTH, _ONLY_BEFORE, _ONLY_NOW = 0, 1, 2
_TIMES: Final[Mapping[str, tuple[int, ...]]] = {
    NOW: (_IN_BOTH, _ONLY_NOW),
    BEFORE: (_IN_BOTH, _ONLY_BEFORE),
    GAINED: (_ONLY_NOW,),
    LOST: (_ONLY_BEFORE,),
}
_HOLDOUT, _OTHERS = 0, 1
# What a reader can compute: each population, and one minus the other.
_PARTS: Final[Mapping[str, tuple[int, ...]]] = {
    "holdout": (_HOLDOUT,),
    "cross_fitted": (_HOLDOUT, _OTHERS),
    DIFFERENCE: (_OTHERS,),
}
# Each population has scores of its own: selected by the first, the second, both or none.
_SELECTED: Final[Mapping[str, tuple[int, ...]]] = {"holdout": (1, 3), "cross_fitted": (2, 3)}
_UNSELECTED: Final[Mapping[str, tuple[int, ...]]] = {"holdout": (0, 2), "cross_fitted": (0, 1)}
_ANY = (0, 1, 2, 3)

COUNTED: Final = ("subjects", "positives", "censored")
_STATUSES: Final[Mapping[str, tuple[int, ...]]] = {
    "subjects": (POSITIVE, NEGATIVE, CENSORED),
    "positives": (POSITIVE,),
    "censored": (CENSORED,),
    # Not printed, but subjects - positives - censored, and subjects - censored.
    "negatives": (NEGATIVE,),
    "known": (POSITIVE, NEGATIVE),
}
# A rate beside its denominator gives its numerator: true positive rate, false positive rate,
# selection rate. The other side of each is a subtraction away.
RATED: Final = ("found", "alarms", "selected")
# Of how many a rate is a share: with fewer than a metric needs, the rate is not there either.
_SHARE_OF: Final[Mapping[str, str]] = {
    "found": "positives",
    "alarms": "negatives",
    "selected": "known",
}
_DECISIONS: Final[Mapping[str, tuple[tuple[int, ...], bool]]] = {
    "found": ((POSITIVE,), True),
    "missed": ((POSITIVE,), False),
    "alarms": ((NEGATIVE,), True),
    "cleared": ((NEGATIVE,), False),
    "selected": ((POSITIVE, NEGATIVE), True),
    "unselected": ((POSITIVE, NEGATIVE), False),
}
# A metric that needs so many of a kind says by being there that there are.
SIGNS: Final[Mapping[str, str]] = {
    "enough_positives": "positives",
    "enough_negatives": "negatives",
    "enough_known": "known",
    "enough_selected": "selected",
}


@dataclass(frozen=True)
class Cube:
    """counts: time (in both reports, only before, only now), part (holdout, others), status,
    selection (none, by the holdout's score, by the cross-fitted one, both), one axis per
    attribute. possible: finest cells that a reader does not know to be empty."""

    attributes: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    counts: CountArray
    possible: BoolArray

    @property
    def finest(self) -> CountArray:
        return self.counts[self.possible]

    def members(self, axes: Sequence[Sequence[int]], level_of: Mapping[str, str]) -> BoolArray:
        """The possible finest cells, [u], at these places of the first axes and of one level per
        named attribute."""
        places = [
            [levels.index(level_of[name])] if name in level_of else range(len(levels))
            for name, levels in zip(self.attributes, self.levels, strict=True)
        ]
        chosen = np.zeros(self.counts.shape, dtype=np.bool_)
        chosen[np.ix_(*axes, *places)] = True
        return chosen[self.possible]


def cube_of(subjects: pl.DataFrame, attributes: tuple[str, ...]) -> Cube:
    """Count subjects: in_holdout (bool), status, the attributes as text and, where decisions are
    shown, selected and selected_cross_fitted (bool)."""
    levels, codes = [], []
    for name in attributes:
        names, code = np.unique(subjects[name].to_numpy(), return_inverse=True)
        levels.append(tuple(str(level) for level in names))
        codes.append(code)
    cube = empty_cube(attributes, tuple(levels))
    shape = cube.counts.shape
    part = np.where(subjects["in_holdout"].to_numpy(), _HOLDOUT, _OTHERS)
    status = subjects["status"].to_numpy()
    place = (np.zeros_like(part), part, status, _selection(subjects, part, status), *codes)
    flat = np.ravel_multi_index(place, shape)
    cube.counts.reshape(-1)[:] = np.bincount(flat, minlength=cube.counts.size)
    return cube


def empty_cube(attributes: tuple[str, ...], levels: tuple[tuple[str, ...], ...]) -> Cube:
    """The cube of one report, without subjects."""
    counts = np.zeros((3, 2, 3, 4, *(len(names) for names in levels)), dtype=np.int64)
    possible = _can_be(counts.shape)
    possible[_ONLY_BEFORE:] = False
    return Cube(attributes, levels, counts, possible)


def _selection(subjects: pl.DataFrame, part: CountArray, status: CountArray) -> CountArray:
    code = np.zeros(len(part), dtype=np.int64)
    for bit, name in ((1, "selected"), (2, "selected_cross_fitted")):
        if name in subjects.columns:
            code += bit * subjects[name].to_numpy()
    # Metrics leave the censored out, and the holdout's model is judged on the holdout alone.
    code = np.where(part == _HOLDOUT, code, code & 2)
    return np.where(status == CENSORED, 0, code)


def _can_be(shape: tuple[int, ...]) -> BoolArray:
    possible = np.ones(shape, dtype=np.bool_)
    possible[:, :, CENSORED, 1:] = False
    possible[:, _OTHERS, :, 1::2] = False
    return possible


def compared(now: Cube, before: Cube, *, same_scores: bool) -> Cube:
    """Two reports in one cube. Subjects are not followed: what is in both cells is in both reports.

    same_scores: the same model decided; else a change of decisions counts nobody, and is left out.
    """
    levels = tuple(
        tuple(sorted({*ours, *theirs}))
        for ours, theirs in zip(now.levels, before.levels, strict=True)
    )
    ours, theirs = (_aligned(one, levels, same_scores) for one in (now, before))
    both = np.minimum(ours, theirs)
    counts = np.stack([both, theirs - both, ours - both])
    possible = _can_be(counts.shape)
    if not same_scores:
        possible[:, :, :, 1:] = False
    # Whoever reads two reports may know that nobody left, or that nobody came.
    if counts[_ONLY_NOW].any():
        possible[_ONLY_BEFORE] &= counts[_ONLY_BEFORE] > 0
    else:
        possible[_ONLY_NOW] = False
    return Cube(now.attributes, levels, counts, possible)


def _aligned(cube: Cube, levels: tuple[tuple[str, ...], ...], with_selection: bool) -> CountArray:
    counts = cube.counts.sum(axis=0)
    if not with_selection:
        counts = np.concatenate(
            [counts.sum(axis=2, keepdims=True), np.zeros_like(counts[:, :, 1:])], axis=2
        )
    wide = np.zeros((*counts.shape[:3], *(len(names) for names in levels)), dtype=np.int64)
    places = [[new.index(x) for x in old] for new, old in zip(levels, cube.levels, strict=True)]
    wide[np.ix_(*(range(size) for size in counts.shape[:3]), *places)] = counts
    return wide


# ---- cubes that share their totals --------------------------------------------------------------


def finest_of(cubes: Sequence[Cube]) -> CountArray:
    """The finest cells of all cubes, one after the other."""
    return np.concatenate([cube.finest for cube in cubes])


def widened(cells: Iterable[Cell], cubes: Sequence[Cube], number: int) -> Iterator[Cell]:
    """Cells of one cube, over the finest cells of all."""
    sizes = [int(cube.possible.sum()) for cube in cubes]
    start = sum(sizes[:number])
    for cell in cells:
        members = np.zeros(sum(sizes), dtype=np.bool_)
        members[start : start + sizes[number]] = cell.members
        yield replace(cell, members=members)


def ties_of(cubes: Sequence[Cube]) -> FloatArray:
    """Every cube counts the same subjects: rows [t, u] that are zero for the true counts."""
    sizes = [int(cube.possible.sum()) for cube in cubes]
    rows = []
    for report, part, status, selection in product((NOW, BEFORE), (0, 1), (0, 1, 2), _ANY):
        places = (_TIMES[report], (part,), (status,), (selection,))
        totals = [cube.members(places, {}).astype(np.float64) for cube in cubes]
        for number in range(1, len(cubes)):
            row = [np.zeros(size) for size in sizes]
            row[0], row[number] = totals[0], -totals[number]
            rows.append(np.concatenate(row))
    found = np.array(rows, dtype=np.float64).reshape(len(rows), sum(sizes))
    # The report before is today's where there is none: a row that stands twice binds no more.
    return np.unique(found, axis=0)


# ---- every count of a report -----------------------------------------------------------------


def key_of(report: str, population: str, names: Sequence[str], levels: Sequence[str]) -> Key:
    """Report, population, attribute, level; a kind of count follows."""
    return (report, population, JOIN.join(names) or OVERALL, JOIN.join(levels) or ALL_LEVELS)


def cells_of(
    cube: Cube,
    names: tuple[str, ...],
    populations: Sequence[PopulationName],
    *,
    report: str = NOW,
    least: int | None = None,
    with_decisions: bool = True,
) -> Iterator[Cell]:
    """All counts of one table of a report.

    least: how many positives, negatives or known labels a metric needs to be there.
    """
    axes = [cube.levels[cube.attributes.index(name)] for name in names]
    parts = [*populations, DIFFERENCE] if len(populations) == 2 else list(populations)
    is_printed = report in (NOW, BEFORE)
    for part, levels in product(parts, product(*axes)):
        key, level_of = key_of(report, part, names, levels), dict(zip(names, levels, strict=True))
        printed = is_printed and part != DIFFERENCE
        members = {
            kind: cube.members((_TIMES[report], _PARTS[part], *places), level_of)
            for kind, places in _kinds(part, with_decisions).items()
        }
        totals = {kind: int(cube.finest[mask].sum()) for kind, mask in members.items()}
        for kind, mask in members.items():
            is_published = printed and kind in (*COUNTED, *RATED)
            if kind in RATED and names and report == NOW and least is not None:
                is_published &= totals[_SHARE_OF[kind]] >= least
            yield Cell((*key, kind), mask, _rank(names, kind), is_published)
        asked = least if printed and names else None
        for sign, kind in SIGNS.items():
            if asked is not None and totals.get(kind, 0) >= asked:
                yield Cell((*key, sign), members[kind], _rank(names, sign), at_least=asked)


_Places = tuple[tuple[int, ...], tuple[int, ...]]  # statuses and selections


def _kinds(part: str, with_decisions: bool) -> dict[str, _Places]:
    kinds: dict[str, _Places] = {kind: (statuses, _ANY) for kind, statuses in _STATUSES.items()}
    # The two populations have scores of their own: their decisions have no difference.
    if with_decisions and part in _SELECTED:
        for kind, (statuses, chosen) in _DECISIONS.items():
            kinds[kind] = (statuses, (_SELECTED if chosen else _UNSELECTED)[part])
    return kinds


def _rank(names: Sequence[str], kind: str) -> int:
    """Rates are given up first, then counts, crossings before attributes, then all metrics of a
    group; totals never."""
    if not names:
        return 1
    if kind in SIGNS:
        return 0
    # Of found, alarms and their sum the sum is missed least.
    return -len(names) - 10 * (kind in RATED) - 10 * (kind == "selected")

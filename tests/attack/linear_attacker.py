"""A reader who wants a small count, and has nothing but what is printed: integer programming.

Written apart from the defender: its columns are kinds of subjects, its rows are printed sentences
(a count; a rate to three decimals; "too few"). It looks for another body of patients, in whole
numbers, about whom the same report would have been printed and in whom the cell is large.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import Bounds, LinearConstraint, milp

Row = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Report = Literal["yesterday", "today"]
# An integer program that takes longer is reported as unsolved, never as safe.
SECONDS = 120.0

KINDS: Mapping[str, Callable[["Columns", str], Mask]] = {
    "subjects": lambda of, _: np.ones(of.size, dtype=np.bool_),
    "positives": lambda of, _: of.outcome == 1,
    "negatives": lambda of, _: of.outcome == 0,
    "censored": lambda of, _: of.outcome == -1,
    "known": lambda of, _: of.outcome >= 0,
    "found": lambda of, p: (of.outcome == 1) & of.selected[p],
    "missed": lambda of, p: (of.outcome == 1) & ~of.selected[p],
    "alarms": lambda of, p: (of.outcome == 0) & of.selected[p],
    "cleared": lambda of, p: (of.outcome == 0) & ~of.selected[p],
    "selected": lambda of, p: (of.outcome >= 0) & of.selected[p],
    "unselected": lambda of, p: (of.outcome >= 0) & ~of.selected[p],
}
RATES: Mapping[str, tuple[str, str]] = {
    "tpr": ("found", "positives"),
    "fpr": ("alarms", "negatives"),
    "ppv": ("found", "selected"),
    "selection_rate": ("selected", "known"),
}


@dataclass(frozen=True)
class Place:
    """Whom a number is about."""

    report: Report
    population: str
    levels: tuple[tuple[str, str], ...] = ()  # (attribute, level)


@dataclass
class Columns:
    """Every kind of subject there could be, in sets of attributes that share only their totals."""

    level_sets: Sequence[Mapping[str, Sequence[str]]]
    two_reports: bool
    size: int = field(init=False)
    outcome: npt.NDArray[np.int64] = field(init=False)
    selected: dict[str, Mask] = field(init=False)

    def __post_init__(self) -> None:
        kinds = []
        for number, levels in enumerate(self.level_sets):
            joined = (False, True) if self.two_reports else (False,)
            for new, outcome, combination in product(joined, (1, 0, -1), product(*levels.values())):
                decisions = [(False, False)]
                if outcome >= 0:
                    decisions = [*product((False, True), (False, True))]
                for in_holdout, (first, second) in product((True, False), decisions):
                    if first and not in_holdout:
                        continue
                    named = tuple(zip(levels, combination, strict=True))
                    kinds.append((number, new, in_holdout, outcome, first, second, named))
        self.size = len(kinds)
        self.set_of = np.array([kind[0] for kind in kinds])
        self.joined = np.array([kind[1] for kind in kinds])
        self.in_holdout = np.array([kind[2] for kind in kinds])
        self.outcome = np.array([kind[3] for kind in kinds])
        self.selected = {
            "holdout": np.array([kind[4] for kind in kinds]),
            "cross_fitted": np.array([kind[5] for kind in kinds]),
        }
        self.named = [dict(kind[6]) for kind in kinds]

    def mask(self, place: Place, kind: str) -> Mask:
        wanted = dict(place.levels)
        # Totals may be read off any set of attributes; the others are tied to it.
        group = next(
            (i for i, levels in enumerate(self.level_sets) if set(wanted) <= set(levels)), 0
        )
        inside = (self.set_of == group) & np.array(
            [all(one.get(a) == level for a, level in wanted.items()) for one in self.named]
        )
        if place.report == "yesterday":
            inside &= ~self.joined
        if place.population == "holdout":
            inside &= self.in_holdout
        if place.population == "difference":
            inside &= ~self.in_holdout
        chosen: Mask = inside & KINDS[kind](self, place.population)
        return chosen


class Reader:
    """Collects what is printed, then asks what else could be true."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._rows: list[tuple[Row, float, float]] = []
        self._bodies: list[Row] = []
        for number in range(1, len(columns.level_sets)):
            self._tie(0, number)

    def _tie(self, first: int, second: int) -> None:
        of = self.columns
        selected = of.selected.values()
        facts = np.stack([of.joined, of.in_holdout, of.outcome, *selected])
        for fact in np.unique(facts, axis=1).T:
            alike = (facts == fact[:, None]).all(axis=0)
            one, other = alike & (of.set_of == first), alike & (of.set_of == second)
            self._rows.append((one.astype(float) - other, 0.0, 0.0))

    # ---- what is printed ---------------------------------------------------------------------

    def read_count(self, place: Place, kind: str, count: int) -> None:
        self._rows.append((self._row(place, kind), count, count))

    def read_rate(self, place: Place, metric: str, value: float, digits: int = 3) -> None:
        """top / bottom rounds to the value: linear in both, whether or not they are printed."""
        top, bottom = (self._row(place, kind) for kind in RATES[metric])
        self._between(top, bottom, value, digits)

    def read_net_benefit(
        self, place: Place, value: float, threshold: float, digits: int = 3
    ) -> None:
        odds = threshold / (1 - threshold)
        top = self._row(place, "found") - odds * self._row(place, "alarms")
        self._between(top, self._row(place, "known"), value, digits)

    def _between(self, top: Row, bottom: Row, value: float, digits: int) -> None:
        half = 0.5 * 10.0**-digits + 1e-9
        self._rows.append((top - (value - half) * bottom, 0.0, np.inf))
        self._rows.append((top - (value + half) * bottom, -np.inf, 0.0))

    def read_at_least(self, place: Place, kind: str, least: int) -> None:
        self._rows.append((self._row(place, kind), least, np.inf))

    # ---- what follows ------------------------------------------------------------------------

    def can_be(self, row: Row, low: float, high: float) -> bool:
        """Is there a body of patients with the same report, and this count between the two?"""
        for body in reversed(self._bodies):
            if low <= row @ body <= high:
                return True
        found = self._solve([*self._rows, (row, low, high)], np.zeros(self.columns.size))
        if found is not None:
            self._bodies.append(found)
        return found is not None

    def extreme(self, row: Row, sign: float) -> float:
        """The largest (1) or smallest (-1) count; infinite if nothing bounds it."""
        if sign < 0 and any(row @ body == 0 for body in self._bodies):
            return 0.0  # No count is below.
        bounded = [*self._rows, (sign * row, -np.inf, 1e6)]
        body = self._solve(bounded, -sign * row)
        if body is None:
            raise ValueError("no body of patients fits what is printed")
        self._bodies.append(body)
        return float(row @ body)

    def _solve(self, rows: Iterable[tuple[Row, float, float]], cost: Row) -> Row | None:
        matrix, low, high = (np.array(part) for part in zip(*rows, strict=True))
        answer = milp(
            cost,
            constraints=LinearConstraint(matrix, low, high),
            integrality=np.ones(self.columns.size),
            bounds=Bounds(0, np.inf),
            options={"time_limit": SECONDS},
        )
        if answer.x is None and answer.status != 2:
            raise TimeoutError("the integer program was not solved")
        return None if answer.x is None else np.round(answer.x)

    def _row(self, place: Place, kind: str) -> Row:
        return self.columns.mask(place, kind).astype(float)

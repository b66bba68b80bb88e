"""No count of 1 to 10 by a patient attribute is shown, nor can one be derived.

Hiding the small cells is not enough: a total minus the other cells gives them back, and so does
one table minus another. So an attacker is played: knowing every count that is shown, what is the
most that a protected cell could hold? While that is below the minimum, another cell is hidden
(complementary suppression; CMS cell size policy; Hundepool et al., Statistical Disclosure
Control, 2012, chapter 4). The attacker is a linear program over the finest cells.

Where the totals that are printed anyway bound a cell below the minimum (three subjects joined),
no largest value can be asked for: there the rest must say nothing more than those totals do.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog

BoolArray = npt.NDArray[np.bool_]
CountArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Key = tuple[str, ...]

_ROUNDING = 1e-6
_SOLVED, _UNBOUNDED = 0, 3
_MOST, _LEAST = 1.0, -1.0


@dataclass(frozen=True)
class Cell:
    """A count that is shown, or that a reader could be after.

    members [u]: the finest cells it adds up.   rank: cells of a lower rank are hidden first.
    published: False for a difference of shown cells, which nobody prints and anybody can compute.
    at_least: the cell is no count but a sign of one: a metric that needs 50 positives is shown, so
    there are at least 50. Hidden where that metric is.
    """

    key: Key
    members: BoolArray
    rank: int = 0
    published: bool = True
    at_least: int | None = None


def hidden_cells(
    finest: CountArray,
    cells: Sequence[Cell],
    minimum: int,
    *,
    hidden_elsewhere: Set[Key] = frozenset(),
    shown_elsewhere: Set[Key] = frozenset(),
    ties: FloatArray | None = None,
) -> set[Key]:
    """Keys of published cells to hide so that no cell of 1 to minimum - 1 can be derived.

    finest [u]: true counts of the finest cells. Zero may be shown: it is nobody. Another table of
    the same report may have decided on a cell before; that decision is kept, and a cell shown
    there is known to the attacker whatever it holds. ties [t, u]: sums of finest cells that
    everybody knows to be zero.
    """
    counts = {cell.key: int(finest[cell.members].sum()) for cell in cells}
    decided = [one for one in cells if one.published and one.key in shown_elsewhere]
    known = {one.key for one in decided}
    small = [
        one
        for one in cells
        if one.at_least is None and 0 < counts[one.key] < minimum and one.key not in known
    ]
    hidden = {one.key for one in small if one.published} | (hidden_elsewhere - shown_elsewhere)
    shown = [one for one in cells if one.published and one.key not in hidden]
    known_zeros = np.zeros((0, len(finest))) if ties is None else ties
    baseline = _Reader(decided, counts, known_zeros)
    goals = [goal for cell in small for goal in _goals(cell, baseline, minimum)]
    reader = _Reader(shown, counts, known_zeros)
    for goal in goals:
        while (attack := reader.attack(goal)) is not None:
            free = [one for one in reader.shown if one.key not in shown_elsewhere]
            if not free:
                break
            # Only a count that the attack leans on protects by being hidden; zeros go last.
            bounds = [one for one in free if one.key in attack.leans_on] or free
            worst = min(bounds, key=lambda one: (counts[one.key] == 0, one.rank, counts[one.key]))
            hidden.add(worst.key)
            reader.forget(worst)
    # Every hiding only widens what is possible, so cells protected earlier stay protected.
    return hidden


@dataclass(frozen=True)
class _Goal:
    """What must stay possible of a cell: a value of at least (sign 1) or at most (-1) reach."""

    cell: Cell
    sign: float
    reach: float


@dataclass(frozen=True)
class Attack:
    """The extreme that a cell can hold, given what is shown, and the shown cells that say so.

    table [u]: finest cells at which it holds that much; None where nothing bounds it.
    """

    extreme: float
    leans_on: frozenset[Key]
    table: FloatArray | None = None


def _goals(cell: Cell, baseline: "_Reader", minimum: int) -> Iterator[_Goal]:
    enough = _Goal(cell, _MOST, float(minimum))
    attack = baseline.attack(enough)
    if attack is None or attack.table is None:
        yield enough
        return
    yield _Goal(cell, _MOST, attack.extreme)
    least = baseline.extreme(cell, _LEAST)
    yield _Goal(cell, _LEAST, least.extreme)


class _Reader:
    """Somebody who knows all that is shown."""

    def __init__(self, shown: Sequence[Cell], counts: Mapping[Key, int], ties: FloatArray) -> None:
        self.shown = list(shown)
        self._counts = counts
        self._ties = ties
        self._tables: list[FloatArray] = []

    def attack(self, goal: _Goal) -> Attack | None:
        """None if the goal is kept, else the attack that breaks it."""
        members = goal.cell.members
        # A table found before is still possible: hiding rules nothing out.
        for table in reversed(self._tables):
            if goal.sign * (table[members].sum() - goal.reach) >= -_ROUNDING:
                return None
        found = self.extreme(goal.cell, goal.sign)
        kept = goal.sign * (found.extreme - goal.reach) >= -_ROUNDING
        return None if kept else found

    def extreme(self, cell: Cell, sign: float) -> Attack:
        found = extreme(cell, sign, self.shown, self._counts, self._ties)
        if found.table is not None:
            self._tables.append(found.table)
        return found

    def forget(self, cell: Cell) -> None:
        self.shown.remove(cell)


def extreme(
    cell: Cell, sign: float, shown: Sequence[Cell], counts: Mapping[Key, int], ties: FloatArray
) -> Attack:
    """The most (sign 1) or least (-1) that a cell holds over all non-negative finest cells that
    agree with every shown count and every sign of one."""
    exact = [one for one in shown if one.at_least is None]
    signs = [(one, one.at_least) for one in shown if one.at_least is not None]
    answer = linprog(
        -sign * cell.members.astype(np.float64),
        A_ub=-_matrix([one for one, _ in signs], cell),
        b_ub=-np.array([least for _, least in signs], dtype=np.float64),
        A_eq=np.vstack([_matrix(exact, cell), ties]),
        b_eq=np.array([counts[one.key] for one in exact] + [0] * len(ties), dtype=np.float64),
        bounds=(0, None),
        method="highs",
    )
    if answer.status == _UNBOUNDED:
        return Attack(sign * float("inf"), frozenset())
    if answer.status != _SOLVED:
        return Attack(-sign * float("inf"), frozenset())  # Not shown to be safe.
    told = [*exact, *(one for one, _ in signs)]
    prices = [*answer.eqlin.marginals[: len(exact)], *answer.ineqlin.marginals]
    leans_on = (one.key for one, price in zip(told, prices, strict=True) if abs(price) > _ROUNDING)
    return Attack(-sign * float(answer.fun), frozenset(leans_on), answer.x)


def _matrix(cells: Sequence[Cell], like: Cell) -> FloatArray:
    rows = [one.members for one in cells]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(like.members))

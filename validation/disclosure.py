"""No count of 1 to 10 by a patient attribute is shown, nor can one be derived.

Hiding the small cells is not enough: a total minus the other cells gives them back, and so does
one table minus another. So an attacker is played: knowing every count that is shown, what is the
most that a protected cell could hold? While that is below the minimum, another cell is hidden
(complementary suppression; CMS cell size policy; Hundepool et al., Statistical Disclosure
Control, 2012, chapter 4). The attacker is a linear program over the finest cells.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog

BoolArray = npt.NDArray[np.bool_]
CountArray = npt.NDArray[np.int64]
Key = tuple[str, ...]

_ROUNDING = 1e-6
_SOLVED, _UNBOUNDED = 0, 3


@dataclass(frozen=True)
class Cell:
    """A count that is shown, or that a reader could be after.

    members [u]: the finest cells it adds up.   rank: cells of a lower rank are hidden first.
    published: False for a difference of shown cells, which nobody prints and anybody can compute.
    """

    key: Key
    members: BoolArray
    rank: int = 0
    published: bool = True


def hidden_cells(
    finest: CountArray,
    cells: Sequence[Cell],
    minimum: int,
    *,
    hidden_elsewhere: Set[Key] = frozenset(),
    shown_elsewhere: Set[Key] = frozenset(),
) -> set[Key]:
    """Keys of published cells to hide so that no cell of 1 to minimum - 1 can be derived.

    finest [u]: true counts of the finest cells. Zero may be shown: it is nobody. Another table of
    the same report may have decided on a cell before; that decision is kept.
    """
    counts = {cell.key: int(finest[cell.members].sum()) for cell in cells}
    small = [cell for cell in cells if 0 < counts[cell.key] < minimum]
    hidden = {cell.key for cell in small if cell.published} | hidden_elsewhere
    for cell in small:
        shown = [other for other in cells if other.published and other.key not in hidden]
        while any(other.key not in shown_elsewhere for other in shown):
            attack = largest_possible(cell, shown, counts)
            if attack.largest >= minimum - _ROUNDING:
                break
            # Only a count that the attack leans on protects by being hidden; zeros go last.
            free = [other for other in shown if other.key not in shown_elsewhere]
            bounds = [other for other in free if other.key in attack.leans_on] or free
            worst = min(bounds, key=lambda one: (counts[one.key] == 0, one.rank, counts[one.key]))
            hidden.add(worst.key)
            shown.remove(worst)
    # Every hiding only widens what is possible, so cells protected earlier stay protected.
    return hidden


@dataclass(frozen=True)
class Attack:
    """The most that a cell can hold, given what is shown, and the shown cells that say so."""

    largest: float
    leans_on: frozenset[Key]


def largest_possible(cell: Cell, shown: Sequence[Cell], counts: Mapping[Key, int]) -> Attack:
    """Maximise a cell over all non-negative finest cells that agree with every shown count."""
    answer = linprog(
        -cell.members.astype(np.float64),
        A_eq=np.stack([other.members for other in shown]).astype(np.float64),
        b_eq=np.array([counts[other.key] for other in shown], dtype=np.float64),
        bounds=(0, None),
        method="highs",
    )
    if answer.status == _UNBOUNDED:
        return Attack(float("inf"), frozenset())
    if answer.status != _SOLVED:
        return Attack(0.0, frozenset())  # Not shown to be safe.
    prices = answer.eqlin.marginals
    leans_on = (one.key for one, price in zip(shown, prices, strict=True) if abs(price) > _ROUNDING)
    return Attack(float(-answer.fun), frozenset(leans_on))

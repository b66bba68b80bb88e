"""Rank correlation across instruments, day by day, for any subset of the rows."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from validation.ranking import FloatArray, IntArray

# A day with fewer instruments says nothing of their order.
MINIMUM_INSTRUMENTS = 5
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class DailyRanks:
    """Rows sorted once by day and value, so that a subset needs no sorting.

    days [n]: day of each row.      forecast, label [n].
    by_forecast, by_label [n]: rows by day, then by value.
    """

    days: IntArray
    forecast: FloatArray
    label: FloatArray
    by_forecast: IntArray
    by_label: IntArray

    def correlations(self, inside: BoolArray) -> tuple[IntArray, FloatArray]:
        """Days [d] and Spearman's correlation [d] over the rows of `inside` [n].

        Average ranks for ties. Only days with MINIMUM_INSTRUMENTS rows and with two different
        forecasts and labels.
        """
        if not inside.any():
            return np.array([], dtype=np.intp), np.array([])
        first = _centred_ranks(self.days, self.forecast, self.by_forecast[inside[self.by_forecast]])
        second = _centred_ranks(self.days, self.label, self.by_label[inside[self.by_label]])
        # by_forecast is sorted by day too, so either order groups the days.
        rows = self.by_forecast[inside[self.by_forecast]]
        starts = np.flatnonzero(np.diff(self.days[rows], prepend=self.days[rows[0]] - 1))
        x, y = first[rows], second[rows]
        together, alone, other = (np.add.reduceat(z, starts) for z in (x * y, x * x, y * y))
        sizes = np.diff(starts, append=len(rows))
        kept = (sizes >= MINIMUM_INSTRUMENTS) & (alone > 0) & (other > 0)
        value = together[kept] / np.sqrt(alone[kept] * other[kept])
        return self.days[rows[starts[kept]]], value


def daily_ranks(days: IntArray, forecast: FloatArray, label: FloatArray) -> DailyRanks:
    """Sort rows by day and forecast, and by day and label. All [n]."""
    return DailyRanks(
        days, forecast, label, np.lexsort((forecast, days)), np.lexsort((label, days))
    )


def _centred_ranks(days: IntArray, values: FloatArray, rows: IntArray) -> FloatArray:
    """Average rank within the day minus the day's mean rank, [n]; 0 outside of sorted `rows`."""
    day, value = days[rows], values[rows]
    new_day = np.diff(day, prepend=day[0] - 1) != 0
    new_value = new_day | (np.diff(value, prepend=value[0]) != 0)
    first_of_day, first_of_tie = np.flatnonzero(new_day), np.flatnonzero(new_value)
    middle_of_day = _middles(first_of_day, len(rows))[np.cumsum(new_day) - 1]
    middle_of_tie = _middles(first_of_tie, len(rows))[np.cumsum(new_value) - 1]
    ranks = np.zeros(len(days))
    ranks[rows] = middle_of_tie - middle_of_day
    return ranks


def _middles(firsts: IntArray, end: int) -> FloatArray:
    middles: FloatArray = 0.5 * (firsts + np.append(firsts[1:], end) - 1)
    return middles

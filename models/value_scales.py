"""How the values of one column become comparable with those of others, fitted on given values."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from models.config import Scaling

Numbers = tuple[float, ...]
Floats = npt.NDArray[np.float64]

# So many values divide a column into equal shares: enough for a smooth map, few enough to store.
KNOTS = 101

# What is divided by is a float32 where it is used: a smaller spread would be 0 there.
LEAST_SPREAD = float(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class ValueScales:
    """The scales of F columns, as plain numbers.

    Attributes:
        kind: standard, (x - mean) / deviation; robust, (x - median) / interquartile range, or
            the deviation where that range is 0;
            log, standard after sign(x) log(1 + |x|); quantile, the normal score of the share of
            values below x, which is piecewise linear in x; none, x.
        centre, spread: [F] what is subtracted, and divided by.
        knots: [F][KNOTS] of the quantile kind: knot k has (k + 1/2) / KNOTS of the values below.
        scaled: [F] whether the column is; an event's 1 would become a 0 like "not observed".
    """

    kind: Scaling
    centre: Numbers
    spread: Numbers
    knots: tuple[Numbers, ...]
    scaled: tuple[bool, ...]

    @classmethod
    def from_json(cls, words: dict[str, Any]) -> Self:
        return cls(
            words["kind"],
            tuple(words["centre"]),
            tuple(words["spread"]),
            tuple(tuple(column) for column in words["knots"]),
            tuple(words["scaled"]),
        )


def fit_value_scales(
    kind: Scaling, columns: list[Floats], scaled: list[bool], mean: Numbers, std: Numbers
) -> ValueScales:
    """Fit on the known values of each column, in any order.

    Args:
        columns: F arrays, each of as many values as are known; none may be NaN. The standard kind
            does not look at them.
        scaled: which columns are scaled at all.
        mean, std: [F] of the columns, (0, 1) where there is nothing to measure.
    """
    centre, spread, knots = mean, std, tuple[Numbers, ...]()
    if kind in ("robust", "log"):
        fit = median_and_range if kind == "robust" else mean_and_deviation_of_logs
        fitted = [
            fit(column) if wanted else (0.0, 1.0)
            for column, wanted in zip(columns, scaled, strict=True)
        ]
        centre, spread = tuple(c for c, _ in fitted), tuple(s for _, s in fitted)
    elif kind != "standard":
        centre, spread = (0.0,) * len(columns), (1.0,) * len(columns)
    if kind == "quantile":
        knots = tuple(_knots(column) for column in columns)
    return ValueScales(kind, centre, spread, knots, tuple(scaled))


def median_and_range(values: Floats) -> tuple[float, float]:
    """Median and interquartile range; (0, 1) without values.

    Where most values are equal, and the range is 0, the deviation stands in; 1 where all are.
    """
    if values.size == 0:
        return 0.0, 1.0
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    width = float(high - low)
    return float(middle), width if width >= LEAST_SPREAD else mean_and_deviation(values)[1]


def mean_and_deviation_of_logs(values: Floats) -> tuple[float, float]:
    return mean_and_deviation(np.sign(values) * np.log1p(np.abs(values)))


def mean_and_deviation(values: npt.NDArray[np.floating[Any]]) -> tuple[float, float]:
    """In float64; (0, 1) where there is nothing to measure."""
    if values.size == 0:
        return 0.0, 1.0
    exact = values.astype(np.float64)
    deviation = float(exact.std())
    return float(exact.mean()), deviation if deviation >= LEAST_SPREAD else 1.0


def _knots(values: Floats) -> Numbers:
    """Ascending float32 numbers, in which ties are what they will be where they are used."""
    if values.size == 0:
        return (0.0,) * KNOTS
    shares = (np.arange(KNOTS) + 0.5) / KNOTS
    return tuple(np.quantile(values, shares).astype(np.float32).tolist())

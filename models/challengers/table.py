"""What a challenger may read of some examples, and what every challenger can do."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from models.config import QLIKE_SHARE
from models.features import Features
from models.store import SequenceStore

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

EXTREME_DEVIATIONS = 5.0


@dataclass(frozen=True)
class Table:
    """The examples `rows` [R] of a store with their features: a row per example."""

    store: SequenceStore
    features: Features
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def columns(self) -> Floats:
        """[R, K] features, NaN where unknown."""
        return self.features.columns[self.rows]

    @cached_property
    def label(self) -> Floats:
        return self.store.label[self.rows].astype(np.float64)

    @cached_property
    def weight(self) -> Floats:
        return self.store.weight[self.rows].astype(np.float64)

    @cached_property
    def scale(self) -> Floats:
        return self.store.scale[self.rows].astype(np.float64)

    @cached_property
    def subject(self) -> Rows:
        return self.store.subject[self.rows]

    def volatility(self, static: str) -> Floats:
        """[R] exp of a static feature; the scale stands in where it is unknown.

        Raises:
            ValueError: the store has no such static feature.
        """
        known = self.store.static_value[self.rows, self.store.statics.index(static)]
        return np.where(np.isnan(known), self.scale, np.exp(known.astype(np.float64)))


class Challenger(Protocol):
    """A simple model; `predict` answers as raw as a network: a probability as its log odds."""

    @classmethod
    def fit(cls, table: Table) -> Self:
        """Fit to examples whose labels are all known."""
        ...

    @classmethod
    def read(cls, directory: Path) -> Self: ...

    def predict(self, table: Table) -> Floats:
        """[R, K] log odds (K = 1), or numbers in the label's unit: volatility, quantiles."""
        ...

    def write(self, directory: Path) -> None: ...


@dataclass(frozen=True)
class Standard:
    """Mean and deviation [K] of the known values of each column."""

    mean: list[float]
    std: list[float]

    @classmethod
    def fit(cls, columns: Floats) -> Self:
        filled = np.where(np.isnan(columns), 0.0, columns)
        there = np.maximum((~np.isnan(columns)).sum(axis=0), 1)
        mean = filled.sum(axis=0) / there
        centred = np.where(np.isnan(columns), 0.0, columns - mean)
        std = np.sqrt((centred**2).sum(axis=0) / there)
        return cls(mean.tolist(), np.where(std > 0, std, 1.0).tolist())

    def __call__(self, columns: Floats) -> Floats:
        """[R, 2K] scaled columns, 0 where missing, and 1 where missing."""
        missing = np.isnan(columns)
        scaled = (columns - np.array(self.mean)) / np.array(self.std)
        scaled = np.clip(scaled, -EXTREME_DEVIATIONS, EXTREME_DEVIATIONS)
        return np.concatenate([np.where(missing, 0.0, scaled), missing], axis=1)


def volatility_level(label: Floats, log_prediction: Floats, weight: Floats) -> float:
    """What exp of a prediction of the log is multiplied by, so that the study's loss is least.

    A model of the log has no level of its own: its exponential is a median, its smeared one a
    mean (Duan 1983), and which looks better depends on the loss. So each gets the level at which
    the loss that the network is trained on is least on its training rows [R]: by Newton's method,
    since (m - c)^2 + share x (exp(2 (m - c)) - 2 (m - c) - 1) is convex in c.
    """
    miss, level = np.log(label) - log_prediction, 0.0
    for _ in range(50):
        rest = miss - level
        slope = -2.0 * rest - 2.0 * QLIKE_SHARE * (np.exp(2.0 * rest) - 1.0)
        curve = 2.0 + 4.0 * QLIKE_SHARE * np.exp(2.0 * rest)
        step = float(np.average(slope, weights=weight) / np.average(curve, weights=weight))
        level -= step
        if abs(step) < 1e-12:
            break
    return float(np.exp(level))

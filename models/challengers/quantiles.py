"""The simple models of a return's quantiles: a shape learnt once, moved and stretched."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np

from models.challengers.garch import SESSIONS_PER_YEAR, Garch, sessions_ahead
from models.challengers.ridge import Ridge
from models.challengers.table import Floats, Table
from models.tasks import quantiles


@dataclass(frozen=True)
class RandomWalk:
    """Nothing is expected to change: median exactly 0, spread in units of the scale."""

    shape: list[float]

    @classmethod
    def fit(cls, table: Table) -> Self:
        levels = table.store.levels
        shape = quantiles(table.label / table.scale, levels, table.weight)
        # Around a median of 0 a lower quantile above it would cross.
        side = np.sign(np.array(levels) - 0.5)
        return cls((side * np.maximum(side * shape, 0.0)).tolist())

    @classmethod
    def read(cls, directory: Path) -> Self:
        return cls(**json.loads((directory / "random_walk.json").read_text()))

    def predict(self, table: Table) -> Floats:
        return np.outer(table.scale, self.shape)

    def write(self, directory: Path) -> None:
        (directory / "random_walk.json").write_text(json.dumps(asdict(self)))


@dataclass(frozen=True)
class Historical:
    """The training rows' quantiles, for everybody and always."""

    shape: list[float]

    @classmethod
    def fit(cls, table: Table) -> Self:
        return cls(quantiles(table.label, table.store.levels, table.weight).tolist())

    @classmethod
    def read(cls, directory: Path) -> Self:
        return cls(**json.loads((directory / "historical.json").read_text()))

    def predict(self, table: Table) -> Floats:
        return np.outer(np.ones(len(table)), self.shape)

    def write(self, directory: Path) -> None:
        (directory / "historical.json").write_text(json.dumps(asdict(self)))


@dataclass(frozen=True)
class GarchQuantiles:
    """GARCH's deviation over the whole horizon, times the quantiles of what it left to explain."""

    garch: Garch
    shape: list[float]

    @classmethod
    def fit(cls, table: Table) -> Self:
        garch = Garch.fit(table)
        standardised = table.label / _deviation(garch, table)
        return cls(garch, quantiles(standardised, table.store.levels, table.weight).tolist())

    @classmethod
    def read(cls, directory: Path) -> Self:
        words = json.loads((directory / "garch.json").read_text())
        return cls(Garch(**words["garch"]), words["shape"])

    def predict(self, table: Table) -> Floats:
        return np.outer(_deviation(self.garch, table), self.shape)

    def write(self, directory: Path) -> None:
        (directory / "garch.json").write_text(json.dumps(asdict(self)))


@dataclass(frozen=True)
class RidgeQuantiles:
    """A line for the centre of label / scale, and the training residuals' quantiles around it."""

    ridge: Ridge
    shape: list[float]

    @classmethod
    def fit(cls, table: Table) -> Self:
        target = table.label / table.scale
        ridge = Ridge.fit_line(table.columns, target, table.weight)
        residual = target - ridge.line(table.columns)
        return cls(ridge, quantiles(residual, table.store.levels, table.weight).tolist())

    @classmethod
    def read(cls, directory: Path) -> Self:
        words = json.loads((directory / "ridge.json").read_text())
        return cls(Ridge.from_json(words["ridge"]), words["shape"])

    def predict(self, table: Table) -> Floats:
        centre = self.ridge.line(table.columns)
        answer: Floats = (centre[:, None] + np.array(self.shape)) * table.scale[:, None]
        return answer

    def write(self, directory: Path) -> None:
        (directory / "ridge.json").write_text(json.dumps(asdict(self)))


def _deviation(garch: Garch, table: Table) -> Floats:
    """[R] GARCH's standard deviation of the log return over the horizon."""
    years = sessions_ahead(table) / SESSIONS_PER_YEAR
    answer: Floats = garch.predict(table)[:, 0] * np.sqrt(years)
    return answer

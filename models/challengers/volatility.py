"""The simple models of a volatility: what it was, weighted means of it, and a straight line."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from models.challengers.ridge import Ridge
from models.challengers.table import Floats, Table, volatility_level

FLOOR = 0.02


@dataclass(frozen=True)
class _Persistence:
    """The next volatility is a known one; nothing is fitted."""

    static: ClassVar[str]

    @classmethod
    def fit(cls, table: Table) -> Self:
        return cls()

    @classmethod
    def read(cls, directory: Path) -> Self:
        return cls()

    def predict(self, table: Table) -> Floats:
        return table.volatility(self.static)[:, None]

    def write(self, directory: Path) -> None:
        """There is nothing to write."""


class LastFive(_Persistence):
    """Realised volatility of the last 5 sessions."""

    static = "log_volatility_5"


class LastTwentyTwo(_Persistence):
    """Realised volatility of the last 22 sessions."""

    static = "log_volatility_22"


class Ewma(_Persistence):
    """Exponentially weighted mean of squared returns (RiskMetrics 1996)."""

    static = "log_ewma_volatility"


@dataclass(frozen=True)
class Har:
    """Heterogeneous autoregression (Corsi 2009): least squares on last day, week and month."""

    intercept: float
    coefficient: list[float]

    STATICS: ClassVar[tuple[str, ...]] = (
        "log_volatility_1",
        "log_volatility_5",
        "log_volatility_22",
    )

    @classmethod
    def fit(cls, table: Table) -> Self:
        root = np.sqrt(table.weight)
        beta, *_ = np.linalg.lstsq(root[:, None] * cls._design(table), root * table.label)
        return cls(float(beta[0]), beta[1:].tolist())

    @classmethod
    def read(cls, directory: Path) -> Self:
        return cls(**json.loads((directory / "har.json").read_text()))

    def predict(self, table: Table) -> Floats:
        line = self._design(table) @ np.array([self.intercept, *self.coefficient])
        answer: Floats = np.maximum(line, FLOOR)
        return answer[:, None]

    def write(self, directory: Path) -> None:
        (directory / "har.json").write_text(json.dumps(asdict(self)))

    @classmethod
    def _design(cls, table: Table) -> Floats:
        """[R, 4] a column of ones and the three volatilities."""
        known = [table.volatility(static) for static in cls.STATICS]
        return np.stack([np.ones(len(table)), *known], axis=1)


@dataclass(frozen=True)
class VolatilityRidge:
    """Ridge regression of the log of the label, turned back at the level of least loss."""

    ridge: Ridge
    level: float

    @classmethod
    def fit(cls, table: Table) -> Self:
        ridge = Ridge.fit_line(table.columns, np.log(table.label), table.weight)
        return cls(ridge, volatility_level(table.label, ridge.line(table.columns), table.weight))

    @classmethod
    def read(cls, directory: Path) -> Self:
        words = json.loads((directory / "ridge.json").read_text())
        return cls(Ridge.from_json(words["ridge"]), words["level"])

    def predict(self, table: Table) -> Floats:
        return self.level * np.exp(self.ridge.line(table.columns))[:, None]

    def write(self, directory: Path) -> None:
        (directory / "ridge.json").write_text(json.dumps(asdict(self)))

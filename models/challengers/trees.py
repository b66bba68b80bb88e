"""Gradient-boosted trees, stored by skops: nothing else in the file is ever loaded."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from models.challengers.skops_files import write_skops
from models.challengers.table import Floats, Table, volatility_level

# What a stored tree model may contain; anything else in the file is refused unread.
TRUSTED_TYPES = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
LEAVES, LEAST_IN_LEAF, TREES = 4, 40, 100


@dataclass(frozen=True)
class RiskTrees:
    """Log odds by trees of four leaves on the columns that vary; NaN is a value to them."""

    model: Any
    used: list[int]

    @classmethod
    def fit(cls, table: Table) -> Self:
        used = varying(table.columns)
        model = HistGradientBoostingClassifier(
            max_leaf_nodes=LEAVES, min_samples_leaf=LEAST_IN_LEAF, max_iter=TREES, random_state=0
        )
        model.fit(table.columns[:, used], table.label, sample_weight=table.weight)
        return cls(model, used)

    @classmethod
    def read(cls, directory: Path) -> Self:
        models, used = read_trees(directory, 1)
        return cls(models[0], used)

    def predict(self, table: Table) -> Floats:
        answer: Floats = self.model.decision_function(table.columns[:, self.used])
        return answer[:, None]

    def write(self, directory: Path) -> None:
        write_trees(directory, [self.model], self.used)


@dataclass(frozen=True)
class VolatilityTrees:
    """Least squares on the log of the label, turned back at the level of least loss."""

    model: Any
    used: list[int]
    level: float

    @classmethod
    def fit(cls, table: Table) -> Self:
        used = varying(table.columns)
        columns = table.columns[:, used]
        model = _regressor(loss="squared_error")
        model.fit(columns, np.log(table.label), sample_weight=table.weight)
        return cls(model, used, volatility_level(table.label, model.predict(columns), table.weight))

    @classmethod
    def read(cls, directory: Path) -> Self:
        models, used = read_trees(directory, 1)
        words = json.loads((directory / "hist_gradient_boosting_level.json").read_text())
        return cls(models[0], used, float(words))

    def predict(self, table: Table) -> Floats:
        answer: Floats = self.level * np.exp(self.model.predict(table.columns[:, self.used]))
        return answer[:, None]

    def write(self, directory: Path) -> None:
        write_trees(directory, [self.model], self.used)
        file = directory / "hist_gradient_boosting_level.json"
        file.write_text(json.dumps(self.level))


@dataclass(frozen=True)
class QuantileTrees:
    """One model per level, by pinball loss on label / scale; crossing quantiles are sorted."""

    models: list[Any]
    used: list[int]

    @classmethod
    def fit(cls, table: Table) -> Self:
        used = varying(table.columns)
        columns, target = table.columns[:, used], table.label / table.scale
        models = [
            _regressor(loss="quantile", quantile=level).fit(columns, target, table.weight)
            for level in table.store.levels
        ]
        return cls(models, used)

    @classmethod
    def read(cls, directory: Path) -> Self:
        words = json.loads((directory / "hist_gradient_boosting.json").read_text())
        return cls(*read_trees(directory, int(words["models"])))

    def predict(self, table: Table) -> Floats:
        columns = table.columns[:, self.used]
        found = np.stack([model.predict(columns) for model in self.models], axis=1)
        answer: Floats = np.sort(found, axis=1) * table.scale[:, None]
        return answer

    def write(self, directory: Path) -> None:
        write_trees(directory, self.models, self.used)


def varying(columns: Floats) -> list[int]:
    """The columns worth a tree: one value or none has no thresholds, and scikit-learn fails."""
    return [k for k, c in enumerate(columns.T) if len(np.unique(c[~np.isnan(c)])) > 1]


def read_trees(directory: Path, models: int) -> tuple[list[Any], list[int]]:
    words = json.loads((directory / "hist_gradient_boosting.json").read_text())
    return [
        skops.io.load(_path(directory, number), trusted=TRUSTED_TYPES) for number in range(models)
    ], words["columns"]


def write_trees(directory: Path, models: list[Any], used: list[int]) -> None:
    words = {"models": len(models), "columns": used}
    (directory / "hist_gradient_boosting.json").write_text(json.dumps(words))
    for number, model in enumerate(models):
        write_skops(model, _path(directory, number))


def _regressor(**loss: Any) -> HistGradientBoostingRegressor:
    return HistGradientBoostingRegressor(
        max_leaf_nodes=LEAVES,
        min_samples_leaf=LEAST_IN_LEAF,
        max_iter=TREES,
        random_state=0,
        **loss,
    )


def _path(directory: Path, number: int) -> Path:
    return directory / (f"hist_gradient_boosting{f'_{number}' if number else ''}.skops")

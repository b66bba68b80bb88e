"""The simple models of a probability: everybody's risk, and a straight line."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from sklearn.linear_model import LogisticRegression

from models.calibration import logit
from models.challengers.table import Floats, Standard, Table


@dataclass(frozen=True)
class Prevalence:
    """Everybody has the training rows' weighted risk: what any model must beat."""

    risk: float

    @classmethod
    def fit(cls, table: Table) -> Self:
        return cls(float(np.average(table.label, weights=table.weight)))

    @classmethod
    def read(cls, directory: Path) -> Self:
        return cls(**json.loads((directory / "prevalence.json").read_text()))

    def predict(self, table: Table) -> Floats:
        return np.full((len(table), 1), logit(np.array(self.risk)))

    def write(self, directory: Path) -> None:
        (directory / "prevalence.json").write_text(json.dumps(asdict(self)))


@dataclass(frozen=True)
class Line:
    """Logistic regression on standardised columns [K] and on which of them are missing [K]."""

    standard: Standard
    coefficient: list[float]
    intercept: float

    @classmethod
    def fit(cls, table: Table) -> Self:
        standard = Standard.fit(table.columns)
        model = LogisticRegression(C=0.01, max_iter=2000)
        model.fit(standard(table.columns), table.label, sample_weight=table.weight)
        return cls(standard, model.coef_[0].tolist(), float(model.intercept_[0]))

    @classmethod
    def read(cls, directory: Path) -> Self:
        words = json.loads((directory / "logistic_regression.json").read_text())
        return cls(Standard(**words["standard"]), words["coefficient"], words["intercept"])

    def predict(self, table: Table) -> Floats:
        design = self.standard(table.columns)
        answer: Floats = self.intercept + design @ np.array(self.coefficient)
        return answer[:, None]

    def write(self, directory: Path) -> None:
        (directory / "logistic_regression.json").write_text(json.dumps(asdict(self)))

"""A straight line that is held back, shared by volatilities and quantiles."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.linear_model import RidgeCV

from models.challengers.table import Floats, Standard

ALPHAS = (1.0, 10.0, 100.0, 1000.0)


@dataclass(frozen=True)
class Ridge:
    """Least squares on standardised columns and on which are missing; leave-one-out decides how
    much the coefficients are held back."""

    standard: Standard
    coefficient: list[float]
    intercept: float

    @classmethod
    def fit_line(cls, columns: Floats, target: Floats, weight: Floats) -> Self:
        standard = Standard.fit(columns)
        model = RidgeCV(alphas=ALPHAS).fit(standard(columns), target, sample_weight=weight)
        return cls(standard, model.coef_.tolist(), float(model.intercept_))

    @classmethod
    def from_json(cls, words: dict[str, Any]) -> Self:
        return cls(Standard(**words["standard"]), words["coefficient"], words["intercept"])

    def line(self, columns: Floats) -> Floats:
        """[R] the line's answer to columns [R, K]."""
        answer: Floats = self.intercept + self.standard(columns) @ np.array(self.coefficient)
        return answer

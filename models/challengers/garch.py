"""GARCH(1,1) of Bollerslev (1986), one per subject, fitted by the package `arch`.

The variance of the next return is omega + alpha r^2 + beta x (this one's variance).
"""

import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np

from models.challengers.return_series import PERCENT, return_series, told_series
from models.challengers.table import Floats, Table

SESSIONS_PER_YEAR = 252
LEAST_VOLATILITY = 0.02
LEAST_RETURNS = 100
EWMA = (0.0, 0.06, 0.94)
MOST_PERSISTENT = 0.999  # beyond it the unconditional variance is anything


@dataclass(frozen=True)
class Garch:
    """Annualised volatility expected over the horizon.

    Attributes:
        parameters: subject -> omega, alpha, beta and the variance that a recursion starts from,
            of returns in percent.
        others: those of a subject without training rows: the median of each.
        fallbacks: subjects whose fit did not converge, or that had too few returns for one:
            they have the parameters of an EWMA.
    """

    parameters: dict[str, list[float]]
    others: list[float]
    fallbacks: int

    @classmethod
    def fit(cls, table: Table) -> Self:
        parameters, fallbacks = {}, 0
        for subject, returns in return_series(table).items():
            fitted = fit_garch(returns) if len(returns) >= LEAST_RETURNS else None
            variance = float(np.mean(returns**2))
            if fitted is None:
                fallbacks += 1
                parameters[str(subject)] = [*EWMA, variance]
            else:
                omega, alpha, beta = fitted
                lasting = alpha + beta < MOST_PERSISTENT
                start = omega / (1.0 - alpha - beta) if lasting else variance
                parameters[str(subject)] = [omega, alpha, beta, start]
        return cls(parameters, np.median([*parameters.values()], axis=0).tolist(), fallbacks)

    @classmethod
    def read(cls, directory: Path) -> Self:
        return cls(**json.loads((directory / "garch.json").read_text()))

    def predict(self, table: Table) -> Floats:
        """[R, 1] annualised volatility: sqrt(252 x mean variance over the horizon).

        The variance of a row goes back over all that the store's rows told of its subject by
        then, other rows than the table's too: a persistence of .98 remembers for months.
        """
        told = told_series(table.store)
        parameters = np.array(
            [self.parameters.get(str(subject), self.others) for subject in told.subjects]
        ).reshape(-1, 4)
        which = told.which[table.rows]
        variance = filtered(parameters, told.returns)[which, told.steps_known[table.rows]]
        ahead = mean_ahead(parameters[which], variance, sessions_ahead(table))
        # A price that never moved: no forecast is below the least volatility of a label.
        answer: Floats = np.maximum(np.sqrt(SESSIONS_PER_YEAR * ahead) / PERCENT, LEAST_VOLATILITY)
        return answer[:, None]

    def write(self, directory: Path) -> None:
        (directory / "garch.json").write_text(json.dumps(asdict(self)))


def fit_garch(returns: Floats) -> tuple[float, float, float] | None:
    """Omega, alpha, beta of returns in percent with mean zero; None where none were found."""
    from arch import arch_model  # statsmodels comes with it: only whoever fits pays for it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it warns of is judged below
        model = arch_model(returns, mean="Zero", vol="GARCH", p=1, q=1, rescale=False)
        result = model.fit(disp="off", show_warning=False)
    found = [float(value) for value in result.params]
    if result.convergence_flag != 0 or not np.isfinite(found).all():
        return None
    return found[0], found[1], found[2]


def filtered(parameters: Floats, returns: Floats) -> Floats:
    """[N, T + 1] variance of the next return after the first 0, 1, ... T steps.

    Args:
        parameters: [N, 4] omega, alpha, beta and the first variance.
        returns: [N, T] in percent, oldest first, NaN where none is known: there its square is
            taken to be what was expected, so the variance goes on without news. Leading NaN is
            no step.
    """
    omega, alpha, beta, variance = parameters.T
    answer = np.empty((len(returns), returns.shape[1] + 1))
    answer[:, 0] = variance
    begun = np.zeros(len(returns), dtype=bool)
    for number, step in enumerate(returns.T):
        begun |= ~np.isnan(step)
        square = np.where(np.isnan(step), variance, step**2)
        variance = np.where(begun, omega + alpha * square + beta * variance, variance)
        answer[:, number + 1] = variance
    return answer


def mean_ahead(parameters: Floats, variance: Floats, sessions: int) -> Floats:
    """[R] mean variance over the next `sessions`, of which `variance` [R] is the first's.

    Args:
        parameters: [R, 4] as in `filtered`.
    """
    omega, alpha, beta, _ = parameters.T
    total = np.zeros(len(variance))
    for _ in range(sessions):
        total += variance
        variance = omega + (alpha + beta) * variance
    return total / sessions


def sessions_ahead(table: Table) -> int:
    """The 5 of a horizon of "5 sessions".

    Raises:
        ValueError: the horizon is not given in sessions.
    """
    count, unit = table.store.horizon.split(" ")
    if not unit.startswith("session"):
        raise ValueError("a GARCH forecast needs a horizon in sessions")
    return int(count)

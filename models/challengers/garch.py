"""GARCH(1,1) of Bollerslev (1986), one per subject, fitted by the package `arch`.

The variance of the next return is omega + alpha r^2 + beta x (this one's variance).
"""

import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np

from models.challengers.table import Floats, Rows, Table
from models.store import members

SESSIONS_PER_YEAR = 252
CHANNEL = "log_return"
PERCENT = 100.0  # arch's optimiser wants returns near 1
LEAST_RETURNS = 100
EWMA = (0.0, 0.06, 0.94)
MOST_PERSISTENT = 0.999  # beyond it the unconditional variance is anything
MINUTES_PER_DAY = 1440


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
        """[R, 1] annualised volatility: sqrt(252 x mean variance over the horizon)."""
        subjects, which = np.unique(table.subject, return_inverse=True)
        of_subject = [self.parameters.get(str(subject), self.others) for subject in subjects]
        parameters = np.array(of_subject).reshape(-1, 4)[which]
        variance = forecast(parameters, returns_by_step(table), sessions_ahead(table))
        answer: Floats = np.sqrt(SESSIONS_PER_YEAR * variance) / PERCENT
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


def forecast(parameters: Floats, returns: Floats, sessions: int) -> Floats:
    """[R] mean variance over the next `sessions`.

    Args:
        parameters: [R, 4] omega, alpha, beta and the first variance.
        returns: [R, T] oldest first, NaN where none is known: there its square is taken to be
            what was expected, so the variance goes on without news. Leading NaN is no step.
    """
    omega, alpha, beta, variance = parameters.T
    begun = np.zeros(len(returns), dtype=bool)
    for step in returns.T:
        begun |= ~np.isnan(step)
        square = np.where(np.isnan(step), variance, step**2)
        variance = np.where(begun, omega + alpha * square + beta * variance, variance)
    total = np.zeros(len(returns))
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


def return_series(table: Table) -> dict[int, Floats]:
    """Subject -> its returns in percent on all days that the rows' sequences know, in order.

    The rows' sequences overlap: of a day that several tell, the newest row's version counts.
    """
    owner, day, value = _returns(table)
    minute = np.rint((table.store.index_day[table.rows][owner] + day) * MINUTES_PER_DAY)
    subject, index_day = table.subject[owner], table.store.index_day[table.rows][owner]
    order = np.lexsort((index_day, minute, subject))
    subject, minute, value = subject[order], minute[order], value[order]
    newest = np.ones(len(order), dtype=bool)
    newest[:-1] = (subject[1:] != subject[:-1]) | (minute[1:] != minute[:-1])
    subject, value = subject[newest], value[newest]
    return {int(one): value[subject == one] for one in np.unique(subject)}


def returns_by_step(table: Table) -> Floats:
    """[R, T] each row's returns in percent, the last step last; NaN where there is none."""
    lengths = table.store.lengths[table.rows]
    owner, _, value = _returns(table)
    from_end = _steps_from_end(table)
    returns = np.full((len(table), max(1, int(lengths.max(initial=0)))), np.nan)
    returns[owner, returns.shape[1] - 1 - from_end] = value
    return returns


def _returns(table: Table) -> tuple[Rows, Floats, Floats]:
    """Of every return in the rows' sequences: its row, days to the index time, percent."""
    observation, step, owner = _observations(table)
    value = table.store.observation_value[observation].astype(np.float64) * PERCENT
    return owner, table.store.step_days[step].astype(np.float64), value


def _steps_from_end(table: Table) -> Rows:
    """Of every return: how many steps follow its own in the sequence."""
    _, step, owner = _observations(table)
    return table.store.step_offsets[table.rows[owner] + 1] - 1 - step


def _observations(table: Table) -> tuple[Rows, Rows, Rows]:
    """Numbers of the rows' returns among all observations, their steps, their rows."""
    store = table.store
    channel = [one.code for one in store.channels].index(CHANNEL)
    steps = members(store.step_offsets, table.rows)
    owner = np.repeat(np.arange(len(table)), store.lengths[table.rows])
    observations = members(store.observation_offsets, steps)
    which = np.repeat(np.arange(len(steps)), np.diff(store.observation_offsets)[steps])
    chosen = store.observation_channel[observations] == channel
    return observations[chosen], steps[which[chosen]], owner[which[chosen]]

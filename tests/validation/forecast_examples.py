"""Simulated markets: exchangeable names and days, on which harms can be planted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from validation.config import AuditConfig, Task
from validation.forecasts import LEVELS, QUANTILES
from validation.ranking import FloatArray

BLOCK_SESSIONS = 10
ATTRIBUTES = ("sector", "size", "volatility_regime", "era", "listing_age", "listing_status")
REFERENCES: dict[str, str] = {
    "volatility": "last_5_sessions",
    "quantiles": "random_walk",
    "direction": "prevalence",
}
CHALLENGERS: dict[str, tuple[str, ...]] = {
    task: (reference, "ridge") for task, reference in REFERENCES.items()
}
_LOSSES = {"volatility": "mae", "quantiles": "pinball", "direction": "brier"}
# Standard normal quantiles at LEVELS.
_Z = np.array(
    [-1.6448536269514722, -0.6744897501960817, 0.0, 0.6744897501960817, 1.6448536269514722]
)


def policy(task: Task = "volatility", **changes: Any) -> AuditConfig:
    return AuditConfig.model_validate(section(task, **changes))


def section(task: Task = "volatility", **changes: Any) -> dict[str, Any]:
    """The audit section of a study of forecasts as it stands in YAML."""
    limits = {
        "minimum_rows": 5,
        "max_unknown_code_share": 0.05,
        "max_missing_share": 0.5,
        "max_score_shift_psi": 0.25,
    }
    threshold: dict[str, Any] = {}
    if task == "direction":
        limits["max_selection_rate_change"] = 0.2
        threshold = {"threshold": 0.5}
    return (
        {
            "task": task,
            "reference": REFERENCES[task],
            "attributes": list(ATTRIBUTES),
            "bootstrap_draws": 200,
            "minimum_blocks": 10,
            "gating": [line(task)],
            "predictions": limits,
        }
        | threshold
        | changes
    )


def line(task: Task = "volatility", **changes: Any) -> dict[str, Any]:
    """A challenger line on the primary loss; any limit given replaces its own."""
    limits = {"at_least", "at_most", "between"} & changes.keys()
    default: dict[str, Any] = {} if limits else {"at_most": 0.0}
    shared = {
        "line": "no worse",
        "metric": _LOSSES[task],
        "on": "walk_forward",
        "group": "overall",
        "against": "best_challenger",
    }
    return shared | default | changes


def simulated(
    task: Task = "volatility", *, seed: int = 0, names: int = 30, sessions: int = 500, **plants: Any
) -> pl.DataFrame:
    """Predictions of a market in which every name and day is forecast equally well.

    Volatility moves with the market and by name (persistent over days); shocks to the label are
    shared across names and linger for days. Groups are drawn apart from all of it. plants:
    small_bias, dead_bias (share that forecasts fall short), regime_break (factor of the error).
    """
    rng = np.random.default_rng(seed)
    spread = np.exp(
        -1.6
        + _persistent(rng, sessions, 1, 0.97, 0.3)
        + _persistent(rng, sessions, names, 0.95, 0.2)
    )
    shock = _persistent(rng, sessions, 1, 0.7, 0.12) + _persistent(rng, sessions, names, 0.7, 0.25)
    frame = _frame(rng, names, sessions)
    log_spread = np.log(spread)
    factor, bias = _planted(frame, log_spread.shape, **plants)
    error = _persistent(rng, sessions, names, 0.7, 0.1)
    columns: dict[str, FloatArray] = {}
    if task == "volatility":
        # The error of the forecast is its own and half of what nobody could know.
        label = np.exp(log_spread + shock * factor)
        network = np.exp(log_spread + error) * bias
        columns = {
            "score": network,
            REFERENCES[task]: np.exp(
                log_spread + error + _persistent(rng, sessions, names, 0.7, 0.4)
            ),
            "ridge": np.exp(log_spread + error + _persistent(rng, sessions, names, 0.7, 0.2)),
        }
    elif task == "quantiles":
        returns = rng.standard_t(6, (sessions, names)) / np.sqrt(1.5) * 0.8 + 0.6 * rng.normal(
            size=(sessions, 1)
        )
        drift = 0.2 * spread * _persistent(rng, sessions, names, 0.5, 1.0)
        label = drift + returns * spread * factor
        for name, middle, width in (
            ("score", drift, spread * bias),
            (REFERENCES[task], 0 * drift, spread * 1.02),
            ("ridge", 0.5 * drift, spread * 1.05),
        ):
            for quantile, z in zip(QUANTILES, _Z, strict=True):
                columns[f"{name}_{quantile}"] = middle + z * width
        columns["score"] = columns["score_q50"]
    else:
        chance = 1 / (
            1
            + np.exp(
                -0.3 * _persistent(rng, sessions, names, 0.5, 1.0)
                - 0.2 * rng.normal(size=(sessions, 1))
            )
        )
        label = 1.0 * (rng.random((sessions, names)) < chance)
        columns = {
            "score": np.clip(chance * bias, 0.0, 1.0),
            REFERENCES[task]: np.full_like(chance, 0.5),
            "ridge": 0.5 * chance + 0.25,
        }
    flat = {name: values.ravel() for name, values in columns.items()}
    both = flat | {f"{name}_walk_forward": values for name, values in flat.items()}
    return frame.with_columns(
        label=pl.Series(label.ravel()).cast(pl.Float32),
        **{name: pl.Series(values) for name, values in both.items()},
    )


def _persistent(
    rng: np.random.Generator, sessions: int, names: int, memory: float, spread: float
) -> FloatArray:
    """A stationary first-order autoregression, [sessions, names], of standard deviation spread."""
    steps = rng.normal(size=(sessions, names)) * np.sqrt(1 - memory**2)
    steps[0] /= np.sqrt(1 - memory**2)
    for day in range(1, sessions):
        steps[day] += memory * steps[day - 1]
    return spread * steps


def _frame(rng: np.random.Generator, names: int, sessions: int) -> pl.DataFrame:
    day = np.repeat(np.arange(sessions), names)
    subject = np.tile(np.arange(names), sessions)
    start = np.datetime64("2015-01-05T21:00:00", "us")
    regime = np.repeat(rng.integers(0, 3, sessions // BLOCK_SESSIONS + 1), BLOCK_SESSIONS)

    def by_name(levels: Sequence[str], shares: Sequence[float] | None = None) -> FloatArray:
        drawn: FloatArray = rng.choice(levels, names, p=shares)
        # Every level is there, whatever was drawn.
        drawn[: len(levels)] = levels
        return drawn[subject]

    return pl.DataFrame(
        {
            "subject_id": subject,
            "index_time": pl.Series(start + day * np.timedelta64(1, "D")).dt.replace_time_zone(
                "UTC"
            ),
            "cluster": day // BLOCK_SESSIONS,
            "split": np.where(day >= sessions // 2, "test", "train"),
            "sector": by_name(["energy", "health", "technology"]),
            "size": by_name(["small", "middle", "large"]),
            "listing_age": by_name(["young", "old"]),
            "listing_status": by_name(
                ["listed", "listed", "listed", "delisted"], [0.3, 0.3, 0.25, 0.15]
            ),
            "volatility_regime": np.array(["calm", "middle", "wild"])[regime[:sessions]][day],
            "era": np.where(day < sessions // 2, "before", "after"),
        }
    )


def _planted(
    frame: pl.DataFrame,
    shape: tuple[int, ...],
    small_bias: float = 0.0,
    dead_bias: float = 0.0,
    regime_break: float = 1.0,
) -> tuple[FloatArray, FloatArray]:
    def where(column: str, level: str) -> FloatArray:
        inside: FloatArray = (frame[column] == level).to_numpy().reshape(shape).astype(np.float64)
        return inside

    bias = (
        1.0 - small_bias * where("size", "small") - dead_bias * where("listing_status", "delisted")
    )
    return 1.0 + (regime_break - 1.0) * where("era", "after"), bias


__all__ = ["ATTRIBUTES", "CHALLENGERS", "LEVELS", "line", "policy", "section", "simulated"]

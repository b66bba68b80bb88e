"""Simulated markets: exchangeable names and days, on which harms can be planted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from validation.config import AuditConfig
from validation.forecasts import QUANTILES
from validation.ranking import FloatArray
from validation.tasks import CHALLENGERS as OWED
from validation.tasks import Task, losses_of

BLOCK_SESSIONS = 10
ATTRIBUTES = ("sector", "size", "volatility_regime", "era", "listing_age", "listing_status")
REFERENCES: dict[str, str] = {
    "volatility": "last_5_sessions",
    "quantiles": "random_walk",
    "direction": "prevalence",
}
CHALLENGERS: dict[str, tuple[str, ...]] = {
    task: (reference, "logistic_regression" if task == "direction" else "ridge")
    for task, reference in REFERENCES.items()
}
_LOSSES = {"volatility": "mae", "quantiles": "pinball", "direction": "brier"}
# Standard normal quantiles at the levels of QUANTILES.
NORMAL = (-1.6448536, -0.6744898, 0.0, 0.6744898, 1.6448536)


def policy(task: Task = "volatility", **changes: Any) -> AuditConfig:
    return AuditConfig.model_validate(section(task, **changes))


def section(task: Task = "volatility", **changes: Any) -> dict[str, Any]:
    """The audit section of a study of forecasts as it stands in YAML."""
    limits = {
        "minimum_rows": 5,
        "max_unknown_code_share": 0.05,
        "max_missing_share": 0.5,
        "max_score_shift_psi": 0.25,
        "max_outside_share": 0.1,
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
            "predictions": limits,
        }
        | threshold
        | changes
        | {"gating": _with_owed(task, changes.get("gating", [line(task)]))}
    )


def _with_owed(task: Task, gating: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines given, then one on each loss that none of them compares with the best."""
    compared = {each["metric"] for each in gating if each.get("against") == "best_challenger"}
    left_out = [loss for loss in losses_of(task) if loss not in compared]
    return [*gating, *(line(task, line=f"no worse in {loss}", metric=loss) for loss in left_out)]


def with_owed_challengers(task: Task, market: pl.DataFrame) -> pl.DataFrame:
    """The market with all simple models that its audit owes, each wide of the reference."""
    reference = REFERENCES[task]
    names = [name for name in market.columns if name.startswith(reference)]
    return market.with_columns(
        (pl.col(name) * 1.2).alias(name.replace(reference, challenger, 1))
        for challenger in OWED[task]
        if challenger not in CHALLENGERS[task]
        for name in names
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

    Volatility moves with the market and by name and persists over days; shocks to the label are
    shared across names and linger for days. Groups are drawn apart from all of it. plants:
    small_bias, dead_bias (share that forecasts fall short; of delisted names in the last half,
    before they die), regime_break (factor of the error after the first half).
    """
    rng = np.random.default_rng(seed)
    market = Market(rng, sessions, names)
    frame = _frame(rng, names, sessions)
    factor, bias = _planted(frame, (sessions, names), **plants)
    make = {"volatility": _volatility, "quantiles": _quantiles, "direction": _direction}[task]
    label, forecasts = make(market, factor, bias)
    columns = {name: pl.Series(values.ravel()) for name, values in forecasts.items()}
    if task == "quantiles":
        columns["score"] = columns["score_q50"]
    walked = {f"{name}_walk_forward": values for name, values in columns.items()}
    return frame.with_columns(label=pl.Series(label.ravel()).cast(pl.Float32), **columns, **walked)


@dataclass(frozen=True)
class Market:
    """Where a simulated market draws its processes from; each is [sessions, names]."""

    rng: np.random.Generator
    sessions: int
    names: int

    def own(self, memory: float, spread: float) -> FloatArray:
        """A process of each name by itself."""
        return _persistent(self.rng, self.sessions, self.names, memory, spread)

    def shared(self, memory: float, spread: float) -> FloatArray:
        """A process that all names share, [sessions, 1]."""
        return _persistent(self.rng, self.sessions, 1, memory, spread)

    def spread(self) -> FloatArray:
        """Annualised volatility, about 20 %."""
        values: FloatArray = np.exp(-1.6 + self.shared(0.97, 0.3) + self.own(0.95, 0.2))
        return values


Made = tuple[FloatArray, dict[str, FloatArray]]


def _volatility(market: Market, factor: FloatArray, bias: FloatArray) -> Made:
    spread = market.spread()
    shock = market.shared(0.5, 0.12) + market.own(0.5, 0.25)
    error = market.own(0.5, 0.1)
    return spread * np.exp(shock * factor), {
        "score": spread * np.exp(error) * bias,
        REFERENCES["volatility"]: spread * np.exp(error + market.own(0.5, 0.4)),
        "ridge": spread * np.exp(error + market.own(0.5, 0.2)),
    }


def _quantiles(market: Market, factor: FloatArray, bias: FloatArray) -> Made:
    spread = market.spread()
    shape = spread.shape
    drift = 0.2 * spread * market.own(0.5, 1.0)
    # Fat tails, and a third of the variance shared across names.
    tails = market.rng.standard_t(6, shape) / np.sqrt(1.5)
    shock = 0.8 * tails + 0.6 * market.rng.normal(size=(shape[0], 1))
    forecasts = {
        f"{name}_{quantile}": middle + z * width
        for name, middle, width in (
            ("score", drift, spread * bias),
            (REFERENCES["quantiles"], 0.0 * drift, spread * 1.02),
            ("ridge", 0.5 * drift, spread * 1.05),
        )
        for quantile, z in zip(QUANTILES, NORMAL, strict=True)
    }
    label = np.asarray(drift + shock * spread * factor, dtype=np.float64)
    return label, forecasts


def _direction(market: Market, factor: FloatArray, bias: FloatArray) -> Made:
    logit = market.own(0.5, 0.3) + market.shared(0.0, 0.2)
    chance: FloatArray = (1.0 / (1.0 + np.exp(-logit * factor))).astype(np.float64)
    label = (market.rng.random(chance.shape) < chance).astype(np.float64)
    return label, {
        "score": chance * bias,
        REFERENCES["direction"]: np.full_like(chance, 0.5),
        "logistic_regression": 0.5 * chance + 0.25,
    }


def _persistent(
    rng: np.random.Generator, sessions: int, names: int, memory: float, spread: float
) -> FloatArray:
    """A stationary first-order autoregression, [sessions, names], of standard deviation spread."""
    fresh = np.sqrt(1.0 - memory * memory)
    steps: FloatArray = rng.normal(size=(sessions, names)) * fresh
    steps[0] /= fresh
    for day in range(1, sessions):
        steps[day] += memory * steps[day - 1]
    scaled: FloatArray = spread * steps
    return scaled


def _frame(rng: np.random.Generator, names: int, sessions: int) -> pl.DataFrame:
    day = np.repeat(np.arange(sessions), names)
    subject = np.tile(np.arange(names), sessions)
    start = np.datetime64("2015-01-05T21:00:00", "us")
    regime = np.repeat(rng.integers(0, 3, sessions // BLOCK_SESSIONS + 1), BLOCK_SESSIONS)

    def by_name(levels: Sequence[str], shares: Sequence[float] | None = None) -> pl.Series:
        drawn = rng.choice(levels, names, p=shares)
        # Every level is there, whatever was drawn.
        drawn[: len(levels)] = levels
        return pl.Series(drawn[subject])

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

    dying = where("listing_status", "delisted") * where("era", "after")
    bias = 1.0 - small_bias * where("size", "small") - dead_bias * dying
    return 1.0 + (regime_break - 1.0) * where("era", "after"), bias


def table(task: Task, label: list[float], **columns: Any) -> pl.DataFrame:
    """A row per label, a day and a block each; columns of the network, the reference and ridge."""
    rows = len(label)
    start = np.datetime64("2020-01-01T21:00", "us")
    frame = pl.DataFrame(
        {
            "subject_id": np.zeros(rows, dtype=np.int64),
            "index_time": start + np.arange(rows) * np.timedelta64(1, "D"),
            "cluster": np.arange(rows),
            "split": ["test"] * rows,
            "label": pl.Series(label, dtype=pl.Float64),
            "sector": ["a", "b"] * (rows // 2),
        }
    )
    return frame.with_columns(**{name: pl.Series(values) for name, values in columns.items()})

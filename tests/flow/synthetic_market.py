"""A small market made up from a seed: names with volatility that persists, one of them delisted."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from pipelines.market.sessions import calendar

FIRST, LAST = date(2015, 1, 2), date(2018, 12, 31)
NAMES = 9
DELISTED = ("NAME08", date(2018, 3, 1))
SECTORS = ("energy", "health care", "technology")


def write_market(folder: Path, seed: int = 0) -> None:
    """bars.csv (long, OHLCV) and universe.csv."""
    sessions = calendar("XNYS").between(FIRST, LAST)["session"].to_list()
    random = np.random.default_rng(seed)
    market = _persistent(random, len(sessions), 0.06)
    frames = []
    for number in range(NAMES):
        name = f"NAME{number:02d}"
        log_volatility = (
            np.log(0.25 + 0.02 * number) + market + _persistent(random, len(sessions), 0.09)
        )
        frames.append(_bars(random, name, sessions, np.exp(log_volatility)))
    bars = pl.concat(frames).filter(
        (pl.col("ticker") != DELISTED[0]) | (pl.col("date") < DELISTED[1])
    )
    bars.write_csv(folder / "bars.csv")
    pl.DataFrame(
        {
            "ticker": [f"NAME{number:02d}" for number in range(NAMES)],
            "industry": [SECTORS[number % 3] for number in range(NAMES)],
            "listed": [date(2015, 1, 2)] * NAMES,
            "delisted": [DELISTED[1] if number == 8 else None for number in range(NAMES)],
        }
    ).write_csv(folder / "universe.csv")


def _persistent(random: np.random.Generator, sessions: int, spread: float) -> Any:
    """An autoregression with a half-life of about 23 sessions."""
    steps = random.normal(0, spread, sessions)
    path = np.zeros(sessions)
    for number in range(1, sessions):
        path[number] = 0.97 * path[number - 1] + steps[number]
    return path


def _bars(
    random: np.random.Generator, name: str, sessions: list[date], volatility: Any
) -> pl.DataFrame:
    returns = random.normal(0, 1, len(sessions)) * volatility / np.sqrt(252)
    close = np.round(100 * np.exp(np.cumsum(returns)), 4)
    reach = np.abs(random.normal(0, 1, (2, len(sessions)))) * volatility / np.sqrt(252) / 2
    opened = np.round(close * np.exp(-returns / 2), 4)
    return pl.DataFrame(
        {
            "ticker": [name] * len(sessions),
            "date": sessions,
            "open": opened,
            "high": np.round(np.maximum(opened, close) * np.exp(reach[0]), 4),
            "low": np.round(np.minimum(opened, close) * np.exp(-reach[1]), 4),
            "close": close,
            "volume": np.round(1e6 * np.exp(random.normal(0, 0.3, len(sessions)))),
        }
    )


def write_study(folder: Path, name: str, kind: str, audit: dict[str, Any]) -> None:
    """A study over bars.csv; ``audit`` holds task, reference, gating and what the task needs."""
    horizon = 1 if kind == "direction" else 5
    words = {"title": name, "owner": "tests", "purpose": "To be tested.", "not_for": "Use."}
    raw = words | {
        "domain": "market",
        "limits_of_the_data": ["Made up."],
        "market": {
            "source": _source(),
            "index": {"minimum_history_sessions": 67, "lookback_days": 32},
            "label": {"kind": kind, "horizon_sessions": horizon},
            "groups": {"era_years": 1},
            "block_sessions": 20,
            "conformal_days": 180,
        },
        "split": {
            "kind": "walk_forward",
            "first_test": date(2017, 1, 1),
            "test_months": 12,
            "validation_days": 90,
            "train_every": 5,
        },
        "contract": {
            "earliest": date(2015, 1, 1),
            "latest": date(2018, 12, 31),
            "max_quarantined_share": 0.001,
        },
        "model": {
            "hidden_size": 8,
            "learning_rate": 0.005,
            "min_epochs": 6,
            "max_epochs": 6,
            "max_steps": 22,
            "seeds": [0],
        },
        "audit": {
            "attributes": ["sector", "volatility_regime", "listing_status"],
            "bootstrap_draws": 200,
            "minimum_blocks": 10,
            "predictions": {
                "minimum_rows": 5,
                "max_unknown_code_share": 0.0,
                "max_missing_share": 0.5,
                "max_outside_share": 0.5,
            },
        }
        | audit,
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))


def _source() -> dict[str, Any]:
    """The market section's source: bars.csv and universe.csv."""
    return {
        "bars": [
            {
                "path": "bars.csv",
                "format": "csv",
                "shape": "long",
                "columns": {
                    "time": "date",
                    "instrument": "ticker",
                    **{code: code for code in ("open", "high", "low", "close", "volume")},
                },
            }
        ],
        "exchange": "XNYS",
        "currency": "USD",
        "closes_are_adjusted": False,
        "records_are_public": True,
        "universe": {
            "is_point_in_time": True,
            "table": {
                "path": "universe.csv",
                "format": "csv",
                "instrument": "ticker",
                "sector": "industry",
                "listed": "listed",
                "delisted": "delisted",
            },
        },
    }

"""Small markets for tests: bars of made-up instruments at true sessions, and naive oracles."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import hypothesis.strategies as st
import numpy as np
import polars as pl

from pipelines.market.config import MarketConfig
from pipelines.market.sessions import calendar

FIRST_DAY = date(2015, 1, 2)
SESSIONS = calendar("XNYS").sessions.filter(pl.col("session") >= FIRST_DAY)
FIRST = int(SESSIONS["session_ordinal"][0])
CLOSES: list[datetime] = SESSIONS["close"].head(1500).to_list()

# subject, place of the session from FIRST_DAY, code, value, days from its close until known
Row = tuple[int, int, str, float, float]


def config(kind: str = "realised_volatility", sessions: int = 5, **parts: Any) -> MarketConfig:
    """A study's market section; ``parts`` change source, index, groups and so on."""
    source = {
        "bars": [{"path": "x.csv", "format": "csv", "shape": "wide", "columns": {"time": "Date"}}],
        "universe": {"is_point_in_time": False},
        "exchange": "XNYS",
        "currency": "USD",
        "closes_are_adjusted": False,
    }
    return MarketConfig.model_validate(
        {
            "label": {"kind": kind, "horizon_sessions": sessions},
            "index": {"minimum_history_sessions": 2},
            **parts,
            "source": source | parts.get("source", {}),
        }
    )


def events(rows: Iterable[Row]) -> pl.DataFrame:
    """An event table of rows."""
    frame = pl.DataFrame(
        [
            (subject, CLOSES[place], CLOSES[place] + timedelta(days=late), code, value)
            for subject, place, code, value, late in rows
        ],
        schema={
            "subject_id": pl.Int64,
            "time": pl.Datetime("us", "UTC"),
            "known_time": pl.Datetime("us", "UTC"),
            "code": pl.String,
            "numeric_value": pl.Float32,
        },
        orient="row",
    )
    return frame.with_columns(pl.col("code").cast(pl.Categorical))


def closes(subject: int, prices: Sequence[float | None], first: int = 0) -> list[Row]:
    """Closes of adjacent sessions, known in time; None for a session without a bar."""
    return [
        (subject, first + place, "close", price, 0.0)
        for place, price in enumerate(prices)
        if price is not None
    ]


def subjects(*ids: int, **attributes: list[Any]) -> pl.DataFrame:
    """A subject table."""
    empty = {
        "sector": [None] * len(ids),
        "listed": [None] * len(ids),
        "delisted": [None] * len(ids),
    }
    return pl.DataFrame(
        {"subject_id": list(ids), **empty, **attributes},
        schema_overrides={
            "subject_id": pl.Int64,
            "sector": pl.String,
            "listed": pl.Date,
            "delisted": pl.Date,
        },
    )


def as_of(table: pl.DataFrame, moment: datetime) -> dict[tuple[int, str, int], float]:
    """(subject, code, place) -> the newest value known at a moment. Naive on purpose."""
    place = {close: number for number, close in enumerate(CLOSES)}
    found: dict[tuple[int, str, int], tuple[datetime, float]] = {}
    for row in table.iter_rows(named=True):
        key = (row["subject_id"], row["code"], place[row["time"]])
        said = (row["known_time"], row["numeric_value"])
        if row["known_time"] <= moment and said >= found.get(key, said):
            found[key] = said
    return {key: value for key, (_, value) in found.items()}


def naive_return(
    known: Mapping[tuple[int, str, int], float], subject: int, place: int
) -> float | None:
    """The log return of a session from what is known, with splits and dividends."""
    now, before = (known.get((subject, "close", at)) for at in (place, place - 1))
    if now is None or before is None:
        return None
    split = known.get((subject, "split", place), 1.0)
    return math.log((now + known.get((subject, "dividend", place), 0.0)) * split / before)


@st.composite
def tables(draw: st.DrawFn, instruments: int = 3, length: int = 12) -> pl.DataFrame:
    """Markets with young listings, missing, late and restated bars, splits and dividends."""
    rows: list[Row] = []
    price = st.floats(50, 200, width=32)
    late = st.sampled_from([0.5, 1.0, 2.0, 5.0, 30.0])
    for subject in range(instruments):
        start = draw(st.integers(0, length // 2))
        for place in range(start, length):
            if draw(st.integers(0, 9)):
                is_late = not draw(st.integers(0, 9))
                rows.append((subject, place, "close", draw(price), draw(late) if is_late else 0.0))
            if not draw(st.integers(0, 9)):
                rows.append((subject, place, "close", draw(price), draw(late)))
            if not draw(st.integers(0, 14)):
                rows.append(
                    (subject, place, "split", draw(st.sampled_from([2.0, 0.5])), draw(late))
                )
            if not draw(st.integers(0, 14)):
                rows.append((subject, place, "dividend", 1.0, draw(st.sampled_from([-3.0, 2.0]))))
    # What a file says twice of one bar at one moment is quarantined before it gets here.
    kept = {(row[0], row[1], row[2], row[4]): row for row in rows}
    return events(kept.values())


def random_market(seed: int, length: int = 300, instruments: int = 4) -> pl.DataFrame:
    """A market with everything that can go wrong in time: OHLCV, halts, late and restated bars."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    for subject in range(1, instruments + 1):
        start = int(rng.integers(0, 30))
        price = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, length)))
        for place in range(start, length):
            if rng.random() < 0.01:
                continue
            late = float(rng.choice([0.3, 2.0, 40.0])) if rng.random() < 0.005 else 0.0
            bar = {
                "close": price[place],
                "high": price[place] * 1.02,
                "low": price[place] * 0.99,
                "volume": rng.integers(1_000, 9_000),
            }
            rows += [(subject, place, code, value, late) for code, value in bar.items()]
            if rng.random() < 0.01:
                code = str(rng.choice(list(bar)))
                rows.append((subject, place, code, bar[code] * 1.1, late + 5 * rng.random() + 0.01))
            if rng.random() < 0.005:
                rows.append((subject, place, "split", 2.0, float(rng.choice([-9.0, 4.0]))))
            if rng.random() < 0.005:
                rows.append((subject, place, "dividend", 1.0, float(rng.choice([-9.0, 4.0]))))
    return events(rows)

"""Small market sources for tests: files in a folder, and the study's section that reads them."""

from pathlib import Path
from typing import Any

import polars as pl

from pipelines.events import Ingested, ingest
from pipelines.market.config import MarketConfig
from pipelines.market.source import read_records
from pipelines.pseudonyms import PUBLISHED_KEY, pseudonyms

HEADER = "day,name,open,high,low,close,volume"
COLUMNS = {
    "time": "day",
    "instrument": "name",
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "volume": "volume",
}


def write_lines(path: Path, *lines: str) -> Path:
    """A text file of lines, each with its line break."""
    path.write_text("".join(line + "\n" for line in lines))
    return path


def bars_of(path: Path, **changes: Any) -> dict[str, Any]:
    """The section of a long table of whole bars."""
    return {
        "path": str(path),
        "format": "csv",
        "shape": "long",
        "columns": dict(COLUMNS),
    } | changes


def market(*bars: dict[str, Any], **source: Any) -> MarketConfig:
    """A market section over these bars; ``source`` changes what it says of them."""
    said = {
        "bars": list(bars),
        "universe": {"is_point_in_time": False},
        "exchange": "XNYS",
        "currency": "USD",
        "closes_are_adjusted": True,
        "records_are_public": True,
    }
    return MarketConfig.model_validate(
        {
            "source": said | source,
            "label": {"kind": "realised_volatility", "horizon_sessions": 5},
        }
    )


def ingested(config: MarketConfig) -> Ingested:
    """The tables of a market section, judged by its own rules."""
    return ingest(read_records(config), lambda ids: pseudonyms(ids, PUBLISHED_KEY))


def ingested_lines(folder: Path, *lines: str, **source: Any) -> Ingested:
    """The tables of one file of whole bars with these lines after the header."""
    file = write_lines(folder / "bars.csv", HEADER, *lines)
    return ingested(market(bars_of(file), **source))


def broken_rules(tables: Ingested) -> set[str]:
    """The rules by which any row was quarantined."""
    return set(tables.quarantine["rule"])


def closes(tables: Ingested) -> list[float]:
    """The accepted closes in order of time and known time."""
    kept = tables.events.filter(pl.col("code").cast(pl.String) == "close")
    return kept.sort("time", "known_time")["numeric_value"].to_list()

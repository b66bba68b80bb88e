"""The data that the product is shown and developed with is what it says it is."""

import os
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.market.sessions import calendar
from pipelines.market.source import read_records
from pipelines.market.source_checks import source_checks, source_findings
from tests.pipelines.market.market_files import ingested, market

SP500 = {
    "package": "skfolio",
    "path": "datasets/data/sp500_dataset.csv.gz",
    "format": "csv",
    "shape": "wide",
    "quantity": "adjusted_close",
    "columns": {"time": "Date"},
}
DEVELOPMENT_DATA = os.environ.get("EQUIPOISE_DEVELOPMENT_DATA")


def test_the_embedded_prices_stand_on_every_session_of_their_years_and_on_no_other_day() -> None:
    rows = read_records(market(SP500)).events

    sessions = calendar("XNYS").between(date(1990, 1, 2), date(2022, 12, 28))["session"]
    assert sessions.len() == 8313
    assert rows.height == 8313 * 20
    per_name = rows.group_by("subject").agg(pl.col("session").sort())
    assert per_name.height == 20
    assert all(days.to_list() == sessions.to_list() for days in per_name["session"])


def test_one_split_was_left_in_the_embedded_prices_and_its_bar_is_kept_out() -> None:
    # Apple lost half its value on a profit warning: the jump is the market's own.
    config = market(SP500, acknowledged_jumps={"AAPL": [date(2000, 9, 29)]})

    tables = ingested(config)

    assert tables.quarantine.select("subject", "time_text", "rule").rows() == [
        ("RRC", "1990-04-10", "unadjusted_split")
    ]
    assert tables.events.height == 8313 * 20 - 1
    assert all(check["passed"] for check in source_checks(config, tables.events, tables.subjects))
    kinds = {
        finding["kind"]: finding["count"]
        for finding in source_findings(config, tables.events, tables.subjects)
    }
    assert kinds == {"stale_closes": 522, "missing_sessions": 1, "survivorship": 20}


@pytest.mark.skipif(
    DEVELOPMENT_DATA is None or not (Path(DEVELOPMENT_DATA) / "stocknet").is_dir(),
    reason="the folder stocknet is not in EQUIPOISE_DEVELOPMENT_DATA",
)
def test_stocknet_is_read_with_its_sectors_and_its_empty_bars_are_counted() -> None:
    folder = Path(DEVELOPMENT_DATA or "") / "stocknet"
    bars: dict[str, Any] = {
        "path": str(folder / "prices.parquet"),
        "format": "parquet",
        "shape": "long",
        "columns": {
            "time": "Date",
            "instrument": "ticker",
            "open": "Open",
            "high": "High",
            "low": "Low",
            "close": "Close",
            "adjusted_close": "Adj Close",
            "volume": "Volume",
        },
    }
    table = {
        "path": str(folder / "StockTable.tsv"),
        "format": "tsv",
        "instrument": "Symbol",
        "sector": "Sector",
        "strip_prefix": "$",
    }

    tables = ingested(market(bars, universe={"is_point_in_time": False, "table": table}))

    assert tables.subjects.height == 88
    assert tables.subjects["sector"].n_unique() == 9
    of_bars = [account for account in tables.accounts if account.part != "instruments"]
    assert [(one.rows_in, one.empty, one.quarantined) for one in of_bars] == [(108592, 3, 1)] * 6
    assert set(tables.quarantine.select("subject", "time_text", "rule").rows()) == {
        ("AGFS", "2016-11-09", "unadjusted_split")
    }

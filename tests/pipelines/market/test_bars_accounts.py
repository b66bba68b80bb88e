"""Rows add up, whatever is in them: in = empty + accepted + quarantined + duplicates."""

import tempfile
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pipelines.market.market_files import (
    COLUMNS,
    HEADER,
    bars_of,
    ingested,
    market,
    write_lines,
)

TIMES = ("2020-01-02", "20200103", "2020-01-06", "2020-01-04", "2020-01-06 16:00", "soon", "")
NAMES = ("AAA", "BBB", "CCC", "")
PRICES = ("10", "10.0", "11", "5", "0", "-1", "NaN", "ten", "1e60", "")
CELLS = st.tuples(st.sampled_from(TIMES), st.sampled_from(NAMES), *[st.sampled_from(PRICES)] * 5)
UNIVERSE = {
    "is_point_in_time": True,
    "instruments": {"AAA": {"listed": "2020-01-03"}, "BBB": {"delisted": "2020-01-03"}},
}


@settings(deadline=None, max_examples=30)
@given(st.lists(CELLS, max_size=12))
def test_every_cell_of_a_broken_table_is_accounted_for_once(
    lines: list[tuple[str, ...]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = write_lines(Path(folder) / "bars.csv", HEADER, *[",".join(line) for line in lines])
        tables = ingested(market(bars_of(file), universe=UNIVERSE))

    of_bars = [account for account in tables.accounts if account.file == str(file)]
    assert [account.part for account in of_bars] == list(COLUMNS)[2:]
    for place, account in enumerate(of_bars, start=2):
        empty = sum(line[place] == "" for line in lines)
        assert account.rows_in == len(lines)
        assert account.empty == empty
        assert account.rows_in == (
            account.empty + account.accepted + account.quarantined + account.duplicates
        )
        assert account.quarantined == sum(account.quarantined_by_rule.values())
    from_bars = tables.events["source_file"] == str(file)
    assert from_bars.sum() == sum(account.accepted for account in of_bars)


@settings(deadline=None, max_examples=30)
@given(st.lists(CELLS, max_size=12))
def test_what_is_accepted_is_positive_and_said_once_per_session_and_known_time(
    lines: list[tuple[str, ...]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = write_lines(Path(folder) / "bars.csv", HEADER, *[",".join(line) for line in lines])
        tables = ingested(market(bars_of(file), universe=UNIVERSE))

    values = tables.events.filter(pl.col("numeric_value").is_not_null())
    prices = values.filter(pl.col("code").cast(pl.String) != "volume")
    assert (prices["numeric_value"] > 0).all()
    assert (values["numeric_value"] >= 0).all()
    key = ["subject_id", "time", "known_time", "code"]
    assert values.select(key).is_duplicated().sum() == 0
    assert (tables.events["known_time"] >= tables.events["time"]).all()

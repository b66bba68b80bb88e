"""The audit's groups of an example, as known at its index time."""

from datetime import date
from typing import Any

import polars as pl
import pytest

from pipelines.market.examples import training_examples
from pipelines.market.groups import group_names
from tests.pipelines.market.market_examples import CLOSES, Row, closes, config, events, subjects

LENGTH = 70


def grouped(table: pl.DataFrame, people: pl.DataFrame, **parts: Any) -> pl.DataFrame:
    return training_examples(config(**parts), table, people).frame


def one(table: pl.DataFrame, people: pl.DataFrame, name: str, **parts: Any) -> set[str]:
    return set(grouped(table, people, **parts)[name])


def steady(*ids: int, length: int = LENGTH) -> list[Row]:
    return [row for subject in ids for row in closes(subject, [100.0 + subject] * length)]


def test_what_is_not_said_is_unknown() -> None:
    table, people = events(steady(1)), subjects(1).drop("sector", "listed", "delisted")
    frame = grouped(table, people)
    for name in ("sector", "listing_age"):
        assert set(frame[name]) == {"unknown"}
    assert set(frame["listing_status"]) == {"listed"}


def test_a_sector_is_the_universes() -> None:
    assert one(events(steady(1)), subjects(1, sector=["energy"]), "sector") == {"energy"}


def test_size_is_the_tercile_of_the_value_traded_not_of_shares_or_price() -> None:
    shares = {1: 900.0, 2: 20.0, 3: 1.0}
    volumes = [(s, at, "volume", shares[s], 0.0) for s in shares for at in range(LENGTH)]
    prices = {1: 1.0, 2: 100.0, 3: 300.0}
    bars = [row for s, price in prices.items() for row in closes(s, [price] * LENGTH)]
    frame = grouped(events([*bars, *volumes]), subjects(1, 2, 3))
    last = frame.filter(pl.col("index_time") == CLOSES[LENGTH - 1])
    assert dict(last.select("subject_id", "size").iter_rows()) == {
        1: "middle",
        2: "large",
        3: "small",
    }
    early = frame.filter(pl.col("index_time") == CLOSES[64])
    assert set(early["size"]) == {"unknown"}


def test_a_volume_restated_later_leaves_the_size_as_it_was_seen() -> None:
    volumes: list[Row] = [
        (s, at, "volume", 10.0 * s, 0.0) for s in (1, 2, 3) for at in range(LENGTH)
    ]
    seen = events([*steady(1, 2, 3), *volumes])
    restated = events([*steady(1, 2, 3), *volumes, (1, 30, "volume", 1e9, 300.0)])
    sizes = [grouped(table, subjects(1, 2, 3))["size"].to_list() for table in (seen, restated)]
    assert set(sizes[0]) == {"unknown", "small", "middle", "large"}
    assert sizes[0] == sizes[1]


def test_without_volume_there_is_no_size() -> None:
    assert "size" not in group_names(events(steady(1)))
    assert "size" in group_names(events([*steady(1), (1, 0, "volume", 5.0, 0.0)]))


def test_a_regime_compares_the_market_with_its_own_past_alone() -> None:
    # A calm year, then a storm, then calm that the storm makes look normal or calm.
    prices = [100.0]
    for at in range(400):
        prices.append(prices[-1] * (1 + (0.03 if 300 <= at < 320 else 0.005) * (-1) ** at))
    frame = grouped(events(closes(1, prices)), subjects(1)).sort("index_time")
    regime = dict(zip(frame["index_time"], frame["volatility_regime"], strict=True))
    assert regime[CLOSES[200]] == "unknown"
    assert {regime[CLOSES[at]] for at in range(302, 320)} == {"stressed"}
    # What came later leaves the past as it was judged.
    cut = grouped(events(closes(1, prices[:311])), subjects(1)).sort("index_time")
    assert cut["volatility_regime"].to_list() == frame["volatility_regime"].to_list()[: cut.height]


@pytest.mark.parametrize(
    ("years", "expected"), [(4, "2015-2018"), (5, "2011-2015"), (1, "2015"), (10, "2011-2020")]
)
def test_an_era_is_a_calendar_block_that_divides_the_decades(years: int, expected: str) -> None:
    assert one(events(steady(1)), subjects(1), "era", groups={"era_years": years}) == {expected}


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (date(2014, 6, 1), "under 2 years"),
        (date(2010, 6, 1), "2 to 10 years"),
        (date(2000, 6, 1), "over 10 years"),
    ],
)
def test_the_age_of_a_listing_falls_into_the_studys_bands(listed: date, expected: str) -> None:
    people = subjects(1, listed=[listed])
    assert one(events(steady(1)), people, "listing_age") == {expected}


def test_an_instrument_grows_older() -> None:
    people = subjects(1, listed=[date(2013, 2, 1)])
    frame = grouped(events(steady(1)), people).sort("index_time")
    assert frame["listing_age"].unique(maintain_order=True).to_list() == [
        "under 2 years",
        "2 to 10 years",
    ]


def test_delisted_is_who_has_a_date_of_it_or_fell_silent() -> None:
    dead = closes(3, [50.0] * 20)
    people = subjects(1, 2, 3, delisted=[None, date(2016, 1, 4), None])
    frame = grouped(events([*steady(1, 2), *dead]), people)
    status = dict(frame.select("subject_id", "listing_status").unique().iter_rows())
    assert status == {1: "listed", 2: "delisted", 3: "delisted"}

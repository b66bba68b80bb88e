"""The universe says who there is and since when; a name that vanished from it is found."""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from pipelines.market.config import MarketConfig
from pipelines.market.source_checks import source_checks, source_findings
from tests.pipelines.market.market_files import (
    bars_of,
    broken_rules,
    closes,
    ingested,
    market,
    write_lines,
)

COLUMNS = {"time": "day", "instrument": "name", "close": "close"}
SESSIONS = ("2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07", "2020-01-08")


def one_name(folder: Path, *lines: str, **source: Any) -> MarketConfig:
    """A market section over a table of closes with these lines (day, name, close)."""
    file = write_lines(folder / "closes.csv", "day,name,close", *lines)
    return market(bars_of(file, columns=COLUMNS), **source)


def universe_file(folder: Path, *lines: str, **named: str) -> dict[str, Any]:
    """A universe that is said by a table with these lines, the header first."""
    file = write_lines(folder / "universe.csv", *lines)
    table = {"path": str(file), "format": "csv", "instrument": "name"} | named
    return {"is_point_in_time": True, "table": table}


def test_without_a_universe_every_name_of_the_bars_is_an_instrument(tmp_path: Path) -> None:
    tables = ingested(one_name(tmp_path, "2020-01-02,BBB,1", "2020-01-02,AAA,1"))

    assert (
        tables.subjects.select("sector", "listed", "delisted", "currency").rows()
        == [("unknown", None, None, "USD")] * 2
    )
    assert tables.crosswalk["source_id"].to_list() == ["AAA", "BBB"]


def test_a_name_that_the_universe_does_not_hold_is_kept_out(tmp_path: Path) -> None:
    universe = {"is_point_in_time": False, "instruments": {"AAA": {"sector": "energy"}}}

    tables = ingested(one_name(tmp_path, "2020-01-02,AAA,1", "2020-01-02,BBB,1", universe=universe))

    assert tables.quarantine.select("rule", "subject").rows() == [("not_in_universe", "BBB")]
    assert tables.subjects["sector"].to_list() == ["energy"]


def test_a_bar_before_the_listing_or_after_the_delisting_is_kept_out(tmp_path: Path) -> None:
    life = {"listed": date(2020, 1, 3), "delisted": date(2020, 1, 7)}
    universe = {"is_point_in_time": True, "instruments": {"AAA": life}}

    tables = ingested(one_name(tmp_path, *[f"{day},AAA,1" for day in SESSIONS], universe=universe))

    by_row = dict(tables.quarantine.select("source_row", "rule").iter_rows())
    assert by_row == {1: "before_listing", 5: "after_delisting"}
    assert closes(tables) == [1.0, 1.0, 1.0]


def test_the_dates_of_a_life_are_events_of_its_sessions(tmp_path: Path) -> None:
    universe = universe_file(
        tmp_path,
        "name,industry,from,to,in,out,since",
        "$AAA,energy,2020-01-04,2020-02-01,2020-01-07,,2020-02-03",
        sector="industry",
        listed="from",
        delisted="to",
        member_from="in",
        member_until="out",
        known_time="since",
        strip_prefix="$",
    )

    tables = ingested(one_name(tmp_path, "2020-01-06,AAA,1", universe=universe))

    dated = tables.events.filter(pl.col("numeric_value").is_null())
    known = datetime(2020, 2, 3, 21, tzinfo=UTC)
    assert dated.select(pl.col("code").cast(pl.String), "time", "known_time").rows() == [
        ("listed", datetime(2020, 1, 6, 21, tzinfo=UTC), known),
        ("delisted", datetime(2020, 1, 31, 21, tzinfo=UTC), known),
        ("joined_universe", datetime(2020, 1, 7, 21, tzinfo=UTC), known),
    ]
    assert tables.subjects["known_time"].to_list() == [known]
    empty = {account.part: account.empty for account in tables.accounts}
    assert empty["out"] == 1


def test_a_second_spell_of_membership_is_no_second_instrument(tmp_path: Path) -> None:
    universe = universe_file(
        tmp_path,
        "name,in,out,since",
        "AAA,2020-01-02,2020-01-03,2020-01-03",
        "AAA,2020-01-07T00:00:00,,2020-01-07",
        member_from="in",
        member_until="out",
        known_time="since",
    )

    tables = ingested(one_name(tmp_path, "2020-01-06,AAA,1", universe=universe))

    first_known = datetime(2020, 1, 3, 21, tzinfo=UTC)
    assert tables.subjects["known_time"].to_list() == [first_known]
    assert tables.accounts[0].duplicates == 1
    joined = tables.events.filter(pl.col("code").cast(pl.String) == "joined_universe")
    assert joined["time"].dt.date().to_list() == [date(2020, 1, 2), date(2020, 1, 7)]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("AAA,energy,soon,", "unreadable_date"),
        ("AAA,energy,2020-01-03,2020-01-02", "delisted_before_listed"),
        (",energy,2020-01-03,", "missing_subject"),
    ],
)
def test_an_instrument_that_cannot_be_is_kept_out_with_its_bars(
    tmp_path: Path, line: str, rule: str
) -> None:
    named = {"sector": "sector", "listed": "from", "delisted": "to"}
    universe = universe_file(tmp_path, "name,sector,from,to", line, **named)

    tables = ingested(one_name(tmp_path, "2020-01-06,AAA,1", universe=universe))

    assert tables.subjects.height == 0
    assert tables.events.height == 0
    assert rule in broken_rules(tables)


def test_a_declared_split_explains_its_jump_and_a_jump_elsewhere_stays_one(tmp_path: Path) -> None:
    splits = write_lines(tmp_path / "splits.csv", "name,date,ratio", "AAA,2020-01-06,3")
    action = {
        "path": str(splits),
        "format": "csv",
        "kind": "split",
        "instrument": "name",
        "effective": "date",
        "amount": "ratio",
    }
    lines = ["2020-01-03,AAA,12", "2020-01-06,AAA,4", "2020-01-07,AAA,12"]

    tables = ingested(one_name(tmp_path, *lines, actions=[action], closes_are_adjusted=False))

    assert closes(tables) == [12.0, 4.0]
    assert broken_rules(tables) == {"unadjusted_split"}
    split = tables.events.filter(pl.col("code").cast(pl.String) == "split")
    at_close = datetime(2020, 1, 6, 21, tzinfo=UTC)
    assert split.select("time", "known_time", "numeric_value").rows() == [(at_close, at_close, 3.0)]


def test_a_split_that_was_told_later_explains_no_jump_of_its_day(tmp_path: Path) -> None:
    splits = write_lines(
        tmp_path / "splits.csv", "name,date,ratio,told", "AAA,2020-01-06,3,2020-01-08"
    )
    action = {
        "path": str(splits),
        "format": "csv",
        "kind": "split",
        "instrument": "name",
        "effective": "date",
        "amount": "ratio",
        "known_time": "told",
    }
    lines = ["2020-01-03,AAA,12", "2020-01-06,AAA,4", "2020-01-07,AAA,4"]

    tables = ingested(one_name(tmp_path, *lines, actions=[action], closes_are_adjusted=False))

    assert tables.quarantine.select("rule", "source_row").rows() == [("unadjusted_split", 2)]
    split = tables.events.filter(pl.col("code").cast(pl.String) == "split")
    assert split["known_time"].to_list() == [datetime(2020, 1, 8, 21, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("AAA,2020-01-04,3", "no_session"),
        ("AAA,2020-01-06,0", "split_not_positive"),
        ("AAA,2020-01-06,three", "unreadable_value"),
        ("CCC,2020-01-06,3", "not_in_universe"),
        ("AAA,2020-01-06 09:30,3", "naive_time"),
    ],
)
def test_a_split_is_judged_like_every_row(tmp_path: Path, line: str, rule: str) -> None:
    splits = write_lines(tmp_path / "splits.csv", "name,date,ratio", line)
    action = {
        "path": str(splits),
        "format": "csv",
        "kind": "split",
        "instrument": "name",
        "effective": "date",
        "amount": "ratio",
    }

    tables = ingested(one_name(tmp_path, "2020-01-06,AAA,4", actions=[action]))

    assert broken_rules(tables) == {rule}


def checked(config: MarketConfig) -> dict[str, bool]:
    tables = ingested(config)
    checks = source_checks(config, tables.events, tables.subjects)
    return {check["name"]: check["passed"] for check in checks}


def found(config: MarketConfig) -> dict[str, int]:
    tables = ingested(config)
    findings = source_findings(config, tables.events, tables.subjects)
    return {finding["kind"]: finding["count"] for finding in findings}


def two_lives(folder: Path, ends: int, **source: Any) -> MarketConfig:
    """AAA trades on 25 sessions; BBB on the first of them, less as many as ``ends``."""
    days = pl.date_range(date(2020, 3, 2), date(2020, 4, 3), "1d", eager=True)
    sessions = [day.isoformat() for day in days if day.weekday() < 5]
    lines = [f"{day},AAA,{10 + place % 3}" for place, day in enumerate(sessions)]
    lines += [
        f"{day},BBB,{10 + place % 3}" for place, day in enumerate(sessions[: len(sessions) - ends])
    ]
    return one_name(folder, *lines, **source)


@pytest.mark.parametrize(("ends", "passed"), [(0, True), (19, True), (20, False), (24, False)])
def test_bars_that_end_in_silence_are_a_delisting_that_the_universe_hides(
    tmp_path: Path, ends: int, passed: bool
) -> None:
    assert checked(two_lives(tmp_path, ends))["no_hidden_delisting"] is passed


def test_bars_that_end_at_a_delisting_are_no_secret(tmp_path: Path) -> None:
    universe = {
        "is_point_in_time": True,
        "instruments": {"AAA": {}, "BBB": {"delisted": date(2020, 3, 6)}},
    }

    assert checked(two_lives(tmp_path, 20, universe=universe)) == {
        "no_hidden_delisting": True,
        "universe_declaration_is_true": True,
    }


def test_a_universe_of_survivors_that_is_declared_point_in_time_is_found_out(
    tmp_path: Path,
) -> None:
    declared = checked(two_lives(tmp_path, 0, universe={"is_point_in_time": True}))
    honest = two_lives(tmp_path, 0, universe={"is_point_in_time": False})

    assert declared["universe_declaration_is_true"] is False
    assert checked(honest)["universe_declaration_is_true"] is True
    assert found(honest)["survivorship"] == 2


@pytest.mark.parametrize(
    ("delisted", "passed", "words"),
    [
        (date(2020, 4, 3), True, r"holds 1 in 0\.1 years of data, 11 a year"),
        (date(2020, 4, 4), False, r"holds 0 in 0\.1 years of data, 0 a year"),
        (date(2030, 1, 1), False, "holds 0"),
    ],
)
def test_a_delisting_that_lies_after_the_data_makes_no_universe_one_of_its_time(
    tmp_path: Path, delisted: date, passed: bool, words: str
) -> None:
    instruments = {"AAA": {}, "BBB": {"delisted": delisted}}
    universe = {"is_point_in_time": True, "instruments": instruments}
    config = two_lives(tmp_path, 0, universe=universe)
    tables = ingested(config)

    check = source_checks(config, tables.events, tables.subjects)[1]

    assert check["passed"] is passed
    assert re.search(words, check["words"])


def test_repeats_and_halts_are_told_and_nothing_is_mended(tmp_path: Path) -> None:
    stale = [f"{day},AAA,7" for day in SESSIONS]
    halted = [f"{day},BBB,{place + 5}" for place, day in enumerate(SESSIONS) if place != 2]
    universe = {"is_point_in_time": True, "instruments": {"AAA": {}, "BBB": {}, "CCC": {}}}
    config = one_name(tmp_path, *stale, *halted, universe=universe)
    strict = config.model_copy(
        update={"plausible": config.plausible.model_copy(update={"stale_sessions": 5})}
    )

    assert found(config) == {"missing_sessions": 1, "instruments_without_bars": 1}
    assert found(strict) == {
        "stale_closes": 5,
        "missing_sessions": 1,
        "instruments_without_bars": 1,
    }
    assert ingested(config).quarantine.height == 0


def test_a_sector_is_told_to_be_undated_unless_the_source_dates_it(tmp_path: Path) -> None:
    instruments = {
        "AAA": {"sector": "energy"},
        "BBB": {"sector": "energy", "known_from": date(2020, 1, 2)},
        "CCC": {},
    }
    lines = [f"2020-01-02,{name},1" for name in instruments]
    universe = {"is_point_in_time": True, "instruments": instruments}

    told = found(one_name(tmp_path, *lines, universe=universe))

    assert told == {"sectors_without_known_time": 1}


@pytest.mark.parametrize(
    ("bars", "words"),
    [
        ({"time_zone": "Mars/Olympus"}, "IANA"),
        ({"columns": {"time": "day"}}, "name at least one"),
        ({"shape": "wide"}, "say `quantity`"),
        ({"columns": {"time": "day", "close": "c", "adjusted_close": "c"}}, "two quantities"),
        ({"package": "../etc"}, "pattern"),
    ],
)
def test_a_section_that_cannot_be_meant_is_refused(bars: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        market(bars_of(Path("bars.csv"), **bars))


def test_a_universe_has_one_source() -> None:
    table = {"path": "names.csv", "format": "csv", "instrument": "name"}
    universe = {"is_point_in_time": True, "table": table, "instruments": {"AAA": {}}}

    with pytest.raises(ValidationError, match="not both"):
        market(bars_of(Path("bars.csv")), universe=universe)

"""A bar becomes events of its session, and one that cannot be true is kept out whole."""

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from tests.pipelines.market.market_files import (
    HEADER,
    bars_of,
    broken_rules,
    closes,
    ingested,
    ingested_lines,
    market,
    write_lines,
)

SOUND = "2020-01-03,AAA,9,11,9,10,100"


def test_a_bar_is_one_event_per_cell_at_its_close_and_known_after_the_stated_delay(
    tmp_path: Path,
) -> None:
    tables = ingested_lines(tmp_path, SOUND, known_delay_minutes=15)

    said = tables.events.select(pl.col("code").cast(pl.String), "numeric_value", "unit").rows()
    assert said == [
        ("open", 9.0, "USD"),
        ("high", 11.0, "USD"),
        ("low", 9.0, "USD"),
        ("close", 10.0, "USD"),
        ("volume", 100.0, "shares"),
    ]
    assert set(tables.events["time"]) == {datetime(2020, 1, 3, 21, tzinfo=UTC)}
    assert set(tables.events["known_time"]) == {datetime(2020, 1, 3, 21, 15, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("2020-01-01,AAA,9,11,9,10,100", "no_session"),
        ("2020-01-04,AAA,9,11,9,10,100", "no_session"),
        ("2020-01-06 16:00,AAA,9,11,9,10,100", "naive_time"),
        ("soon,AAA,9,11,9,10,100", "unreadable_time"),
        (",AAA,9,11,9,10,100", "missing_time"),
        ("2020-01-06,,9,11,9,10,100", "missing_subject"),
        ("2020-01-06,AAA,9,8,9,9,100", "high_below_low"),
        ("2020-01-06,AAA,9,11,9,12,100", "close_outside_range"),
        ("2020-01-06,AAA,12,11,9,10,100", "open_outside_range"),
        ("2020-01-06,AAA,9,11,9,10,-1", "negative_volume"),
    ],
)
def test_a_bar_that_cannot_be_true_is_quarantined_whole(
    tmp_path: Path, line: str, rule: str
) -> None:
    tables = ingested_lines(tmp_path, SOUND, line)

    assert broken_rules(tables) == {rule}
    assert tables.quarantine.height == 5
    assert set(tables.quarantine["source_row"]) == {2}
    assert tables.events.height == 5


def test_a_zero_price_takes_its_whole_bar_with_it(tmp_path: Path) -> None:
    tables = ingested_lines(tmp_path, SOUND, "2020-01-06,AAA,9,11,9,0,100")

    by_code = dict(tables.quarantine.select("code", "rule").iter_rows())
    assert by_code.pop("close") == "price_not_positive"
    assert set(by_code.values()) == {"close_outside_range"}
    assert closes(tables) == [10.0]


@pytest.mark.parametrize(
    ("cell", "rule"),
    [("NaN", "value_not_finite"), ("inf", "value_not_finite"), ("ten", "unreadable_value")],
)
def test_a_cell_that_is_no_number_is_quarantined_alone(
    tmp_path: Path, cell: str, rule: str
) -> None:
    tables = ingested_lines(tmp_path, SOUND, f"2020-01-06,AAA,9,11,9,10,{cell}")

    assert tables.quarantine.select("code", "rule").rows() == [("volume", rule)]
    assert tables.events.height == 9


def test_a_clock_time_needs_a_zone_and_the_study_may_declare_it(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "bars.csv", HEADER, "2020-01-06 16:00,AAA,9,11,9,10,100")

    refused = ingested(market(bars_of(file)))
    read = ingested(market(bars_of(file, time_zone="America/New_York")))

    assert broken_rules(refused) == {"naive_time"}
    assert set(read.events["time"]) == {datetime(2020, 1, 6, 21, tzinfo=UTC)}


@pytest.mark.parametrize(
    ("after", "next_day", "kept"),
    [("4", "4.25", [12.0, 4.25]), ("36", "37", [12.0, 37.0]), ("4.5", "4.25", [12.0, 4.5, 4.25])],
    ids=["3:1 split", "1:3 reverse split", "a crash that is no split"],
)
def test_the_bar_of_an_unadjusted_split_is_kept_out_so_that_no_return_spans_it(
    tmp_path: Path, after: str, next_day: str, kept: list[float]
) -> None:
    lines = [
        f"{day},AAA,{close},{close},{close},{close},100"
        for day, close in (("2020-01-03", "12"), ("2020-01-06", after), ("2020-01-07", next_day))
    ]

    tables = ingested_lines(tmp_path, *lines)

    assert closes(tables) == kept
    assert broken_rules(tables) <= {"unadjusted_split"}


def test_a_jump_over_a_missing_session_is_no_split_because_no_return_is_taken_over_it(
    tmp_path: Path,
) -> None:
    tables = ingested_lines(
        tmp_path, "2020-01-03,AAA,12,12,12,12,100", "2020-01-07,AAA,4,4,4,4,100"
    )

    assert broken_rules(tables) == set()


def test_a_jump_that_the_study_declares_true_is_kept(tmp_path: Path) -> None:
    lines = ("2020-01-03,AAA,12,12,12,12,100", "2020-01-06,AAA,4,4,4,4,100")

    tables = ingested_lines(tmp_path, *lines, acknowledged_jumps={"AAA": [date(2020, 1, 6)]})

    assert closes(tables) == [12.0, 4.0]


def test_two_instruments_do_not_make_a_jump(tmp_path: Path) -> None:
    tables = ingested_lines(
        tmp_path, "2020-01-03,AAA,12,12,12,12,100", "2020-01-06,BBB,4,4,4,4,100"
    )

    assert broken_rules(tables) == set()


def test_an_exact_repeat_is_a_duplicate_however_its_numbers_and_dates_are_written(
    tmp_path: Path,
) -> None:
    tables = ingested_lines(tmp_path, SOUND, "20200103,AAA,9.0,11.00,9,10.,1e2")

    assert tables.events.height == 5
    assert [account.duplicates for account in tables.accounts[1:]] == [1] * 5
    assert tables.quarantine.height == 0


def test_two_bars_that_contradict_each_other_are_both_kept_out(tmp_path: Path) -> None:
    tables = ingested_lines(tmp_path, SOUND, "2020-01-03,AAA,9,11,9,10.5,100")

    assert tables.events.height == 0
    assert broken_rules(tables) == {"contradicting_bar"}
    assert tables.quarantine.height == 10


def test_a_value_restated_later_keeps_both_versions(tmp_path: Path) -> None:
    file = write_lines(
        tmp_path / "bars.csv",
        "day,name,close,known",
        "2020-01-03,AAA,10,2020-01-03T21:05:00Z",
        "2020-01-03,AAA,10.5,2020-02-03T09:00:00Z",
    )
    columns = {"time": "day", "instrument": "name", "close": "close", "known_time": "known"}

    tables = ingested(market(bars_of(file, columns=columns)))

    assert tables.quarantine.height == 0
    assert tables.events.select("known_time", "numeric_value").rows() == [
        (datetime(2020, 1, 3, 21, 5, tzinfo=UTC), 10.0),
        (datetime(2020, 2, 3, 9, tzinfo=UTC), 10.5),
    ]


@pytest.mark.parametrize(
    ("known", "rule"),
    [
        ("2020-01-03T20:59:59Z", "known_before_close"),
        ("2020-01-03 22:00", "naive_time"),
        ("soon", "unreadable_time"),
        ("", "unreadable_time"),
    ],
)
def test_a_known_time_is_judged_like_a_time(tmp_path: Path, known: str, rule: str) -> None:
    file = write_lines(tmp_path / "bars.csv", "day,name,close,known", f"2020-01-03,AAA,10,{known}")
    columns = {"time": "day", "instrument": "name", "close": "close", "known_time": "known"}

    assert broken_rules(ingested(market(bars_of(file, columns=columns)))) == {rule}


def test_a_history_restated_for_a_split_is_compared_with_what_was_known_then(
    tmp_path: Path,
) -> None:
    file = write_lines(
        tmp_path / "bars.csv",
        "day,name,close,known",
        "2020-01-02,AAA,30,2020-01-02T21:00:00Z",
        "2020-01-02,AAA,10,2020-01-06T21:00:00Z",
        "2020-01-03,AAA,33,2020-01-03T21:00:00Z",
        "2020-01-03,AAA,11,2020-01-06T21:00:00Z",
        "2020-01-06,AAA,11.5,2020-01-06T21:00:00Z",
    )
    columns = {"time": "day", "instrument": "name", "close": "close", "known_time": "known"}

    tables = ingested(market(bars_of(file, columns=columns)))

    assert broken_rules(tables) == set()


def test_a_bar_in_another_currency_is_refused(tmp_path: Path) -> None:
    file = write_lines(
        tmp_path / "bars.csv", "day,name,close,cash", "2020-01-03,A,10,USD", "2020-01-06,A,9,EUR"
    )
    columns = {"time": "day", "instrument": "name", "close": "close", "currency": "cash"}

    tables = ingested(market(bars_of(file, columns=columns)))

    assert tables.quarantine.select("rule", "source_row").rows() == [("wrong_currency", 2)]
    assert tables.events["unit"].to_list() == ["USD"]

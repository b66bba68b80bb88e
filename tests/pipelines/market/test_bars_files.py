"""Bars are read from files and folders, long and wide; a file that is cut is refused."""

import gzip
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.errors import SourceInvalid, SourceMissing
from pipelines.market.source import fingerprint, read_records
from tests.pipelines.market.market_files import (
    HEADER,
    bars_of,
    broken_rules,
    closes,
    ingested,
    market,
    write_lines,
)

CLOSE_ONLY = {"time": "day", "close": "close"}
WIDE = ("day,AAA,BBB", "2020-01-02,1,2", "2020-01-03,1.5,", "2020-01-06,1.25,2.5")


def wide(path: Path, **changes: Any) -> dict[str, Any]:
    said = {"path": str(path), "format": "csv", "shape": "wide", "columns": {"time": "day"}}
    return said | changes


def test_a_wide_table_names_its_instruments_in_the_header_and_its_empty_cells_are_counted(
    tmp_path: Path,
) -> None:
    tables = ingested(market(wide(write_lines(tmp_path / "wide.csv", *WIDE))))

    assert set(tables.crosswalk["source_id"]) == {"AAA", "BBB"}
    account = tables.accounts[1]
    assert (account.part, account.rows_in, account.empty, account.accepted) == ("close", 6, 1, 5)
    assert broken_rules(tables) == set()


def test_a_wide_table_may_hold_adjusted_closes(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "wide.csv", *WIDE)

    tables = ingested(market(wide(file, quantity="adjusted_close")))

    assert set(tables.events["code"].cast(pl.String)) == {"adjusted_close"}


def test_a_folder_holds_a_file_per_instrument_that_is_named_after_it(tmp_path: Path) -> None:
    (tmp_path / "bars").mkdir()
    for name, close in (("AAA", "1.5"), ("BBB", "2.5")):
        write_lines(tmp_path / "bars" / f"{name}.csv", "day,close", f"2020-01-03,{close}")
    write_lines(tmp_path / "bars" / "notes.txt", "not a table")
    whole = bars_of(tmp_path / "bars", columns=CLOSE_ONLY)
    chosen = bars_of(tmp_path / "bars" / "A*.csv", columns=CLOSE_ONLY)

    assert sorted(closes(ingested(market(whole)))) == [1.5, 2.5]
    assert closes(ingested(market(chosen))) == [1.5]
    assert set(ingested(market(whole)).crosswalk["source_id"]) == {"AAA", "BBB"}


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "tsv", "parquet"])
def test_every_format_says_the_same(tmp_path: Path, kind: str) -> None:
    frame = pl.DataFrame({"day": ["2020-01-02", "2020-01-03"], "close": [0.1, 1e-3]})
    file = tmp_path / f"AAA.{kind}"
    if kind == "parquet":
        frame.with_columns(pl.col("day").str.to_date()).write_parquet(file)
    elif kind == "csv.gz":
        file.write_bytes(gzip.compress(frame.write_csv().encode()))
    else:
        file.write_text(frame.write_csv(separator="\t" if kind == "tsv" else ","))

    rows = read_records(
        market(bars_of(file, format=kind.removesuffix(".gz"), columns=CLOSE_ONLY))
    ).events

    said = rows.select("source_row", "subject", "time_text", "value_text").rows()
    assert said == [(1, "AAA", "2020-01-02", "0.1"), (2, "AAA", "2020-01-03", "0.001")]


def test_a_typed_clock_time_keeps_its_zone_or_is_naive(tmp_path: Path) -> None:
    moment = pl.DataFrame({"day": ["2020-01-03 16:00"], "close": [1.0]}).with_columns(
        pl.col("day").str.to_datetime("%Y-%m-%d %H:%M")
    )
    moment.write_parquet(tmp_path / "naive.parquet")
    moment.with_columns(pl.col("day").dt.replace_time_zone("America/New_York")).write_parquet(
        tmp_path / "zoned.parquet"
    )

    def rules(name: str) -> set[str]:
        file = tmp_path / f"{name}.parquet"
        return broken_rules(ingested(market(bars_of(file, format="parquet", columns=CLOSE_ONLY))))

    assert rules("naive") == {"naive_time"}
    assert rules("zoned") == set()


@pytest.mark.parametrize(
    ("stamps", "is_refused"),
    [
        (("2020-01-07T00:00:00Z", "2020-01-08T00:00:00+00:00"), True),
        (("2020-01-07T00:00:00Z", "2020-01-08"), True),
        (("2020-01-07T00:00:00Z", "2020-01-08T16:00:00-05:00"), False),
        (("2020-01-07T00:00:00-05:00", "2020-01-08T00:00:00-05:00"), False),
        (("2020-01-07", "2020-01-08"), False),
    ],
)
def test_days_stamped_with_midnight_in_greenwich_would_be_the_days_before(
    tmp_path: Path, stamps: tuple[str, ...], is_refused: bool
) -> None:
    file = write_lines(tmp_path / "AAA.csv", "day,close", *[f"{stamp},1" for stamp in stamps])
    study = market(bars_of(file, columns=CLOSE_ONLY))

    if is_refused:
        with pytest.raises(SourceInvalid, match="the day before in America/New_York"):
            read_records(study)
    else:
        assert read_records(study).events.height == 2


def test_midnight_in_greenwich_is_the_same_day_in_tokyo(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "AAA.csv", "day,close", "2020-01-07T00:00:00Z,1")
    study = market(bars_of(file, columns=CLOSE_ONLY), exchange="XTKS")

    assert read_records(study).events["session"].to_list() == [date(2020, 1, 7)]


def test_a_file_cut_at_any_byte_but_a_line_s_end_is_refused(tmp_path: Path) -> None:
    whole = "\n".join((HEADER, "2020-01-02,AAA,9,11,9,10,100", "2020-01-03,AAA,9,11,9,10,100\n"))
    last_line = whole.rindex("\n", 0, -1) + 1
    for end in range(last_line + 1, len(whole)):
        file = tmp_path / "cut.csv"
        file.write_text(whole[:end])
        with pytest.raises(SourceInvalid, match=r"expected .*; found"):
            read_records(market(bars_of(file)))


def test_a_compressed_file_that_is_cut_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(b"day,close\n2020-01-02,1\n2020-01-03,2\n")
    (tmp_path / "AAA.csv.gz").write_bytes(whole[:-9])

    with pytest.raises(SourceInvalid, match="an end too soon"):
        read_records(market(bars_of(tmp_path / "AAA.csv.gz", columns=CLOSE_ONLY)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "a header"),
        (b"day,close,close\n2020-01-02,1,2\n", "a header that names every column once"),
        (b"day,close\n2020-01-02,1,2\n", "expected 2 cells in line 2; found 3"),
        (b"day,close\n2020-01-02\n2020-01-03,1\n", "expected 2 cells in line 2; found 1"),
        (b"day,close\n\n2020-01-03,1\n", "expected 2 cells in line 2; found 0"),
        (b"day,close\n2020-01-02,\xff\n", "other bytes"),
        (b"day,price\n2020-01-02,1\n", "no column close; it has 2 others"),
    ],
)
def test_a_file_that_is_not_what_the_study_describes_is_refused_by_name(
    tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "AAA.csv").write_bytes(content)

    with pytest.raises(SourceInvalid, match=words) as refusal:
        read_records(market(bars_of(tmp_path / "AAA.csv", columns=CLOSE_ONLY)))

    assert "AAA.csv" in refusal.value.where
    assert refusal.value.remedy


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "AAA.parquet", "day,close", "2020-01-02,1")

    with pytest.raises(SourceInvalid, match="expected a Parquet file"):
        read_records(market(bars_of(file, format="parquet", columns=CLOSE_ONLY)))


def test_a_file_without_a_header_gives_none_of_its_values_away(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "AAA.csv", "2020-01-02,71.93", "2020-01-03,72.11")

    with pytest.raises(SourceInvalid, match="no column close, day; it has 2 others") as refusal:
        read_records(market(bars_of(file, columns=CLOSE_ONLY)))

    assert "71.93" not in str(refusal.value)


@pytest.mark.parametrize("name", ["nothing.csv", "empty", "empty/*.csv"])
def test_what_is_not_there_is_missing(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(SourceMissing, match="no csv file"):
        fingerprint(market(bars_of(tmp_path / name)))


def test_a_package_that_is_not_installed_is_missing() -> None:
    bars = wide(Path("prices.csv"), package="no_such_package")

    with pytest.raises(SourceMissing, match="no_such_package is not installed"):
        fingerprint(market(bars))


def test_a_relative_path_starts_at_the_folder_of_the_studies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_lines(tmp_path / "wide.csv", *WIDE)
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path))

    assert list(fingerprint(market(wide(Path("wide.csv"))))) == ["wide.csv"]


def test_a_fingerprint_holds_every_file_and_changes_with_one_byte(tmp_path: Path) -> None:
    (tmp_path / "bars").mkdir()
    for name in ("AAA", "BBB"):
        write_lines(tmp_path / "bars" / f"{name}.csv", "day,close", "2020-01-03,1")
    universe = write_lines(tmp_path / "names.csv", "name", "AAA")
    table = {"path": str(universe), "format": "csv", "instrument": "name"}
    config = market(
        bars_of(tmp_path / "bars", columns=CLOSE_ONLY),
        universe={"is_point_in_time": False, "table": table},
    )

    before = fingerprint(config)
    write_lines(tmp_path / "bars" / "BBB.csv", "day,close", "2020-01-03,2")
    after = fingerprint(config)

    assert [Path(file).name for file in before] == ["AAA.csv", "BBB.csv", "names.csv"]
    changed = [Path(file).name for file in before if before[file] != after[file]]
    assert changed == ["BBB.csv"]

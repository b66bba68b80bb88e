"""The declared contract: every expectation can fail."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from tests.validation.contract_examples import (
    CONTRACT,
    Tables,
    failures,
    good_tables,
    noon,
    with_cell,
)
from validation.expectations import TableName, check_tables, contract_checks

BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
NOT_NULL = "expect_column_values_to_not_be_null"
LATER = "expect_column_pair_values_a_to_be_greater_than_b"
ROWS = "expect_table_row_count_to_be_between"

BREAKAGES: list[tuple[str, TableName, Callable[[pl.DataFrame], pl.DataFrame], tuple[object, ...]]]
BREAKAGES = [  # name, table, damage, (expectation, column, code) that must fail
    ("too few events", "events", lambda t: t.head(2), (ROWS, None, None)),
    (
        "an unknown code",
        "events",
        lambda t: with_cell(t.cast({"code": pl.String}), 1, code="Stroke's"),
        (BETWEEN, "code", None),
    ),
    (
        "an event before the declared time",
        "events",
        lambda t: with_cell(t, 0, time=noon(date(1989, 12, 31)), known_time=noon(date(1990, 1, 1))),
        (BETWEEN, "time", None),
    ),
    (
        "an event on the day after the last",
        "events",
        lambda t: with_cell(
            t,
            2,
            time=datetime(2021, 1, 1, tzinfo=UTC),
            known_time=datetime(2021, 1, 1, tzinfo=UTC),
        ),
        (BETWEEN, "time", None),
    ),
    (
        "an event known before it happened",
        "events",
        lambda t: with_cell(t, 1, known_time=noon(date(2001, 2, 2))),
        (LATER, "known_time", None),
    ),
    (
        "a value below its range",
        "events",
        lambda t: with_cell(t, 0, numeric_value=4.99),
        (BETWEEN, "numeric_value", "hdl"),
    ),
    (
        "a value above its range",
        "events",
        lambda t: with_cell(t, 2, numeric_value=200.2),
        (BETWEEN, "numeric_value", "hdl"),
    ),
    (
        "a numeric code without a value",
        "events",
        lambda t: with_cell(t, 2, numeric_value=None),
        (NOT_NULL, "numeric_value", "hdl"),
    ),
    (
        "an event without a subject row",
        "events",
        lambda t: with_cell(t, 1, subject_id=9),
        (IN_SET, "has_subject", None),
    ),
    (
        "the same event twice",
        "events",
        lambda t: pl.concat([t, t.tail(1)]),
        ("expect_compound_columns_to_be_unique", "subject_id, times, code, value", None),
    ),
    (
        "a NaN where a code has no value",
        "events",
        lambda t: with_cell(t, 1, numeric_value=float("nan")),
        (IN_SET, "value_is_finite", None),
    ),
    (
        "a column of bytes",
        "events",
        lambda t: t.cast({"unit": pl.Binary}),
        (IN_SET, "unit", None),
    ),
    ("too few subjects", "subjects", lambda t: t.head(2).clear(), (ROWS, None, None)),
    (
        "a subject with two rows",
        "subjects",
        lambda t: pl.concat([t, t.tail(1)]),
        ("expect_column_values_to_be_unique", "subject_id", None),
    ),
    (
        "an unknown level of an attribute",
        "subjects",
        lambda t: with_cell(t, 0, sex="Female"),
        (IN_SET, "sex", None),
    ),
    (
        "a required attribute missing",
        "subjects",
        lambda t: with_cell(t, 0, sex=None),
        (NOT_NULL, "sex", None),
    ),
    (
        "a subject without an id",
        "subjects",
        lambda t: pl.concat([t, with_cell(t.tail(1), 0, subject_id=None)]),
        (NOT_NULL, "subject_id", None),
    ),
    (
        "rows that do not add up",
        "quarantine",
        lambda t: with_cell(t, 0, accepted=13),
        (IN_SET, "rows_in", None),
    ),
    (
        "too many quarantined rows",
        "quarantine",
        lambda t: with_cell(t, 0, accepted=13, quarantined=3),
        (BETWEEN, "quarantined", None),
    ),
    ("no source file", "quarantine", lambda t: t.clear(), (ROWS, None, None)),
    (
        "a copy that the study does not acknowledge",
        "copies",
        lambda t: with_cell(t, 0, code="stroke's"),
        (IN_SET, "acknowledged", None),
    ),
    (
        "a copy of another channel than the acknowledged one",
        "copies",
        lambda t: with_cell(t, 0, copy_of="stroke's"),
        (IN_SET, "acknowledged", None),
    ),
]


def test_sound_tables_meet_the_contract_with_every_expectation_evaluated() -> None:
    outcomes = check_tables(dict(good_tables()), CONTRACT)
    assert [o for o in outcomes if not o.success] == []
    counted = [o for o in outcomes if o.expectation != "expect_column_to_exist"]
    assert all(o.element_count is not None for o in counted)
    assert {o.table for o in outcomes} == {"events", "subjects", "quarantine", "copies"}
    hdl = next(o for o in outcomes if o.scope == "hdl" and o.expectation == BETWEEN)
    assert (hdl.element_count, hdl.unexpected_count) == (2, 0)
    assert hdl.declared == "from 5 to 200.1 mg/dl"


@pytest.mark.parametrize(
    ("table", "damage", "expected"),
    [pytest.param(table, damage, want, id=name) for name, table, damage, want in BREAKAGES],
)
def test_each_expectation_fails_on_the_damage_it_is_there_for(
    table: TableName, damage: Callable[[pl.DataFrame], pl.DataFrame], expected: tuple[object, ...]
) -> None:
    tables = beside_subjects(table, damage(good_tables()[table]))
    assert (table, *expected) in failures(tables)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_nan_and_infinity_fail_although_they_are_missing_or_between_for_the_library(
    value: float,
) -> None:
    tables = good_tables()
    tables["events"] = with_cell(tables["events"], 1, numeric_value=value)
    assert ("events", IN_SET, "value_is_finite", None) in failures(tables)


def beside_subjects(table: TableName, damaged: pl.DataFrame) -> Tables:
    tables: Tables = {"subjects": good_tables()["subjects"]}
    tables[table] = damaged
    return tables


def failing_columns(table: TableName, damaged: pl.DataFrame, expectation: str) -> set[str | None]:
    tables = beside_subjects(table, damaged)
    return {
        column for name, what, column, _ in failures(tables) if (name, what) == (table, expectation)
    }


@pytest.mark.parametrize("table", ["events", "subjects", "quarantine", "copies"])
def test_every_missing_column_fails_by_its_name(table: TableName) -> None:
    whole = good_tables()[table]
    for missing in (whole.columns[::2], whole.columns[1::2]):
        damaged = whole.drop(missing)
        assert failing_columns(table, damaged, "expect_column_to_exist") == set(missing)


@pytest.mark.parametrize("table", ["events", "subjects", "quarantine", "copies"])
def test_every_column_of_another_type_fails_by_its_name(table: TableName) -> None:
    whole = good_tables()[table]
    damaged = whole.with_columns(pl.lit(b"secret", pl.Binary).alias(c) for c in whole.columns)
    assert failing_columns(table, damaged, IN_SET) >= set(whole.columns)


def test_failing_rows_are_counted_by_hand() -> None:
    tables = good_tables()
    tables["events"] = with_cell(tables["events"], 0, numeric_value=1.0)
    outcome = next(
        o for o in check_tables(dict(tables), CONTRACT) if o.scope == "hdl" and not o.success
    )
    assert (outcome.element_count, outcome.unexpected_count) == (2, 1)
    check = contract_checks([outcome])[0]
    assert check.words == ("numeric_value of hdl: from 5 to 200.1 mg/dl; 1 of 2 rows differ")
    assert (check.passed, check.unexpected, check.kind) == (False, 1, "contract")


def test_times_known_the_moment_they_happen_and_other_text_are_no_fault() -> None:
    tables = good_tables()
    again = with_cell(tables["events"].tail(1), 0, text_value="another note", source_row=4)
    tables["events"] = pl.concat([tables["events"], again])
    assert failures(tables) == []


def test_a_copy_may_be_declared_in_either_order() -> None:
    tables = good_tables()
    turned = pl.DataFrame({"code": ["hdl"], "copy_of": ["bmi"]})
    tables["copies"] = tables["copies"].update(turned)
    assert failures(tables) == []


def test_tables_without_copies_meet_the_contract() -> None:
    tables = good_tables()
    tables["copies"] = tables["copies"].clear()
    assert failures(tables) == []


def test_events_in_parts_are_judged_as_the_table_whole() -> None:
    tables = good_tables()
    broken = tables["events"].with_columns(
        numeric_value=pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.lit(1e6, pl.Float32))
    )
    for events in (tables["events"], broken):
        # A subject's events are in one part.
        parts = iter(events.partition_by("subject_id", maintain_order=True))
        whole: dict[TableName, pl.DataFrame] = {**tables, "events": events}
        in_parts: dict[TableName, pl.DataFrame | Path | Iterator[pl.DataFrame]] = {**whole}
        in_parts["events"] = parts
        assert check_tables(in_parts, CONTRACT) == check_tables({**whole}, CONTRACT)


def test_parquet_files_and_folders_of_shards_are_read_alike(tmp_path: Path) -> None:
    tables = good_tables()
    paths: dict[TableName, pl.DataFrame | Path] = {}
    for name, table in tables.items():
        paths[name] = tmp_path / f"{name}.parquet"
        table.write_parquet(tmp_path / f"{name}.parquet")
    shards = tmp_path / "events"
    shards.mkdir()
    for shard, part in enumerate(tables["events"].iter_slices(2)):
        part.write_parquet(shards / f"shard={shard}.parquet")
    expected = check_tables(dict(tables), CONTRACT)
    assert check_tables(paths, CONTRACT) == expected
    assert check_tables(paths | {"events": shards}, CONTRACT) == expected


def test_unknown_tables_and_events_without_subjects_are_refused() -> None:
    tables = good_tables()
    with pytest.raises(ValueError, match="no contract for the tables: labs"):
        check_tables({"labs": tables["events"]}, CONTRACT)  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="beside their subjects"):
        check_tables({"events": tables["events"]}, CONTRACT)

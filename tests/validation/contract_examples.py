"""A declared contract, tables that meet it, and which expectations other tables fail."""

from datetime import UTC, date, datetime

import polars as pl

from validation.contract import AttributeContract, CodeContract, TableContract
from validation.expectations import TableName, check_tables

UTC_MICROSECONDS = pl.Datetime("us", "UTC")
Tables = dict[TableName, pl.DataFrame]

CONTRACT = TableContract(
    codes={
        "hdl": CodeContract(low=5, high=200.1, unit="mg/dl"),
        "bmi": CodeContract(low=10, high=90),
        "stroke's": CodeContract(),
    },
    subject_attributes={
        "sex": AttributeContract(allowed=("female", "male")),
        "birth": AttributeContract(type="date", required=False),
    },
    earliest=date(1990, 1, 1),
    latest=date(2020, 12, 31),
    minimum_events=3,
    maximum_events=6,
    minimum_subjects=2,
    max_quarantined_share=0.10,
    acknowledged_copies=(("hdl", "bmi"),),
)


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def good_tables() -> Tables:
    """Tables that meet the contract, some of them on its very bounds."""
    times = [noon(date(1990, 1, 1)), noon(date(2001, 2, 3)), noon(date(2020, 12, 31))]
    events = pl.DataFrame(
        {
            "subject_id": pl.Series([7, 7, 8], dtype=pl.Int64),
            "time": pl.Series(times, dtype=UTC_MICROSECONDS),
            "known_time": pl.Series(times, dtype=UTC_MICROSECONDS),
            "code": pl.Series(["hdl", "stroke's", "hdl"], dtype=pl.Categorical),
            "numeric_value": pl.Series([5.0, None, 200.1], dtype=pl.Float32),
            "text_value": pl.Series([None, None, None], dtype=pl.String),
            "unit": pl.Series(["mg/dl", None, "mg/dl"], dtype=pl.String),
            "source_file": pl.Series(["labs.csv"] * 3, dtype=pl.Categorical),
            "source_row": pl.Series([1, 2, 3], dtype=pl.UInt32),
        }
    )
    subjects = pl.DataFrame(
        {"subject_id": [7, 8], "sex": ["female", "male"], "birth": [date(1950, 1, 1), None]}
    )
    quarantine = pl.DataFrame(
        {
            "file": ["labs.csv"],
            "rows_in": [20],
            "accepted": [14],
            "quarantined": [2],
            "duplicates": [3],
            "empty": [1],
        }
    )
    copies = pl.DataFrame(
        {"code": ["bmi"], "copy_of": ["hdl"], "joined_rows": [9], "equal_rows": [9]}
    )
    return {"events": events, "subjects": subjects, "quarantine": quarantine, "copies": copies}


def failures(tables: Tables) -> list[tuple[str, str, str | None, str | None]]:
    """Table, expectation, column and code of each expectation that the tables fail."""
    outcomes = check_tables(dict(tables), CONTRACT)
    return [(o.table, o.expectation, o.column, o.scope) for o in outcomes if not o.success]


def with_cell(table: pl.DataFrame, row: int, **cells: object) -> pl.DataFrame:
    """The table with other cells in one of its rows."""
    columns = {}
    for name, cell in cells.items():
        values = table[name].to_list()
        values[row] = cell
        columns[name] = pl.Series(name, values, dtype=table[name].dtype)
    return table.with_columns(**columns)

"""What the declared contract looks at: each table reduced to checked and derived columns.

Derived columns say in Polars what Great Expectations cannot see through pandas: there NaN is a
missing value, a float32 is like any float, and another table is out of sight.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl
from polars.datatypes import DataTypeClass

from validation.contract import TableContract

TEXT: Final = frozenset({"string", "categorical", "enum"})
INTEGER: Final = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"})
UTC_TIME: Final = frozenset({"datetime[us, UTC]"})
COUNT: Final = INTEGER | {"uint64"}
NUMBER: Final = INTEGER | {"float32", "float64"}

EVENT_TYPES: Final[dict[str, frozenset[str]]] = {
    "subject_id": frozenset({"int64"}),
    "time": UTC_TIME,
    "known_time": UTC_TIME,
    "code": TEXT,
    "numeric_value": frozenset({"float32"}),
    "text_value": TEXT,
    "unit": TEXT,
    "source_file": TEXT,
    "source_row": COUNT,
}
ATTRIBUTE_TYPES: Final[dict[str, frozenset[str]]] = {
    "text": TEXT,
    "integer": INTEGER,
    "number": NUMBER,
    "date": frozenset({"date"}),
    "time": UTC_TIME,
}
QUARANTINE_TYPES: Final[dict[str, frozenset[str]]] = {
    "file": TEXT,
    **dict.fromkeys(("rows_in", "accepted", "quarantined", "duplicates", "empty"), COUNT),
}
COPY_TYPES: Final[dict[str, frozenset[str]]] = {
    "code": TEXT,
    "copy_of": TEXT,
    "joined_rows": COUNT,
    "equal_rows": COUNT,
}

Tables = Mapping[str, pl.LazyFrame]


@dataclass(frozen=True)
class PreparedTable:
    """``types`` is one row: a column's name over the name of its type. ``rows`` is the data."""

    types: pl.DataFrame
    rows: pl.DataFrame


def scan_table(table: pl.DataFrame | Path) -> pl.LazyFrame:
    """A frame, a Parquet file or a folder of Parquet shards, unread."""
    if isinstance(table, pl.DataFrame):
        return table.lazy()
    return pl.scan_parquet(table / "**/*.parquet" if table.is_dir() else table)


def prepare_events(tables: Tables, contract: TableContract) -> PreparedTable:
    """Events with their code's number, and whether value and subject are what they should be."""
    events, subjects = tables["events"], tables["subjects"]
    numbers = {code: number for number, code in enumerate(contract.codes)}
    code_number = (
        pl.col("code").cast(pl.String).replace_strict(numbers, default=-1, return_dtype=pl.Int32)
    )
    finite = pl.col("numeric_value").is_null() | pl.col("numeric_value").is_finite()
    columns = ("subject_id", "time", "known_time", "code", "numeric_value", "text_value")
    prepared = _prepare(
        events, EVENT_TYPES, columns, code_number=code_number, value_is_finite=finite
    )
    if not _holds(prepared.types, EVENT_TYPES, "subject_id"):
        return prepared
    known = _subject_ids(subjects)
    has_subject = pl.col("subject_id").is_in(known.implode())
    return PreparedTable(prepared.types, prepared.rows.with_columns(has_subject=has_subject))


def prepare_subjects(tables: Tables, contract: TableContract) -> PreparedTable:
    """Subjects with the attributes that the contract declares."""
    declared = subject_types(contract)
    return _prepare(tables["subjects"], declared, tuple(declared))


def prepare_quarantine(tables: Tables, contract: TableContract) -> PreparedTable:
    """Rows a source file, how many are unaccounted for and which share is quarantined."""
    parts = ("accepted", "quarantined", "duplicates", "empty")
    unaccounted = pl.col("rows_in").cast(pl.Int64) - pl.sum_horizontal(
        pl.col(part).cast(pl.Int64) for part in parts
    )
    # A file without rows has no share to judge: it is 0, not the NaN of 0 / 0.
    share = pl.col("quarantined") / pl.max_horizontal(pl.col("rows_in"), pl.lit(1))
    return _prepare(
        tables["quarantine"],
        QUARANTINE_TYPES,
        ("file", "rows_in"),
        unaccounted_rows=unaccounted,
        quarantined_share=share,
    )


def prepare_copies(tables: Tables, contract: TableContract) -> PreparedTable:
    """Channels that copy another, and whether the study acknowledges each."""
    pairs = [(a, b) for pair in contract.acknowledged_copies for a, b in (pair, pair[::-1])]
    code, copy_of = (pl.col(name).cast(pl.String) for name in ("code", "copy_of"))
    acknowledged = code.is_null() & False
    for a, b in pairs:
        acknowledged = acknowledged | ((code == a) & (copy_of == b))
    columns = ("code", "copy_of")
    return _prepare(tables["copies"], COPY_TYPES, columns, acknowledged=acknowledged)


def subject_types(contract: TableContract) -> dict[str, frozenset[str]]:
    """Column of the subject table -> the types it may have."""
    attributes = contract.subject_attributes.items()
    return {
        "subject_id": frozenset({"int64"}),
        **{name: ATTRIBUTE_TYPES[attribute.type] for name, attribute in attributes},
    }


PREPARATIONS: Final[Mapping[str, Callable[[Tables, TableContract], PreparedTable]]] = {
    "events": prepare_events,
    "subjects": prepare_subjects,
    "quarantine": prepare_quarantine,
    "copies": prepare_copies,
}


def _prepare(
    table: pl.LazyFrame,
    declared: Mapping[str, frozenset[str]],
    columns: tuple[str, ...],
    **derived: pl.Expr,
) -> PreparedTable:
    schema = table.collect_schema()
    types = pl.DataFrame({name: [type_name(dtype)] for name, dtype in schema.items()})
    sound = {name for name in schema.names() if _holds(types, declared, name)}
    # A column of another type is left out: its own expectation fails, and those that would look
    # at its cells are not evaluated, so no conversion error can quote a cell.
    rows = table.select(
        *(pl.col(name) for name in columns if name in sound),
        *(expr.alias(name) for name, expr in derived.items() if sound.issuperset(_sources(expr))),
    )
    return PreparedTable(types, rows.collect())


def _sources(expr: pl.Expr) -> list[str]:
    return expr.meta.root_names()


def _holds(types: pl.DataFrame, declared: Mapping[str, frozenset[str]], name: str) -> bool:
    return name in types.columns and types[name].item() in declared.get(name, frozenset())


def _subject_ids(subjects: pl.LazyFrame) -> pl.Series:
    schema = subjects.collect_schema()
    if schema.get("subject_id") != pl.Int64:
        return pl.Series("subject_id", [], dtype=pl.Int64)
    return subjects.select("subject_id").collect().to_series().drop_nulls().unique()


def type_name(dtype: pl.DataType | DataTypeClass) -> str:
    """A type's name without its contents: an enum's would list values of cells."""
    if isinstance(dtype, pl.Datetime):
        return f"datetime[{dtype.time_unit}, {dtype.time_zone or 'no zone'}]"
    return str(dtype.base_type()).lower()

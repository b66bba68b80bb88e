"""Predictions into PostgreSQL by binary COPY, over a table of the session alone.

COPY refuses a table with row-level security, so it fills ``incoming``, which goes with the
transaction; from there an INSERT passes by policy, constraints and triggers.
"""

from typing import LiteralString

import polars as pl
import psycopg
from psycopg import sql

from pipelines.publication.schema import PREDICTIONS

COLUMNS = tuple(PREDICTIONS.columns)
# A type of the contract -> the name that a binary COPY sends.
TYPES: dict[str, LiteralString] = {
    "VARCHAR": "varchar",
    "BIGINT": "int8",
    "INTEGER": "int4",
    "BOOLEAN": "bool",
    "DOUBLE PRECISION": "float8",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "BYTEA": "bytea",
}


def load_predictions(connection: psycopg.Connection, rows: pl.DataFrame) -> None:
    """Add the rows (the columns of ``PREDICTIONS``), within the caller's transaction."""
    send_rows(connection, rows)
    names = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    connection.execute(
        sql.SQL("INSERT INTO predictions ({0}) SELECT {0} FROM pg_temp.incoming").format(names)
    )


def send_rows(connection: psycopg.Connection, rows: pl.DataFrame) -> None:
    """Fill a table of this transaction alone."""
    names = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    connection.execute("SELECT open_incoming()")
    statement = sql.SQL("COPY pg_temp.incoming ({}) FROM STDIN (FORMAT BINARY)").format(names)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types([TYPES[kind] for kind in PREDICTIONS.columns.values()])
        for row in rows.select(COLUMNS).iter_rows():
            copy.write_row(row)

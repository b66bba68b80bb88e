"""Statements of a login, over the rows of the world, taken back at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.publication.test_guards_postgres import insert
from tests.publication.world import WORLD

Connection = psycopg.Connection[tuple[Any, ...]]


@contextmanager
def acting_as(connection: Connection, name: str, *before: str) -> Iterator[Connection]:
    """A transaction, taken back, as a login; the rows of the world are there."""
    connection.rollback()
    for statement in before:
        if statement.startswith("ALTER"):
            connection.execute(statement)
    for table, row in WORLD.values():
        insert(connection, table, row)
    for statement in before:
        if not statement.startswith("ALTER"):
            connection.execute(statement)
    connection.execute(f"SET LOCAL SESSION AUTHORIZATION {name}")
    yield connection
    connection.rollback()

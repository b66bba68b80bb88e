"""``verification`` over PostgreSQL, for a login that is an auditor."""

import polars as pl
import psycopg
from psycopg import sql

from pipelines.publication.chain import Event
from pipelines.publication.commitments import broken_commitments
from pipelines.publication.contract import COLUMNS, REASONS
from pipelines.publication.postgres.connection import connect
from pipelines.publication.postgres.reading import OTHERS
from pipelines.publication.schema import EVENT_LOG, PREDICTIONS
from pipelines.publication.verification import (
    ERASURES,
    LOGGED,
    broken_chain,
    broken_publications,
    broken_tables,
)
from pipelines.settings import Settings

BINARY = {"row_key": pl.Binary(), "commitment": pl.Binary()}


def verify(url: str, settings: Settings) -> tuple[str, ...]:
    """What was changed past the store, in words; empty where nothing was.

    Raises:
        DatabaseUnavailable: the server cannot be used, or the login is no auditor.
    """
    with connect(url) as connection:
        events = [Event(*row) for row in connection.execute(_select(EVENT_LOG.columns)).fetchall()]
        rows = {table: _as_json(connection, table) for table in LOGGED}
        broken = broken_chain(events, settings) + broken_tables(events, rows)
        return (*broken, *_predictions(connection))


def erasures_by_login(url: str) -> dict[str, int]:
    """How many persons each login erased; raises as ``verify`` does."""
    with connect(url) as connection:
        return dict(connection.execute(ERASURES).fetchall())


def _select(columns: dict[str, str]) -> sql.Composed:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("SELECT {} FROM event_log ORDER BY event_number").format(names)


def _as_json(connection: psycopg.Connection, table: str) -> list[str]:
    query = sql.SQL("SELECT to_jsonb(t)::text FROM {} AS t").format(sql.Identifier(table))
    return [row[0] for row in connection.execute(query).fetchall()]


def _predictions(connection: psycopg.Connection) -> list[str]:
    digests: dict[str, str] = dict(
        connection.execute("SELECT generation_id, rows_digest FROM publications").fetchall()
    )
    commitments: dict[str, list[bytes]] = {}
    broken = []
    names = sql.SQL(", ").join(map(sql.Identifier, PREDICTIONS.columns))
    one = sql.SQL("SELECT {} FROM predictions WHERE generation_id = %s").format(names)
    schema = {
        name: (COLUMNS | REASONS | OTHERS | BINARY).get(name, pl.String())
        for name in PREDICTIONS.columns
    }
    for name in digests:
        found = connection.execute(one, (name,)).fetchall()
        rows = pl.DataFrame(found, schema=schema, orient="row")
        commitments[name] = rows["commitment"].to_list()
        if changed := broken_commitments(rows):
            broken.append(f"publication {name}: {changed} rows are not those committed to")
    for name, commitment in connection.execute(
        "SELECT generation_id, commitment FROM erased_rows"
    ).fetchall():
        commitments.setdefault(name, []).append(commitment)
    return broken_publications(digests, commitments) + broken

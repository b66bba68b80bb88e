"""``verification`` over the writer's DuckDB."""

import duckdb
import polars as pl

from pipelines.publication.chain import Event
from pipelines.publication.commitments import broken_commitments
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.verification import (
    ERASURES,
    LOGGED,
    broken_chain,
    broken_publications,
    broken_tables,
)
from pipelines.publication.writer import LOCK_WAIT_SECONDS, open_writer
from pipelines.settings import Settings

EVENTS = """
SELECT event_number, event, study, payload, previous_sha256, event_sha256
FROM event_log ORDER BY event_number
"""
COMMITMENTS = """
SELECT generation_id, commitment FROM predictions
UNION ALL
SELECT generation_id, commitment FROM erased_rows
"""


def verify(settings: Settings) -> tuple[str, ...]:
    """What was changed past the store, in words; empty where nothing was.

    Raises:
        StoreLocked: another process publishes, or holds the writer's database open.
        ArtefactCorrupt: the tables are not those of the contract.
    """
    folders = PublicationFolders(settings.publication_dir)
    if not folders.writer.exists():
        return tuple(broken_chain([], settings))
    with open_writer(folders, LOCK_WAIT_SECONDS) as writer:
        return (*_events(writer, settings), *_predictions(writer))


def erasures_by_login(settings: Settings) -> dict[str, int]:
    """How many persons each account erased; raises as ``verify`` does."""
    folders = PublicationFolders(settings.publication_dir)
    if not folders.writer.exists():
        return {}
    with open_writer(folders, LOCK_WAIT_SECONDS) as writer:
        return dict(writer.execute(ERASURES).fetchall())


def _events(writer: duckdb.DuckDBPyConnection, settings: Settings) -> list[str]:
    events = [Event(*row) for row in writer.execute(EVENTS).fetchall()]
    rows = {
        table: [row[0] for row in writer.execute(_as_json(table)).fetchall()] for table in LOGGED
    }
    return broken_chain(events, settings) + broken_tables(events, rows)


def _as_json(table: str) -> str:
    return f"SELECT CAST(to_json({table}) AS VARCHAR) FROM {table}"  # noqa: S608 - own names


def _predictions(writer: duckdb.DuckDBPyConnection) -> list[str]:
    digests = dict(writer.execute("SELECT generation_id, rows_digest FROM publications").fetchall())
    found: pl.DataFrame = writer.sql(COMMITMENTS).pl()
    commitments = dict(found.group_by("generation_id").agg("commitment").iter_rows())
    broken = broken_publications(digests, commitments)
    for name in digests:
        rows = writer.sql(
            "SELECT * FROM predictions WHERE generation_id = $name", params={"name": name}
        ).pl()
        if changed := broken_commitments(rows):
            broken.append(f"publication {name}: {changed} rows are not those committed to")
    return broken

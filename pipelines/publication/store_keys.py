"""Which artefacts the store of publications names: what every row that was ever shown rests on."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pipelines.errors import DatabaseUnavailable
from pipelines.publication.folders import PublicationFolders
from pipelines.settings import Settings

if TYPE_CHECKING:
    import psycopg

# Whoever may see some studies alone is shown no rows of the others, and no error.
PASSES_BY = "SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user"
SEES_ALL = "SELECT '*' = ANY (granted_studies())"
NAMED = (
    "SELECT DISTINCT audit_id FROM audits",
    "SELECT DISTINCT model_key, events_key, sequences_key, audit_id FROM releases",
    "SELECT DISTINCT scores_key, events_key, sequences_key, audit_id FROM publications",
)


def keys_in_store(settings: Settings) -> set[str]:
    """The keys in the tables of audits, releases and publications; withdrawn ones are among them.

    Raises:
        DatabaseUnavailable: the server cannot be used, or there is no login, or it may not read
            these tables, or not of every study.
    """
    # Imported when asked for: whoever keeps one store needs no driver of the other.
    if (url := settings.database_url) is None:
        return _in_snapshot(settings)
    from pipelines.publication.postgres.connection import connect, where

    with connect(url) as connection:
        if not any(_is_true(connection.execute(query)) for query in (PASSES_BY, SEES_ALL)):
            raise DatabaseUnavailable(
                "The login may not read the publications of every study.",
                where=where(url),
                remedy="Use a login whose grant in study_grants is '*': of rows that it is not "
                "shown nobody can say what they rest on.",
            )
        return _keys(row for query in NAMED for row in connection.execute(query))


def _in_snapshot(settings: Settings) -> set[str]:
    """Of the readers' file, which nobody locks."""
    from pipelines.publication.duckdb_reading import open_snapshot

    if not PublicationFolders(settings.publication_dir).snapshot.exists():
        return set()
    with open_snapshot(settings) as reader:
        return _keys(row for query in NAMED for row in reader.execute(query).fetchall())


def _is_true(answer: "psycopg.Cursor[tuple[Any, ...]]") -> bool:
    row = answer.fetchone()
    return row is not None and row[0] is True


def _keys(rows: Iterable[tuple[object, ...]]) -> set[str]:
    return {str(value) for row in rows for value in row}

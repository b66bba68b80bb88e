"""Which artefacts the store of publications names: what every row that was ever shown rests on."""

from collections.abc import Iterable

from pipelines.publication.folders import PublicationFolders
from pipelines.settings import Settings

NAMED = (
    "SELECT DISTINCT audit_id FROM audits",
    "SELECT DISTINCT model_key, events_key, sequences_key, audit_id FROM releases",
    "SELECT DISTINCT scores_key, events_key, sequences_key, audit_id FROM publications",
)


def keys_in_store(settings: Settings) -> set[str]:
    """The keys in the tables of audits, releases and publications; withdrawn ones are among them.

    Of a PostgreSQL, those of the studies that the login may read.

    Raises:
        DatabaseUnavailable: the server cannot be used, or the login may not read these tables.
    """
    # Imported when asked for: whoever keeps one store needs no driver of the other.
    if settings.database_url is None:
        return _in_snapshot(settings)
    from pipelines.publication.postgres.connection import connect

    with connect(settings.database_url) as connection:
        return _keys(row for query in NAMED for row in connection.execute(query))


def _in_snapshot(settings: Settings) -> set[str]:
    """Of the readers' file, which nobody locks."""
    from pipelines.publication.duckdb_reading import open_snapshot

    if not PublicationFolders(settings.publication_dir).snapshot.exists():
        return set()
    with open_snapshot(settings) as reader:
        return _keys(row for query in NAMED for row in reader.execute(query).fetchall())


def _keys(rows: Iterable[tuple[object, ...]]) -> set[str]:
    return {str(value) for row in rows for value in row}

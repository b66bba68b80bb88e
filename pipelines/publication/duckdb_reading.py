"""Read what is published, from the snapshot that analysts read; no lock is taken."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime

import duckdb
import polars as pl

from pipelines.errors import SourceMissing
from pipelines.publication.connection import connect
from pipelines.publication.contract import ListedGeneration
from pipelines.publication.folders import PublicationFolders
from pipelines.settings import Settings

CURRENT = "SELECT * FROM predictions_current WHERE study = $study ORDER BY subject_id"
AS_OF = "SELECT * FROM predictions_as_of($day) WHERE study = $study ORDER BY subject_id"
WITHDRAWN = """
SELECT * FROM predictions_withdrawn WHERE study = $study ORDER BY generation_id, subject_id
"""
SEEN_AT = "SELECT * FROM predictions_seen_at($moment) WHERE study = $study ORDER BY subject_id"
LIST = """
SELECT
    generation_id, release_id, audit_id, as_of, published_at, row_count, state,
    stands AND row_number() OVER (
        ORDER BY stands DESC, as_of DESC, generation_number DESC
    ) = 1 AS is_current
FROM publication_states
WHERE study = $study
ORDER BY generation_number
"""


def read_current(study: str, settings: Settings) -> pl.DataFrame:
    """The current predictions of a study, one row per subject; times in UTC.

    Raises:
        SourceMissing: nothing was published yet.
    """
    return _read(CURRENT, {"study": study}, settings)


def read_as_of(study: str, day: date, settings: Settings) -> pl.DataFrame:
    """The predictions that stand for ``day`` (UTC): the newest generation as of it or earlier."""
    return _read(AS_OF, {"study": study, "day": day}, settings)


def read_seen_at(study: str, moment: datetime, settings: Settings) -> pl.DataFrame:
    """What ``read_current`` gave at that moment; a person erased since then is gone from it too."""
    return _read(SEEN_AT, {"study": study, "moment": moment}, settings)


def read_withdrawn(study: str, settings: Settings) -> pl.DataFrame:
    """Every prediction that was withdrawn, with the reason, the person and the time."""
    return _read(WITHDRAWN, {"study": study}, settings)


def list_generations(study: str, settings: Settings) -> tuple[ListedGeneration, ...]:
    """Every generation of a study, oldest first; none when nothing was published yet."""
    if not PublicationFolders(settings.publication_dir).snapshot.exists():
        return ()
    rows = _read(LIST, {"study": study}, settings)
    return tuple(ListedGeneration.model_validate(row) for row in rows.iter_rows(named=True))


@contextmanager
def open_snapshot(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection to the newest snapshot.

    It is attached to a database of its own: ``duckdb.connect(path)`` would hand out the file that
    another connection of this process still holds, even after a newer one took its place.
    """
    snapshot = PublicationFolders(settings.publication_dir).snapshot
    if not snapshot.exists():
        raise SourceMissing(
            "Nothing was published yet.",
            where=str(snapshot),
            remedy="Publish a study: equipoise run STUDY",
        )
    with connect(":memory:") as connection:
        connection.execute("ATTACH $path AS snapshot (READ_ONLY)", {"path": str(snapshot)})
        connection.execute("USE snapshot")
        yield connection


def _read(query: str, named: dict[str, object], settings: Settings) -> pl.DataFrame:
    with open_snapshot(settings) as connection:
        frame: pl.DataFrame = connection.sql(query, params=named).pl()
    return frame

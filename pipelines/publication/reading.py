"""Read what is published, from the snapshot that analysts read; no lock is taken."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Literal

import duckdb
import polars as pl
from pydantic import BaseModel, ConfigDict

from pipelines.errors import SourceMissing
from pipelines.identity import UtcMoment
from pipelines.publication.connection import connect
from pipelines.publication.folders import PublicationFolders
from pipelines.settings import Settings

CURRENT = "SELECT * FROM predictions_current WHERE study = $study ORDER BY subject_id"
AS_OF = "SELECT * FROM predictions_as_of($day) WHERE study = $study ORDER BY subject_id"
WITHDRAWN = """
SELECT * FROM predictions_withdrawn WHERE study = $study ORDER BY generation_id, subject_id
"""
LIST = """
SELECT
    states.generation_id, states.release_id, states.audit_id, states.as_of, states.published_at,
    states.row_count, states.state, current_rows.generation_id IS NOT NULL AS is_current
FROM generation_states AS states
LEFT JOIN (
    SELECT DISTINCT generation_id FROM predictions_current
) AS current_rows ON current_rows.generation_id = states.generation_id
WHERE states.study = $study
ORDER BY states.generation_number
"""


class ListedGeneration(BaseModel):
    """One generation of a study and how it stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    generation_id: str
    release_id: str
    audit_id: str
    as_of: UtcMoment
    published_at: UtcMoment
    row_count: int
    state: Literal["published", "withdrawn", "reinstated"]
    is_current: bool


def read_current(study: str, settings: Settings) -> pl.DataFrame:
    """The current predictions of a study, one row per subject; times in UTC.

    Raises:
        SourceMissing: nothing was published yet.
    """
    return _read(CURRENT, {"study": study}, settings)


def read_as_of(study: str, day: date, settings: Settings) -> pl.DataFrame:
    """The predictions that stand for ``day`` (UTC): the newest generation as of it or earlier."""
    return _read(AS_OF, {"study": study, "day": day}, settings)


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

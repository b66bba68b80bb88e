"""Read what PostgreSQL publishes, through the views that analysts read."""

from datetime import date, datetime
from typing import LiteralString

import polars as pl
import psycopg

from pipelines.publication.contract import COLUMNS, REASONS, ListedGeneration
from pipelines.publication.postgres.connection import connect

CURRENT: LiteralString = """
SELECT * FROM predictions_current WHERE study = %(study)s ORDER BY subject_id
"""
AS_OF: LiteralString = """
SELECT * FROM predictions_as_of(%(day)s) WHERE study = %(study)s ORDER BY subject_id
"""
SEEN_AT: LiteralString = """
SELECT * FROM predictions_seen_at(%(moment)s) WHERE study = %(study)s ORDER BY subject_id
"""
WITHDRAWN: LiteralString = """
SELECT * FROM predictions_withdrawn WHERE study = %(study)s ORDER BY generation_id, subject_id
"""
LIST: LiteralString = """
SELECT
    generation_id, release_id, audit_id, as_of, published_at, row_count, state,
    stands AND row_number() OVER (
        ORDER BY stands DESC, as_of DESC, generation_number DESC
    ) = 1 AS is_current
FROM publication_states
WHERE study = %(study)s
ORDER BY generation_number
"""
MOMENT = pl.Datetime("us", "UTC")
# What a view adds to the columns of the contract is text, but these.
OTHERS: dict[str, pl.DataType] = {
    "threshold": pl.Float64(),
    "decision": pl.Boolean(),
    "as_of": MOMENT,
    "published_at": MOMENT,
    "changed_at": MOMENT,
}


def read(url: str, query: LiteralString, named: dict[str, str | date | datetime]) -> pl.DataFrame:
    """The rows of a view of predictions; times in UTC."""
    with connect(url) as connection:
        cursor = connection.execute(query, named)
        names = [column.name for column in cursor.description or ()]
        schema = {name: (COLUMNS | REASONS | OTHERS).get(name, pl.String()) for name in names}
        return pl.DataFrame(cursor.fetchall(), schema=schema, orient="row")


def list_generations(url: str, study: str) -> tuple[ListedGeneration, ...]:
    """Every generation of a study, oldest first."""
    with connect(url) as connection:
        cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
        rows = cursor.execute(LIST, {"study": study}).fetchall()
    return tuple(ListedGeneration.model_validate(row) for row in rows)

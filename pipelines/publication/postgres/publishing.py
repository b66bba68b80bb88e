"""Publish a generation in PostgreSQL: one transaction, under a lock of its study and day.

Two publishers of one day take turns; of other days they do not wait for each other but for the
moment of their commits. A process killed at any time leaves what had been committed.

Publications of a study share one lock more, which a withdrawal holds alone: it waits for those
under way and takes them back too, and who comes after it asks a gate that knows of it.
"""

from datetime import UTC, datetime

import polars as pl
import psycopg
from psycopg import sql

from pipelines.approvals.record import ApprovalRecord
from pipelines.publication.chain import GENESIS, Head
from pipelines.publication.commitments import commit_rows, rows_digest
from pipelines.publication.contract import Publication, rows_refused
from pipelines.publication.duckdb import Generation, table_rows
from pipelines.publication.gate import require_no_contradiction
from pipelines.publication.postgres.erasing import LOCK, LOCK_SHARED
from pipelines.publication.postgres.loading import load_predictions
from pipelines.publication.rows import (
    Row,
    approval_row,
    approved_audit,
    audit_row,
    publication_row,
    release_row,
)

KNOWN_AUDIT = """
SELECT kind, verdict FROM audits
WHERE study = %(study)s AND audit_id = %(audit_id)s AND evidence_sha256 = %(evidence_sha256)s
"""
GENERATION = """
SELECT published_at, row_count, stands FROM publication_states WHERE generation_id = %s
"""
PUBLISHED_AT = "SELECT published_at FROM publications WHERE generation_id = %s"


def take_turn(connection: psycopg.Connection, publication: Publication) -> None:
    """Wait for the study's withdrawals and for the day's publisher; held until the commit."""
    day = publication.as_of.date().isoformat()
    connection.execute(LOCK_SHARED, (f"{publication.study}/withdrawals",))
    connection.execute(LOCK, (f"{publication.study}/{day}",))


def hold_publications(connection: psycopg.Connection, study: str) -> None:
    """Wait for the study's publications under way; none begins until this transaction ends."""
    connection.execute(LOCK, (f"{study}/withdrawals",))


def add_row(connection: psycopg.Connection, table: str, row: Row) -> bool:
    """Add one row; False if its key is there already. Its event is the table's trigger's work."""
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Placeholder, row)),
    )
    return connection.execute(statement, row).rowcount == 1


def add_audit(connection: psycopg.Connection, row: Row) -> None:
    """Add the audit, whatever its verdict.

    Raises:
        PublicationGateClosed: the store knows it with another verdict.
    """
    add_row(connection, "audits", row)
    require_no_contradiction(row, *connection.execute(KNOWN_AUDIT, row).fetchall())


def record_audits(connection: psycopg.Connection, publication: Publication) -> None:
    """Add the audits of model and generation; raises as ``add_audit`` does."""
    for kind, audit in (("model", publication.model_audit), ("generation", publication.audit)):
        add_audit(connection, audit_row(publication.study, kind, audit))


def add_approval(connection: psycopg.Connection, approval: ApprovalRecord) -> bool:
    """Add the approval and the audit that it decides on; False if it was there already."""
    add_audit(connection, audit_row(approval.study, "model", approved_audit(approval)))
    return add_row(connection, "approvals", approval_row(approval))


def find_generation(connection: psycopg.Connection, publication: Publication) -> Generation | None:
    """The generation as the store holds it, if it does."""
    found = connection.execute(GENERATION, (publication.generation_id,)).fetchone()
    return None if found is None else Generation(found[0].astimezone(UTC), found[1], found[2])


def add_generation(
    connection: psycopg.Connection, publication: Publication, rows: pl.DataFrame
) -> Generation:
    """Add the generation, within the caller's transaction.

    Raises:
        PublicationGateClosed: a guard of the database refuses it.
    """
    committed = commit_rows(table_rows(publication, rows))
    task = committed["task"].item(0)
    described = publication_row(
        publication,
        task=task,
        published_at=datetime.now(UTC),  # The server writes down its own.
        row_count=rows.height,
        digest=rows_digest(committed["commitment"]),
    )
    try:
        add_approval(connection, publication.release.approval)
        add_row(connection, "releases", release_row(publication.release, task))
        add_row(connection, "publications", described)
        load_predictions(connection, committed)
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg.IntegrityError:
        # The database's own message shows the key it refused, a pseudonym perhaps.
        raise rows_refused(publication, "a constraint of the database refuses them") from None
    ((moment,),) = connection.execute(PUBLISHED_AT, (publication.generation_id,)).fetchall()
    return Generation(moment.astimezone(UTC), rows.height, stands=True)


def head_of(connection: psycopg.Connection) -> Head:
    """The newest event; number 0 where there is none."""
    found = connection.execute("SELECT event_number, event_sha256 FROM log_head()").fetchone()
    return Head(*found) if found else Head(0, GENESIS)

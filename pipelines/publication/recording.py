"""Audits, approvals and events in the writer's DuckDB: added, and never changed."""

import duckdb

from pipelines.approvals.record import ApprovalRecord
from pipelines.publication.chain import GENESIS, Head, next_event
from pipelines.publication.contract import Publication
from pipelines.publication.gate import require_no_contradiction
from pipelines.publication.rows import Row, approval_row, approved_audit, audit_row

KNOWN_AUDIT = """
SELECT kind, verdict
FROM audits
WHERE study = $study AND audit_id = $audit_id AND evidence_sha256 = $evidence_sha256
"""
HEAD = """
SELECT event_number, event_sha256 FROM event_log ORDER BY event_number DESC LIMIT 1
"""


def add_row(writer: duckdb.DuckDBPyConnection, table: str, event: str, row: Row) -> None:
    """Insert the row, and its event with all that the row says, into the chain."""
    insert(writer, table, row)
    # Found again by its key: what the database holds is what the event says.
    payload = _payload(writer, table, row)
    add_event(writer, event, str(row["study"]), payload)


def insert(writer: duckdb.DuckDBPyConnection, table: str, row: Row) -> None:
    """Insert one row; the names are this program's own."""
    names = ", ".join(row)
    values = ", ".join(f"${name}" for name in row)
    writer.execute(f"INSERT INTO {table} ({names}) VALUES ({values})", row)  # noqa: S608


def add_event(writer: duckdb.DuckDBPyConnection, event: str, study: str, payload: str) -> None:
    """Add an event at the end of the chain."""
    following = next_event(head_of(writer), event, study, payload)
    insert(writer, "event_log", following._asdict())


def head_of(writer: duckdb.DuckDBPyConnection) -> Head:
    """The newest event; number 0 where there is none."""
    found = writer.execute(HEAD).fetchall()
    return Head(*found[0]) if found else Head(0, GENESIS)


def record_audits(writer: duckdb.DuckDBPyConnection, publication: Publication) -> None:
    """Add the audits of model and generation with their verdicts, whatever these are.

    Within the caller's transaction.

    Raises:
        PublicationGateClosed: the store knows one of them otherwise.
    """
    audits = {"model": publication.model_audit, "generation": publication.audit}
    for kind, audit in audits.items():
        _add_audit(writer, audit_row(publication.study, kind, audit))


def add_approval(writer: duckdb.DuckDBPyConnection, approval: ApprovalRecord) -> bool:
    """Add the approval and the audit that it decides on; False if it was there already.

    Raises:
        PublicationGateClosed: the store knows the audit with another verdict.
    """
    _add_audit(writer, audit_row(approval.study, "model", approved_audit(approval)))
    named = {"approval_id": approval.approval_id}
    asked = "SELECT count(*) FROM approvals WHERE approval_id = $approval_id"
    if writer.execute(asked, named).fetchall() != [(0,)]:
        return False
    add_row(writer, "approvals", "approval", approval_row(approval))
    return True


def _add_audit(writer: duckdb.DuckDBPyConnection, row: Row) -> None:
    named = {name: row[name] for name in ("study", "audit_id", "evidence_sha256")}
    known = writer.execute(KNOWN_AUDIT, named).fetchall()
    require_no_contradiction(row, *known)
    if not known:
        add_row(writer, "audits", "audit", row)


def _payload(writer: duckdb.DuckDBPyConnection, table: str, row: Row) -> str:
    same = " AND ".join(f"{name} = ${name}" for name in row if row[name] is not None)
    given = {name: value for name, value in row.items() if value is not None}
    query = f"SELECT CAST(to_json({table}) AS VARCHAR) FROM {table} WHERE {same}"  # noqa: S608
    ((payload,),) = writer.execute(query, given).fetchall()
    return str(payload)

"""A database of a version before, copied into a new file.

One knew no reasons; the one before it no approval and no event.

DuckDB cannot add a constraint to a table that is there. So the rows go into a file with the new
tables and all their constraints, and the file is renamed over the old one: a publisher killed
on the way leaves the old file as it was.
"""

from collections.abc import Callable, Mapping

import duckdb
import polars as pl

from pipelines.publication.commitments import commit_rows, rows_digest
from pipelines.publication.connection import connect, table_definitions
from pipelines.publication.recording import add_event
from pipelines.publication.schema import CONTRACT, REASON_COLUMNS, TABLES_WITHOUT_REASONS
from pipelines.publication.schema_before import TABLES_WITHOUT_APPROVALS

Copy = Callable[[duckdb.DuckDBPyConnection], None]

# Every release of then rests on the gate's own pass. The hash over the names of its data is the
# one that the release itself is given; what policy it was judged under the table did not say.
APPROVALS = """
INSERT INTO approvals BY NAME SELECT
    'upgraded-' || release_id AS approval_id, study, audit_id, evidence_sha256, audit_kind,
    audit_verdict, model_sha256, sha256(events_key || chr(10) || sequences_key) AS data_sha256,
    repeat('0', 64) AS policy_sha256, 'none' AS request_id, 'approved' AS decision,
    'gate' AS grounds, '["gate"]' AS decided_by,
    'the audit passed, before approvals were recorded' AS reason,
    created_at AS decided_at, CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS expires_at
FROM old.main.releases
"""
COPIES = (
    "INSERT INTO audits BY NAME FROM old.main.audits",
    APPROVALS,
    "INSERT INTO releases BY NAME SELECT old_releases.* EXCLUDE (audit_kind), approval_id, "
    "data_sha256, policy_sha256, grounds AS approval_grounds, decision AS approval_decision, "
    "expires_at AS approval_expires_at FROM old.main.releases AS old_releases "
    "JOIN approvals ON approval_id = 'upgraded-' || old_releases.release_id",
)
GENERATIONS = "FROM old.main.generations ORDER BY generation_number"
PREDICTIONS = """
SELECT predictions.*, generations.study
FROM old.main.predictions
JOIN old.main.generations USING (generation_id)
WHERE generation_id = $generation_id
"""
WITHDRAWALS = """
INSERT INTO withdrawals BY NAME
SELECT state_changes.*, generations.study
FROM old.main.state_changes
JOIN old.main.generations USING (generation_id)
"""
# Table -> its event and the column that orders it; the log begins with what was there.
EVENTS = {
    "audits": ("audit", "recorded_at"),
    "approvals": ("approval", "decided_at"),
    "releases": ("release", "created_at"),
    "publications": ("publication", "generation_number"),
    "withdrawals": ("state", "change_number"),
}


def upgrade_of(connection: duckdb.DuckDBPyConnection) -> Copy | None:
    """What fills a database of this version out of ``old``; None where it is no older one.

    Tables that were changed by hand are no older version.
    """
    found = table_definitions(connection)
    # Most often the tables are those of today, and this is said by one look.
    if "approvals" not in found:
        return _with_approvals if found == _made_by(TABLES_WITHOUT_APPROVALS) else None
    if "reason_method" not in found.get("predictions", ""):
        return _as_they_are if found == _made_by(TABLES_WITHOUT_REASONS) else None
    return None


def _as_they_are(new: duckdb.DuckDBPyConnection) -> None:
    """Nothing was explained then: the reasons are null, and commitments hold."""
    for table in CONTRACT:
        new.execute(f"INSERT INTO {table.name} BY NAME FROM old.main.{table.name}")


def _with_approvals(new: duckdb.DuckDBPyConnection) -> None:
    for statement in COPIES:
        new.execute(statement)
    for generation in new.sql(GENERATIONS).pl().iter_rows(named=True):
        _copy_generation(new, generation)
    new.execute(WITHDRAWALS)
    for table, (event, order) in EVENTS.items():
        said = "state" if event == "state" else f"'{event}'"
        rows = f"SELECT {said}, study, CAST(to_json({table}) AS VARCHAR) FROM {table}"  # noqa: S608
        for kind, study, payload in new.execute(f"{rows} ORDER BY {order}").fetchall():
            add_event(new, kind, study, payload)


def _copy_generation(new: duckdb.DuckDBPyConnection, generation: dict[str, object]) -> None:
    named = {"generation_id": generation["generation_id"]}
    found = new.sql(PREDICTIONS, params=named).pl()
    rows = commit_rows(found.with_columns(pl.lit(None).alias(name) for name in REASON_COLUMNS))
    new.register("described", pl.DataFrame([generation]).to_arrow())
    new.register("incoming", rows.to_arrow())
    digest = {"digest": rows_digest(rows["commitment"])}
    new.execute(
        "INSERT INTO publications BY NAME SELECT *, $digest AS rows_digest FROM described", digest
    )
    new.execute("INSERT INTO predictions BY NAME FROM incoming")
    new.unregister("described")
    new.unregister("incoming")


def _made_by(statements: Mapping[str, str]) -> dict[str, str]:
    with connect(":memory:") as fresh:
        for statement in statements.values():
            fresh.execute(statement)
        return table_definitions(fresh)

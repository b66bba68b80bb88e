"""Make the publication's schema in a PostgreSQL.

``equipoise database setup`` is run once, by a superuser of the server, whose
URL ``EQUIPOISE_DATABASE_URL`` (or ``_FILE``) names. Then make logins and give them a role:

    CREATE ROLE publisher LOGIN PASSWORD '...';  GRANT equipoise_writer TO publisher;
    CREATE ROLE ada LOGIN PASSWORD '...';        GRANT equipoise_analyst TO ada;
    INSERT INTO equipoise.study_grants VALUES ('ada', 'nafld_diabetes');

A login that publishes and shows what it published has both roles. Backups and the dead rows that an
erasure leaves until the next VACUUM are the server's owner's to care for.
"""

from typing import Literal

import psycopg

from pipelines.errors import DatabaseUnavailable
from pipelines.publication.postgres.connection import connect
from pipelines.publication.postgres.functions import FUNCTIONS, READ_FUNCTIONS, TRIGGERS
from pipelines.publication.postgres.roles import (
    ERASURE,
    OWNER,
    ROLES,
    SCHEMA,
    reading_rights,
    right_statements,
    role_statements,
    sequence_statements,
)
from pipelines.publication.postgres.roles import READ_FUNCTIONS as ASKED
from pipelines.publication.schema import CONTRACT, REASON_COLUMNS, REASON_GUARDS
from pipelines.publication.views import VIEWS
from pipelines.settings import settings

NUMBERED = (
    ("publications", "generation_number"),
    ("withdrawals", "change_number"),
    ("erasures", "erasure_number"),
)
ACCESS_LOG = """
CREATE TABLE access_log (
    read_number BIGINT GENERATED ALWAYS AS IDENTITY,
    reader TEXT NOT NULL,
    relation TEXT NOT NULL,
    read_at TIMESTAMP WITH TIME ZONE NOT NULL,
    backend INTEGER NOT NULL,
    CONSTRAINT access_log_key PRIMARY KEY (read_number)
)
"""
STUDY_GRANTS = """
CREATE TABLE study_grants (
    role_name TEXT, study TEXT, CONSTRAINT study_grants_key PRIMARY KEY (role_name, study)
)
"""
EXISTS = "SELECT count(*) FROM pg_namespace WHERE nspname = 'equipoise'"
HAS_REASONS = """
SELECT count(*) FROM information_schema.columns
WHERE table_schema = 'equipoise' AND table_name = 'predictions' AND column_name = 'reason_method'
"""

State = Literal["made", "upgraded", "was there already"]


def set_up(url: str) -> State:
    """Make roles, tables, guards and views in one transaction, or add what a newer version has.

    Raises:
        DatabaseUnavailable: the server cannot be reached, or its login may not do this.
    """
    with connect(url) as connection:
        if connection.execute(EXISTS).fetchall() != [(0,)]:
            return _upgrade(connection)
        for statement in role_statements():
            connection.execute(statement)
        database = connection.info.dbname.replace('"', '""')
        for statement in _on_database(f'"{database}"'):
            connection.execute(statement)
        _make(connection)
    return "made"


def statements() -> list[str]:
    """All that the owner makes, in order."""
    tables = [table.statement(schema=f"{SCHEMA}.") for table in CONTRACT]
    numbered = [
        f"ALTER TABLE {table} ALTER {column} ADD GENERATED ALWAYS AS IDENTITY"
        for table, column in NUMBERED
    ]
    others = [ACCESS_LOG, STUDY_GRANTS, FUNCTIONS, *TRIGGERS, *_views(), *READ_FUNCTIONS]
    return tables + numbered + others + right_statements()


def upgrade_statements() -> list[str]:
    """Reasons for a database that knew none: columns, guards, and the views that show them."""
    columns = [
        f"ALTER TABLE predictions ADD COLUMN {name} {kind}" for name, kind in REASON_COLUMNS.items()
    ]
    guards = [
        f"ALTER TABLE predictions ADD CONSTRAINT predictions_{name} {check}"
        for name, check in REASON_GUARDS.items()
    ]
    dropped = [
        *(f"DROP FUNCTION {function}" for function in ASKED),
        *(f"DROP VIEW {name}" for name in reversed(VIEWS)),
    ]
    return [*dropped, *columns, *guards, *_views(), *READ_FUNCTIONS, *reading_rights()]


def _views() -> list[str]:
    return [
        f"CREATE VIEW {name} WITH (security_invoker = true) AS {query}"
        for name, query in VIEWS.items()
    ]


def _upgrade(connection: psycopg.Connection) -> State:
    connection.execute(f"SET LOCAL ROLE {OWNER}")
    connection.execute(f"SET LOCAL search_path = {SCHEMA}, pg_temp")
    for statement in sequence_statements():
        connection.execute(statement)
    if connection.execute(HAS_REASONS).fetchall() != [(0,)]:
        return "was there already"
    for statement in upgrade_statements():
        connection.execute(statement)
    return "upgraded"


def _on_database(database: str) -> list[str]:
    return [
        f"REVOKE ALL ON DATABASE {database} FROM PUBLIC",
        f"GRANT CONNECT ON DATABASE {database} TO {', '.join(ROLES)}",
        f"GRANT TEMPORARY ON DATABASE {database} TO {OWNER}",
        f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {OWNER}",
    ]


def _make(connection: psycopg.Connection) -> None:
    connection.execute(f"SET LOCAL ROLE {OWNER}")
    connection.execute(f"SET LOCAL search_path = {SCHEMA}, pg_temp")
    for statement in statements():
        connection.execute(statement)
    connection.execute("RESET ROLE")
    function = f"{SCHEMA}.erase_subject(text, bigint, bytea, text, text)"
    connection.execute(f"ALTER FUNCTION {function} OWNER TO {ERASURE}")
    for called in ("granted_studies()", "keyed_hash(bytea, text)"):
        connection.execute(f"GRANT EXECUTE ON FUNCTION {SCHEMA}.{called} TO {ERASURE}")


def main() -> None:
    """Set up the database that the installation names."""
    url = settings().database_url
    if url is None:
        raise DatabaseUnavailable(
            "No PostgreSQL is named.",
            where="EQUIPOISE_DATABASE_URL",
            remedy="Name the database, with a login that may make roles.",
        )
    print(set_up(url))


if __name__ == "__main__":
    main()

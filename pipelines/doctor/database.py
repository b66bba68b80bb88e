"""What the login of the pipeline may do in the publication's database, and what it must not."""

from collections.abc import Iterator

import psycopg

from pipelines.doctor.finding import Finding, worst
from pipelines.errors import DatabaseUnavailable
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.postgres.connection import where
from pipelines.publication.postgres.roles import (
    ERASURE,
    OWNER,
    SCHEMA,
    TABLE_RIGHTS,
    TABLES,
    WRITER,
)
from pipelines.settings import Settings

NAME = "database rights"
ANSWER_SECONDS = 3
SET_UP = "Make or upgrade it, as a superuser: equipoise database setup"
LESS = "Give Equipoise a login of its own that has the roles it needs and nothing else."
HAS = "SELECT has_table_privilege(%s, %s)"
ATTRIBUTES = """
SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = current_user
"""
THERE = "SELECT count(*) FROM pg_namespace WHERE nspname = %s"
TOO_MUCH = ("superuser", "passes by row-level security", "makes roles", "makes databases")


def database_rights(installation: Settings) -> Finding:
    """The writer's rights and no more; of the embedded store its owner alone has the file."""
    try:
        url = installation.database_url
    except DatabaseUnavailable as error:
        return Finding(NAME, "fail", error.cause, error.remedy)
    if url is None:
        return _embedded(PublicationFolders(installation.publication_dir))
    try:
        with psycopg.connect(url, connect_timeout=ANSWER_SECONDS) as connection:
            if connection.execute(THERE, (SCHEMA,)).fetchall() == [(0,)]:
                return Finding(NAME, "fail", f"no publication in {where(url)}", SET_UP)
            found = [*_lacking(connection), *_forbidden(connection)]
    except psycopg.errors.UndefinedTable:
        return Finding(NAME, "fail", "tables of another version", SET_UP)
    except psycopg.Error as error:
        remedy = "See that the server runs and takes this login from here (pg_hba.conf, password)."
        return Finding(NAME, "fail", f"{type(error).__name__}: {where(url)}", remedy)
    return worst(NAME, found, f"as a writer has them: {where(url)}")


def _embedded(folders: PublicationFolders) -> Finding:
    if folders.writer.exists() and folders.writer.stat().st_mode & 0o077:
        remedy = f"chmod 600 {folders.writer}: who may write it may write it anew."
        return Finding(NAME, "fail", "others may open the embedded store", remedy)
    return Finding(NAME, "ok", "embedded store, its owner's alone")


def _lacking(connection: psycopg.Connection) -> Iterator[Finding]:
    wanted = [
        (f"{SCHEMA}.{table}", right)
        for role, rights, table in TABLE_RIGHTS
        if role == WRITER
        for right in rights.split(", ")
    ]
    missing = [
        f"{right} on {table}" for table, right in wanted if not _has(connection, table, right)
    ]
    if missing:
        remedy = f"Grant the login the role: GRANT {WRITER} TO ..."
        yield Finding(NAME, "fail", f"lacks {len(missing)} rights: {missing[0]} …", remedy)


def _forbidden(connection: psycopg.Connection) -> Iterator[Finding]:
    (attributes,) = connection.execute(ATTRIBUTES).fetchall()
    too_much = [words for words, has in zip(TOO_MUCH, attributes, strict=True) if has]
    for role in (OWNER, ERASURE):
        if connection.execute("SELECT pg_has_role(%s, 'MEMBER')", (role,)).fetchall() == [(True,)]:
            too_much.append(f"is a member of {role}")
    too_much += [
        f"{right} on {table}"
        for table in TABLES
        for right in ("UPDATE", "DELETE", "TRUNCATE")
        if _has(connection, f"{SCHEMA}.{table}", right)
    ]
    if too_much:
        more = f" and {len(too_much) - 3} more" if len(too_much) > 3 else ""
        yield Finding(NAME, "fail", f"may too much: {', '.join(too_much[:3])}{more}", LESS)


def _has(connection: psycopg.Connection, table: str, right: str) -> bool:
    return connection.execute(HAS, (table, right)).fetchall() == [(True,)]

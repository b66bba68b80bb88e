"""A server's publication dumped and restored by PostgreSQL's own ``pg_dump`` and ``pg_restore``.

A dump holds tables, guards, triggers and rights, and no role: roles belong to the server. So the
logins that had one of our roles, or read all to back it up, are written beside it, without their
passwords, and made again.
"""

import json
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo
from pydantic import BaseModel, ConfigDict

from pipelines.errors import BackupInvalid, DatabaseUnavailable
from pipelines.publication.chain import GENESIS, Head
from pipelines.publication.postgres.client_programs import parts_of, run_program
from pipelines.publication.postgres.connection import connect, where
from pipelines.publication.postgres.roles import OWNER, ROLES, role_statements

DUMP, LOGINS = "database.dump", "logins.json"
MEMBERS = """
SELECT member.rolname, array_agg(granted.rolname::text ORDER BY granted.rolname)
FROM pg_auth_members
JOIN pg_roles AS member ON member.oid = pg_auth_members.member
JOIN pg_roles AS granted ON granted.oid = pg_auth_members.roleid
WHERE granted.rolname LIKE 'equipoise\\_%' AND member.rolcanlogin
GROUP BY member.rolname ORDER BY member.rolname
"""
GROUPS = """
SELECT rolname FROM pg_roles WHERE rolname LIKE 'equipoise\\_%' AND NOT rolcanlogin ORDER BY 1
"""
# Who reads all of this database and changes nothing: CONNECT was taken from everybody.
READ_ALL = """
SELECT rolname FROM pg_roles
WHERE rolcanlogin AND rolbypassrls AND NOT rolsuper
    AND pg_has_role(oid, 'pg_read_all_data', 'USAGE')
    AND has_database_privilege(oid, current_database(), 'CONNECT')
ORDER BY 1
"""
LET_NOBODY_IN = """
SELECT rolname FROM pg_authid
WHERE rolname = ANY (%s) AND rolcanlogin AND rolpassword IS NULL ORDER BY 1
"""
KNOWN = "SELECT count(*) FROM pg_roles WHERE rolname = %s"
HEAD = "SELECT event_number, event_sha256 FROM event_log ORDER BY event_number DESC LIMIT 1"
FILLED = "SELECT count(*) FROM pg_namespace WHERE nspname = 'equipoise'"
IS_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
# By which libpq finds a server.
ADDRESS = ("service", "host", "hostaddr", "port")
THERE = "SELECT count(*) FROM pg_database WHERE datname = %s"


class Logins(BaseModel):
    """The server's roles of a publication. groups: without a login; logins: name -> its groups.

    read_all: logins of backups, past row-level security; an older version wrote none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    groups: tuple[str, ...]
    logins: dict[str, tuple[str, ...]]
    read_all: tuple[str, ...] = ()


def dump(url: str, folder: Path) -> tuple[int, str]:
    """Dump the whole database, as of one moment; returns the log's head shortly before it.

    Args:
        url: of a login that passes by row-level security and reads all; a superuser, or
            ``CREATE ROLE ... LOGIN BYPASSRLS`` with ``pg_read_all_data``.
    """
    with connect(url) as connection:
        head = connection.execute(HEAD).fetchone() or Head(0, GENESIS)
        known = _logins(connection)
    (folder / LOGINS).write_text(json.dumps(known.model_dump(), indent=1), encoding="utf-8")
    run_program("pg_dump", url, "--format=custom", "--no-password", f"--file={folder / DUMP}")
    (folder / DUMP).chmod(0o600)
    return int(head[0]), str(head[1])


def _logins(connection: psycopg.Connection) -> Logins:
    return Logins(
        groups=tuple(name for (name,) in connection.execute(GROUPS).fetchall()),
        logins=dict(connection.execute(MEMBERS).fetchall()),
        read_all=tuple(name for (name,) in connection.execute(READ_ALL).fetchall()),
    )


# ---- restoring -----------------------------------------------------------------------------------


def as_superuser(superuser_url: str, url: str) -> str:
    """The superuser's login, in the database that another URL names.

    Raises:
        DatabaseUnavailable: a URL cannot be read, or names no database; or they name two servers.
    """
    named = parts_of(url).get("dbname")
    if named is None:
        raise _misnamed("The database to restore into is not named.")
    if _server(superuser_url) != _server(url):
        raise _misnamed("The superuser's URL names another server than the predictions'.")
    return make_conninfo(superuser_url, dbname=named)


def _server(url: str) -> tuple[str | None, ...]:
    """What says which server is meant, libpq's own defaults included."""
    parts = parts_of(url)
    defaults = {
        option.keyword.decode(): option.val.decode()
        for option in Conninfo.get_defaults()
        if option.val is not None
    }
    return tuple(parts.get(each, defaults.get(each)) for each in ADDRESS)


def _misnamed(cause: str) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        cause,
        where="EQUIPOISE_DATABASE_URL_FILE, EQUIPOISE_SUPERUSER_URL_FILE",
        remedy="Write both as postgresql://login:password@host:port/database, of one host.",
    )


def make_database(superuser_url: str, url: str) -> None:
    """Make the database that ``url`` names if there is none; who may connect is said later."""
    name = parts_of(url)["dbname"]
    with connect(superuser_url) as connection:
        connection.autocommit = True
        if connection.execute(THERE, (name,)).fetchall() == [(0,)]:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def require_restorable(url: str, folder: Path) -> None:
    """Look at all that a restore asks for: ``pg_restore``, the server, the rights, no publication.

    Raises:
        DatabaseUnavailable: the server cannot be used.
        BackupInvalid: one of the others is not there.
    """
    run_program("pg_restore", url, "--list", str(folder / DUMP))
    with connect(url) as connection:
        if connection.execute(IS_SUPERUSER).fetchall() != [(True,)]:
            raise BackupInvalid(
                "The login may not restore: roles and their rights are made by a superuser.",
                where=where(url),
                remedy="Name a superuser's URL of the server in EQUIPOISE_SUPERUSER_URL_FILE.",
            )
        if connection.execute(FILLED).fetchall() != [(0,)]:
            raise BackupInvalid(
                "The database holds a publication already: nothing is written over it.",
                where=where(url),
                remedy="Make an empty database, or drop this one, and name it in the URL.",
            )


def restore(url: str, folder: Path) -> None:
    """Make the roles, and all of the dump in one transaction, in a database that has none of it.

    A login that is made has no password, so it lets nobody in.

    Args:
        url: of a superuser.
    """
    known = _known(folder)
    with connect(url) as connection:
        for statement in role_statements():
            connection.execute(statement)
        _make_roles(connection, known)
        _close_database(connection, sorted({*ROLES, *known.groups, *known.read_all}))
    words = ("--single-transaction", "--exit-on-error", "--no-password")
    database = parts_of(url).get("dbname", "")
    run_program("pg_restore", url, *words, f"--dbname={database}", str(folder / DUMP))


def without_password(url: str, folder: Path) -> tuple[str, ...]:
    """The logins of a dump that have no password on the server, whoever made them.

    Args:
        url: of a superuser.
    """
    known = _known(folder)
    with connect(url) as connection:
        found = connection.execute(LET_NOBODY_IN, [sorted({*known.logins, *known.read_all})])
        return tuple(name for (name,) in found.fetchall())


def _known(folder: Path) -> Logins:
    return Logins.model_validate_json((folder / LOGINS).read_bytes())


def _make_roles(connection: psycopg.Connection, known: Logins) -> None:
    for name in known.groups:
        _make_role(connection, name, "NOLOGIN")
    for name in sorted({*known.logins, *known.read_all}):
        _make_role(connection, name, "LOGIN")
    for name, groups in known.logins.items():
        for group in groups:
            _grant(connection, group, name)
    for name in known.read_all:
        connection.execute(sql.SQL("ALTER ROLE {} BYPASSRLS").format(sql.Identifier(name)))
        _grant(connection, "pg_read_all_data", name)


def _make_role(connection: psycopg.Connection, name: str, kind: str) -> None:
    """Where there is none of this name."""
    if connection.execute(KNOWN, (name,)).fetchall() == [(0,)]:
        connection.execute(sql.SQL("CREATE ROLE {} " + kind).format(sql.Identifier(name)))


def _grant(connection: psycopg.Connection, group: str, name: str) -> None:
    connection.execute(
        sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(name))
    )


def _close_database(connection: psycopg.Connection, roles: list[str]) -> None:
    """Rights on the database itself are in no dump: who may connect is said as at the setup."""
    database = sql.Identifier(connection.info.dbname)
    named = sql.SQL(", ").join(map(sql.Identifier, roles))
    for statement in (
        sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database),
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, named),
        sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {}").format(database, sql.Identifier(OWNER)),
    ):
        connection.execute(statement)

"""A server's publication dumped and restored by PostgreSQL's own ``pg_dump`` and ``pg_restore``.

A dump holds tables, guards, triggers and rights, and no role: roles belong to the server. So the
logins that had one of our roles are written beside it, without their passwords, and made again.
The URL reaches the programs by their environment: a command line is everybody's to read. Its
password reaches them as a file without a name, for an environment is passed on to children.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from pipelines.errors import BackupInvalid
from pipelines.publication.chain import GENESIS, Head
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
KNOWN = "SELECT count(*) FROM pg_roles WHERE rolname = %s"
HEAD = "SELECT event_number, event_sha256 FROM event_log ORDER BY event_number DESC LIMIT 1"
FILLED = "SELECT count(*) FROM pg_namespace WHERE nspname = 'equipoise'"


def dump(url: str, folder: Path) -> tuple[int, str]:
    """Dump the whole database, as of one moment; returns the log's head shortly before it.

    Args:
        url: of a login that passes by row-level security and reads all; a superuser, or
            ``CREATE ROLE ... LOGIN BYPASSRLS`` with ``pg_read_all_data``.
    """
    with connect(url) as connection:
        head = connection.execute(HEAD).fetchone() or Head(0, GENESIS)
        members = dict(connection.execute(MEMBERS).fetchall())
        groups = [name for (name,) in connection.execute(GROUPS).fetchall()]
    known = {"groups": groups, "logins": members}
    (folder / LOGINS).write_text(json.dumps(known, indent=1), encoding="utf-8")
    _run("pg_dump", url, "--format=custom", "--no-password", f"--file={folder / DUMP}")
    (folder / DUMP).chmod(0o600)
    return int(head[0]), str(head[1])


def restore(url: str, folder: Path) -> None:
    """Make the roles, and all of the dump in one transaction, in a database that has none of it.

    Args:
        url: of a superuser.
    """
    known = json.loads((folder / LOGINS).read_text(encoding="utf-8"))
    with connect(url) as connection:
        if connection.execute(FILLED).fetchall() != [(0,)]:
            raise BackupInvalid(
                "The database holds a publication already: nothing is written over it.",
                where=where(url),
                remedy="Make an empty database, or drop this one, and name it in the URL.",
            )
        for statement in role_statements():
            connection.execute(statement)
        _make_roles(connection, known["groups"], known["logins"])
        _close_database(connection, sorted({*ROLES, *known["groups"]}))
    words = ("--single-transaction", "--exit-on-error", "--no-password")
    database = str(conninfo_to_dict(url).get("dbname", ""))
    _run("pg_restore", url, *words, f"--dbname={database}", str(folder / DUMP))


def _make_roles(
    connection: psycopg.Connection, groups: list[str], logins: dict[str, list[str]]
) -> None:
    """A login comes without a password: until it is given one, no password lets it in."""
    for name, kind in [*((name, "NOLOGIN") for name in groups), *((n, "LOGIN") for n in logins)]:
        if connection.execute(KNOWN, (name,)).fetchall() == [(0,)]:
            role = sql.Identifier(name)
            connection.execute(sql.SQL("CREATE ROLE {} " + kind).format(role))
    for name, granted in logins.items():
        for group in granted:
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


def _run(program: str, url: str, *words: str) -> None:
    """Run one of PostgreSQL's programs. Its own words may hold a row's value: they are not said."""
    found = shutil.which(program)
    if found is None:
        raise BackupInvalid(
            f"{program} is not on the PATH.",
            where=program,
            remedy="Install PostgreSQL's client programs of the server's version.",
        )
    with _password_file(url) as passwords:
        done = subprocess.run(
            [found, *words],
            env=_environment(url, passwords),
            pass_fds=[] if passwords is None else [passwords],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    if done.returncode:
        raise BackupInvalid(
            f"{program} ended with {done.returncode}.",
            where=where(url),
            remedy=f"Look that {program} is not older than the server, and that the login may do "
            "this: a superuser, or to dump one with BYPASSRLS and pg_read_all_data.",
        )


@contextmanager
def _password_file(url: str) -> Iterator[int | None]:
    """The URL's password as libpq reads one from a file, which is in no folder; None without."""
    password = conninfo_to_dict(url).get("password")
    if password is None:
        yield None
        return
    escaped = str(password).replace("\\", "\\\\").replace(":", "\\:")
    with TemporaryFile() as file:
        file.write(f"*:*:*:*:{escaped}\n".encode())
        file.seek(0)
        yield file.fileno()


def _environment(url: str, passwords: int | None) -> dict[str, str]:
    """The URL in libpq's own variables, but for its password; that of another would come first."""
    variables = {
        option.keyword.decode(): option.envvar.decode()
        for option in Conninfo.get_defaults()
        if option.envvar is not None
    }
    parts = conninfo_to_dict(url)
    named = {variables[name]: str(value) for name, value in parts.items() if name in variables}
    given = os.environ | named
    if passwords is not None:
        del given["PGPASSWORD"]
        given["PGPASSFILE"] = f"/dev/fd/{passwords}"
    return given

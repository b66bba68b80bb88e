"""Run PostgreSQL's own programs; no password is in a command line, an environment or a message.

The URL reaches them by their environment: a command line is everybody's to read. Its password
reaches them as a file without a name, for an environment is passed on to children.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from pipelines.errors import BackupInvalid, DatabaseUnavailable
from pipelines.publication.postgres.connection import where


def parts_of(url: str) -> dict[str, str]:
    """The parts that a URL names. What cannot be read may hold a password: it is not said again.

    Raises:
        DatabaseUnavailable: it is no URL of a database.
    """
    try:
        return {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except (psycopg.Error, UnicodeError):
        raise DatabaseUnavailable(
            "The database's URL cannot be read.",
            where="EQUIPOISE_DATABASE_URL_FILE, EQUIPOISE_SUPERUSER_URL_FILE",
            remedy="Write it as postgresql://login:password@host:port/database.",
        ) from None


def run_program(program: str, url: str, *words: str) -> None:
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
    password = parts_of(url).get("password")
    if password is None:
        yield None
        return
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
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
    parts = parts_of(url)
    named = {variables[name]: value for name, value in parts.items() if name in variables}
    given = os.environ | named
    if passwords is not None:
        del given["PGPASSWORD"]
        given["PGPASSFILE"] = f"/dev/fd/{passwords}"
    return given

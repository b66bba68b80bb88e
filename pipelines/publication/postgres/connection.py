"""A connection to the PostgreSQL that an installation names; no password in any text."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pipelines.errors import DatabaseUnavailable, EquipoiseError

CONNECT_SECONDS = 10


@contextmanager
def connect(url: str) -> Iterator[psycopg.Connection]:
    """One transaction: committed at the end of the block, or rolled back. Times are UTC.

    Raises:
        DatabaseUnavailable: the server cannot be reached, goes away, refuses the login, a right or
            a row, or holds no publication.
    """
    try:
        with psycopg.connect(
            url,
            connect_timeout=CONNECT_SECONDS,
            options="-c timezone=UTC -c search_path=equipoise",
            application_name="equipoise",
        ) as connection:
            yield connection
    except (psycopg.Error, UnicodeError) as error:
        raise _unavailable(url, error) from None


def where(url: str) -> str:
    """Host, port, database and login of the URL, and nothing else of it."""
    try:
        parts = conninfo_to_dict(url)
    except (psycopg.Error, UnicodeError):
        return "EQUIPOISE_DATABASE_URL"
    named = {name: parts.get(name, "default") for name in ("host", "port", "dbname", "user")}
    return ", ".join(f"{name} {value}" for name, value in named.items())


def _unavailable(url: str, error: psycopg.Error | UnicodeError) -> EquipoiseError:
    """The server's own text may hold a value of a row, or the URL: only its kind is told."""
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        cause, remedy = (
            "The login lacks a right in the publication's database.",
            "Grant it the role that its work needs: equipoise_writer, equipoise_analyst, "
            "equipoise_auditor or equipoise_eraser.",
        )
    elif isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedFunction):
        cause, remedy = (
            "The database holds no publication of this version.",
            "Make it, as a superuser: equipoise database setup",
        )
    elif isinstance(error, psycopg.DataError | UnicodeError):
        cause, remedy = (
            "The publication's database cannot hold a value that it was given.",
            "Look for a character that is no text in reasons and names; nothing was written.",
        )
    elif isinstance(error, psycopg.IntegrityError):
        cause, remedy = (
            f"A guard of the publication's database refuses a row ({type(error).__name__}).",
            "Nothing was written. Look into what was asked for, not into the server.",
        )
    else:
        cause, remedy = (
            f"The publication's database cannot be used ({type(error).__name__}).",
            "Look whether the server runs and takes this login, then run again: what was not "
            "committed is not there.",
        )
    return DatabaseUnavailable(cause, where=where(url), remedy=remedy)

"""A cluster's two databases in one PostgreSQL: Airflow's metadata and the predictions, apart.

The login of the one cannot connect to the other, and none may make roles or databases. Workers
note what came of a task beside the metadata, with a login of those tables alone. The logins' names
and passwords are those of the URLs that the services use, so that a password is changed by
changing the file and running the set-up again.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pipelines.errors import DatabaseUnavailable
from pipelines.publication.postgres.connection import CONNECT_SECONDS, where
from pipelines.publication.postgres.roles import ANALYST, AUDITOR, ERASER, WRITER
from pipelines.publication.postgres_setup import set_up

# What tasks do: publish, and read what they published. Who verifies or erases is a person, whose
# login has that role: the tasks' login loses it where it was granted before.
PIPELINE_ROLES = (WRITER, ANALYST)
PEOPLES_ROLES = (AUDITOR, ERASER)
READY_SECONDS = 300.0
# Any number that nothing else in the database takes; two set-ups at once would make roles twice.
SET_UP_LOCK = 6_178_210_551
# Celery's own names, and all that a worker may touch of the metadata's database.
RESULT_GRANTS = (
    (
        "GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {}",
        ("celery_taskmeta", "celery_tasksetmeta"),
    ),
    ("GRANT USAGE ON SEQUENCE {} TO {}", ("task_id_sequence", "taskset_id_sequence")),
)

Connection = psycopg.Connection[tuple[object, ...]]


@dataclass(frozen=True)
class Login:
    """A login and the database it is for, as a service's URL names them."""

    name: str
    password: str
    database: str


def make_databases(
    superuser_url: str,
    metadata_url: str,
    predictions_url: str,
    backup_url: str | None = None,
    results_url: str | None = None,
) -> None:
    """Make or bring up to date logins and databases, and the publication's schema.

    Args:
        superuser_url: of any database of the server; used here and handed to nobody.
        metadata_url, predictions_url: what Airflow and the tasks connect with.
        backup_url: what reads all of the predictions to copy it; None makes no such login.
        results_url: what workers note with what came of a task, in the metadata's database. None,
            or the metadata's own login: it is the metadata's.

    Raises:
        DatabaseUnavailable: the server cannot be reached in READY_SECONDS, refuses the login, or
            a URL names no login, no password or no database.
    """
    metadata, predictions = login_of(metadata_url, "metadata"), login_of(predictions_url, "tasks")
    backup = login_of(backup_url, "backup's") if backup_url else None
    results = _results_login(metadata, results_url)
    _require_apart(superuser_url, metadata, predictions, *filter(None, (backup, results)))
    wait_for(superuser_url)
    try:
        with psycopg.connect(superuser_url, autocommit=True) as connection:
            connection.execute("SELECT pg_advisory_lock(%s)", (SET_UP_LOCK,))
            for login in (metadata, predictions):
                _make_login(connection, login)
                _make_database(connection, login, owns=login is metadata)
            set_up(make_conninfo(superuser_url, dbname=predictions.database))
            _grant(connection, predictions)
            if backup:
                _make_reader_of_all(connection, backup)
            if results:
                _make_login(connection, results)
                _let_enter(connection, results)
    except psycopg.Error as error:
        raise _refused(superuser_url, error) from None


def grant_results(metadata_url: str, results_url: str) -> None:
    """Give the results' login its tables, which the metadata's login owns, and no other.

    Raises:
        DatabaseUnavailable: the server refuses, or a table is not there.
    """
    results = _results_login(login_of(metadata_url, "metadata"), results_url)
    if results is None:
        return
    name = sql.Identifier(results.name)
    try:
        with psycopg.connect(_plain(metadata_url)) as connection:
            for statement, names in RESULT_GRANTS:
                what = sql.SQL(", ").join(map(sql.Identifier, names))
                connection.execute(sql.SQL(statement).format(what, name))
    except psycopg.Error as error:
        raise _refused(_plain(metadata_url), error) from None


def login_of(url: str, whose: str) -> Login:
    """The login in a URL of SQLAlchemy or libpq.

    Raises:
        DatabaseUnavailable: it names no login, no password or no database.
    """
    try:
        parts = conninfo_to_dict(_plain(url))
        return Login(str(parts["user"]), str(parts["password"]), str(parts["dbname"]))
    except (psycopg.Error, KeyError):
        raise DatabaseUnavailable(
            f"The URL of the {whose} database names no login, password and database.",
            where=f"the URL of the {whose} database",
            remedy="Write it as postgresql://login:password@host:port/database.",
        ) from None


def wait_for(url: str, seconds: float = READY_SECONDS) -> None:
    """Wait until a server takes connections.

    Raises:
        DatabaseUnavailable: it did not in that time.
    """
    ends = time.monotonic() + seconds
    while True:
        try:
            psycopg.connect(url, connect_timeout=CONNECT_SECONDS).close()
            return
        except psycopg.OperationalError as error:
            if time.monotonic() > ends:
                raise _refused(url, error) from None
            time.sleep(1)


@contextmanager
def one_preparation(metadata_url: str) -> Iterator[None]:
    """Hold the only turn to prepare the metadata database; a second one waits for it.

    Raises:
        DatabaseUnavailable: the server cannot be reached in READY_SECONDS, or refuses the login.
    """
    url = _plain(metadata_url)
    wait_for(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (SET_UP_LOCK,))
        yield


def _plain(url: str) -> str:
    """libpq's form of a URL that names a driver of SQLAlchemy's, or a result backend."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.removeprefix('db+').partition('+')[0]}://{rest}" if rest else url


def _results_login(metadata: Login, results_url: str | None) -> Login | None:
    """The login of the results, where it is another one than the metadata's."""
    results = login_of(results_url, "results'") if results_url else metadata
    if results.database != metadata.database:
        raise DatabaseUnavailable(
            "The results of tasks stand in another database than Airflow's metadata.",
            where="the URL of the results",
            remedy="Name the metadata's database there: `airflow db clean` takes care of both.",
        )
    return results if results.name != metadata.name else None


def _require_apart(superuser_url: str, metadata: Login, predictions: Login, *others: Login) -> None:
    """One login for both would read with one password what the other may not see."""
    superuser = str(conninfo_to_dict(superuser_url).get("user"))
    names = [superuser, *(login.name for login in (metadata, predictions, *others))]
    if len(set(names)) < len(names) or metadata.database == predictions.database:
        raise DatabaseUnavailable(
            "Metadata and predictions share a login or a database, or use the superuser's, the "
            "backup's or the results'.",
            where="the URLs of the databases",
            remedy="Give each a login and a database of its own.",
        )


def _make_login(connection: Connection, login: Login, row_security: str = "NOBYPASSRLS") -> None:
    """The password goes over the line, and into the server's log, as its SCRAM verifier alone."""
    name = sql.Identifier(login.name)
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (login.name,))
    if known.fetchone() is None:
        connection.execute(sql.SQL("CREATE ROLE {}").format(name))
    verifier = connection.pgconn.encrypt_password(
        login.password.encode(), login.name.encode(), b"scram-sha-256"
    ).decode()
    rights = f"LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION {row_security}"
    connection.execute(
        sql.SQL(f"ALTER ROLE {{}} WITH {rights} PASSWORD {{}}").format(name, sql.Literal(verifier))
    )


def _make_database(connection: Connection, login: Login, *, owns: bool) -> None:
    name = sql.Identifier(login.database)
    known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (login.database,))
    if known.fetchone() is None:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
    if owns:
        role = sql.Identifier(login.name)
        connection.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, role))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    _let_enter(connection, login)


def _let_enter(connection: Connection, login: Login) -> None:
    names = map(sql.Identifier, (login.database, login.name))
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(*names))


def _grant(connection: Connection, login: Login) -> None:
    """The group roles; of an analyst's rows, all studies: it shows what it published."""
    name = sql.Identifier(login.name)
    for statement, names in (
        ("GRANT {} TO {}", PIPELINE_ROLES),
        ("REVOKE {} FROM {}", PEOPLES_ROLES),
    ):
        roles = sql.SQL(", ").join(map(sql.Identifier, names))
        connection.execute(sql.SQL(statement).format(roles, name))


def _make_reader_of_all(connection: Connection, login: Login) -> None:
    """The login of the backup: past row-level security, of this database, and nothing to change."""
    _make_login(connection, login, "BYPASSRLS")
    name = sql.Identifier(login.name)
    connection.execute(sql.SQL("GRANT pg_read_all_data TO {}").format(name))
    _let_enter(connection, login)


def _refused(url: str, error: psycopg.Error) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"The cluster's databases cannot be made ({type(error).__name__}).",
        where=where(url),
        remedy="Look whether the server runs and takes the superuser's login, then run again: "
        "what is made already stays.",
    )

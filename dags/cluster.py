"""``python -m dags.cluster init``: prepare a cluster's databases, pools and users.

Each step finds what an earlier run made, and two that run at once wait for each other. The
superuser of the server is known to this command alone (``EQUIPOISE_SUPERUSER_URL_FILE``); without
it logins, databases and the publication's schema are taken as made by the server's owner.
"""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from dags.accounts import READER, accounts, keep_passwords, new_passwords, read_passwords
from pipelines.airflow_settings import airflow_setting
from pipelines.errors import DatabaseUnavailable, EquipoiseError
from pipelines.settings import settings

METADATA = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
RESULTS = "AIRFLOW__CELERY__RESULT_BACKEND"


def main(arguments: list[str] | None = None) -> int:
    """Prepare the cluster; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dags.cluster", description=__doc__)
    parser.add_argument("what", choices=["init"])
    parser.parse_args(arguments)
    try:
        init()
    except EquipoiseError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def init() -> None:
    """Databases and logins, Airflow's tables and pools, users and their passwords.

    Raises:
        DatabaseUnavailable: a database cannot be reached or made, or a user not saved.
        StudyInvalid: EQUIPOISE_AIRFLOW_USERS is no list of users.
    """
    users = accounts()
    make_databases()
    from pipelines.publication.postgres.cluster_databases import one_preparation

    # Airflow's own lock does not cover the tables of its users.
    with one_preparation(metadata_url()):
        from dags.pools import migrate_with_pools

        migrate_with_pools()
        print("metadata database and pools are there")
        give_results()
        give_passwords(users)
    print(f"users: {', '.join(users)}; passwords in {password_file()}")


def give_results() -> None:
    """Make the tables of results, which workers may write with a login that sees no others."""
    results = airflow_setting(RESULTS)
    if not results:
        return
    from dags.results import make_result_tables
    from pipelines.publication.postgres.cluster_databases import grant_results

    make_result_tables(metadata_url())
    grant_results(metadata_url(), results)
    print("tables of results are there")


def give_passwords(users: Mapping[str, str]) -> None:
    """Make the users, and then keep the passwords of those who had none.

    Who has no line in the file is reset by the next preparation, if this one fails between.
    """
    known = read_passwords(password_file())
    new = new_passwords(users, known)
    if has_user_database():
        from dags.user_database import make_users

        make_users(users, known | new, {*new, READER})
    keep_passwords(known | new, password_file(), settings().secrets_dir / "airflow_reader.json")


def make_databases() -> None:
    """Both databases with their logins, where the superuser's URL is given."""
    file = os.environ.get("EQUIPOISE_SUPERUSER_URL_FILE")
    if not file:
        print("no EQUIPOISE_SUPERUSER_URL_FILE: the databases are taken as made")
        return
    from pipelines.publication.postgres.cluster_databases import make_databases as make

    predictions = settings().database_url
    if predictions is None:
        raise DatabaseUnavailable(
            "A cluster publishes to PostgreSQL, and none is named.",
            where="EQUIPOISE_DATABASE_URL_FILE",
            remedy="Name the file that holds the URL of the predictions' database.",
        )
    backup = os.environ.get("EQUIPOISE_BACKUP_URL_FILE")
    results = airflow_setting(RESULTS) or None
    make(_read(file), metadata_url(), predictions, _read(backup) if backup else None, results)
    print("databases and logins are there")


def metadata_url() -> str:
    """What Airflow connects with, as its own two variables say it.

    Raises:
        DatabaseUnavailable: neither is set, or the command that prints it fails.
    """
    return airflow_setting(METADATA) or _unnamed()


def password_file() -> Path:
    """JSON: user -> password; readable by its owner alone."""
    return settings().secrets_dir / "airflow_passwords.json"


def has_user_database() -> bool:
    """Whether users stand in the metadata database (FAB) and not in the password file alone."""
    return "fab" in os.environ.get("AIRFLOW__CORE__AUTH_MANAGER", "").lower()


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise DatabaseUnavailable(
            f"The file with a database's URL cannot be read ({type(error).__name__}).",
            where=file,
            remedy="Write it, readable by the user that prepares the cluster.",
        ) from None


def _unnamed() -> str:
    raise DatabaseUnavailable(
        "Airflow's metadata database is not named.",
        where=f"{METADATA}_CMD",
        remedy="Set it to a command that prints its URL, as `cat /run/secrets/metadata_url`.",
    )


if __name__ == "__main__":
    sys.exit(main())

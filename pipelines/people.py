"""Who started a run, and who answers: names as the installation knows them.

On the command line a name is what a person says of themselves; the account beside it is what the
operating system knows. Under a server both come from its own login.
"""

import getpass
import os

# What Airflow calls the person behind a run in this very process: nobody it knows.
IN_PROCESS = "dag_test"


def local_account() -> str:
    """The operating system's name of who runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may give a user id that no name belongs to.
        return f"user {os.getuid()}"


def local_person() -> str:
    """``EQUIPOISE_PERSON`` where accounts are shared, else the account."""
    return os.environ.get("EQUIPOISE_PERSON", "").strip() or local_account()


def starter(airflow_user: str) -> str:
    """Who started a flow: the person whom Airflow names, or whoever runs this process."""
    return local_person() if airflow_user in ("", IN_PROCESS) else airflow_user


def is_same_person(one: str, other: str) -> bool:
    """Whether two names are of one person: case and spaces make nobody another one."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())

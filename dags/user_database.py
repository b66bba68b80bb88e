"""Airflow's users where they stand in the metadata database: the FAB auth manager.

Imports airflow: to be imported once the environment is entered and the tables are there.
"""

from collections.abc import Collection, Mapping
from typing import Any

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.providers.fab.auth_manager.security_manager.override import FabException
from airflow.providers.fab.www.security import permissions

from dags.accounts import READER
from pipelines.errors import DatabaseUnavailable

ROLES = {"viewer": "Viewer", "user": "User", "op": "Op", "admin": "Admin"}
# Of every user that is made here, and of nobody else: no mail can be sent there.
MAIL = "@equipoise.invalid"
# Of the account that reads who answered what: a viewer would read logs and XComs as well.
READER_ROLE = "EquipoiseReader"
READER_RESOURCES = (
    permissions.RESOURCE_DAG,
    permissions.RESOURCE_DAG_RUN,
    permissions.RESOURCE_TASK_INSTANCE,
    permissions.RESOURCE_HITL_DETAIL,
)


def make_users(
    users: Mapping[str, str], passwords: Mapping[str, str], renewed: Collection[str]
) -> None:
    """Make each user that is not there; who is there gets the role of now, and keeps the password.

    A password is its owner's once the user is made. Who was named before and is no more cannot log
    in; users that an administrator made on the page are left alone.

    Args:
        users: name -> role, one of accounts.ROLES.
        passwords: name -> password, of the users and of everybody who was named before.
        renewed: whose password is the one given, whatever was set since: the reader's, with which
            tasks log in, and of those who had none in the file.

    Raises:
        DatabaseUnavailable: Airflow did not save a user.
    """
    with get_application_builder() as builder:
        security = builder.sm
        security.bulk_sync_roles([{"role": READER_ROLE, "perms": _reading()}])
        # First: who may not log in is out, even if somebody below cannot be saved.
        _close_unnamed(security, _lowered(users), _lowered(passwords))
        for name, role in users.items():
            wanted = security.find_role(READER_ROLE if name == READER else ROLES[role])
            found = security.find_user(username=name)
            if found is None:
                _require(_add(security, name, wanted, passwords[name]), name)
                continue
            _require(_update(security, found, wanted), name)
            if name in renewed:
                _require(security.reset_password(found.id, passwords[name]), name)


def _add(security: Any, name: str, role: Any, password: str) -> bool:
    try:
        return bool(security.add_user(name, name, "-", f"{name}{MAIL}", role, password=password))
    except FabException:
        return False


def _update(security: Any, found: Any, role: Any) -> bool:
    """Who was closed here, and so has no role, may log in again; who was on the page may not."""
    found.active = found.active or not found.roles
    found.roles = [role]
    return bool(security.update_user(found))


def _close_unnamed(security: Any, named: set[str], given: set[str]) -> None:
    """Who was named is known by a password that was given, too: a mail address can be edited."""
    for user in security.get_all_users():
        name = user.username.lower()
        if (user.email.endswith(MAIL) or name in given) and name not in named:
            user.active, user.roles = False, []
            _require(security.update_user(user), name)


def _require(saved: bool, name: str) -> None:
    """Of what Airflow cannot save it logs the cause, and goes on."""
    if not saved:
        raise DatabaseUnavailable(
            f"Airflow did not save the user {name}: its password, its role or that it is closed.",
            where="Airflow's metadata database",
            remedy="Mend what Airflow logged above, then prepare the cluster again.",
        )


def _lowered(names: Collection[str]) -> set[str]:
    """As Airflow compares names."""
    return {name.lower() for name in names}


def _reading() -> list[tuple[str, str]]:
    return [(permissions.ACTION_CAN_READ, resource) for resource in READER_RESOURCES]

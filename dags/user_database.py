"""Airflow's users where they stand in the metadata database: the FAB auth manager.

Imports airflow: to be imported once the environment is entered and the tables are there.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.providers.fab.www.security import permissions

from dags.accounts import READER

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


def make_users(users: Mapping[str, str], passwords: Path, renewed: Collection[str]) -> None:
    """Make each user that is not there; who is there gets the role of now, and keeps the password.

    A password is its owner's once the user is made. Who was named before and is no more cannot log
    in; users that an administrator made on the page are left alone.

    Args:
        users: name -> role, one of accounts.ROLES.
        passwords: JSON, name -> password.
        renewed: whose password the file's is, whatever was set since: the reader's, with which
            tasks log in, and of those whose line was taken out of the file.
    """
    known: dict[str, str] = json.loads(passwords.read_text())
    with get_application_builder() as builder:
        security = builder.sm
        security.bulk_sync_roles([{"role": READER_ROLE, "perms": _reading()}])
        for name, role in users.items():
            wanted = security.find_role(READER_ROLE if name == READER else ROLES[role])
            found = security.find_user(username=name)
            if found is None:
                mail = f"{name}{MAIL}"
                security.add_user(name, name, "-", mail, wanted, password=known[name])
                continue
            _update(security, found, wanted)
            if name in renewed:
                security.reset_password(found.id, known[name])
        _close_unnamed(security, {name.lower() for name in users})


def _update(security: Any, found: Any, role: Any) -> None:
    """Who was closed here, and so has no role, may log in again; who was on the page may not."""
    found.active = found.active or not found.roles
    found.roles = [role]
    security.update_user(found)


def _close_unnamed(security: Any, named: set[str]) -> None:
    for user in security.get_all_users():
        if user.email.endswith(MAIL) and user.username.lower() not in named:
            user.active, user.roles = False, []
            security.update_user(user)


def _reading() -> list[tuple[str, str]]:
    return [(permissions.ACTION_CAN_READ, resource) for resource in READER_RESOURCES]

"""Airflow's users where they stand in the metadata database: the FAB auth manager.

Imports airflow: to be imported once the environment is entered and the tables are there.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.providers.fab.www.security import permissions

from dags.accounts import READER

ROLES = {"viewer": "Viewer", "user": "User", "op": "Op", "admin": "Admin"}
# Of the account that reads who answered what: a viewer would read logs and XComs as well.
READER_ROLE = "EquipoiseReader"
READER_RESOURCES = (
    permissions.RESOURCE_DAG,
    permissions.RESOURCE_DAG_RUN,
    permissions.RESOURCE_TASK_INSTANCE,
    permissions.RESOURCE_HITL_DETAIL,
)


def make_users(users: Mapping[str, str], passwords: Path) -> None:
    """Make each user that is not there; each gets the role and the password of now.

    Args:
        users: name -> role, one of accounts.ROLES.
        passwords: JSON, name -> password.
    """
    known: dict[str, str] = json.loads(passwords.read_text())
    with get_application_builder() as builder:
        security = builder.sm
        security.bulk_sync_roles([{"role": READER_ROLE, "perms": _reading()}])
        for name, role in users.items():
            wanted = READER_ROLE if name == READER else ROLES[role]
            _make_user(security, name, wanted, known[name])


def _make_user(security: Any, name: str, role: str, password: str) -> None:
    found = security.find_user(username=name)
    if found is None:
        mail = f"{name}@equipoise.invalid"
        security.add_user(name, name, "-", mail, security.find_role(role), password=password)
        return
    found.roles = [security.find_role(role)]
    security.update_user(found)
    security.reset_password(found.id, password)


def _reading() -> list[tuple[str, str]]:
    return [(permissions.ACTION_CAN_READ, resource) for resource in READER_RESOURCES]

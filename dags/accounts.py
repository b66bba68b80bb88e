"""Who may log in to Airflow's page on this machine, and the account that reads the answers."""

import json
import os
import re
import secrets
from collections.abc import Collection, Mapping
from pathlib import Path

from pipelines.errors import StudyInvalid

USER = "admin"
# Reads the API's record of who answered what, and may do nothing else.
READER = "equipoise-reader"
ROLES = ("viewer", "user", "op", "admin")
# Whoever starts a training cannot approve it: there must be a second person.
DEFAULT_USERS = "approver:user"


def accounts() -> dict[str, str]:
    """Name -> role: the administrator, those whom ``EQUIPOISE_AIRFLOW_USERS`` names, the reader.

    Raises:
        StudyInvalid: the variable is no list of ``name:role``.
    """
    users = {USER: "admin"}
    for each in os.environ.get("EQUIPOISE_AIRFLOW_USERS", DEFAULT_USERS).split(","):
        name, _, role = each.strip().partition(":")
        if re.fullmatch(r"[A-Za-z0-9._@-]+", name) is None or role not in ROLES or name == READER:
            raise StudyInvalid(
                "EQUIPOISE_AIRFLOW_USERS is no list of users.",
                where="the environment",
                remedy=f"Write `name:role, name:role` with roles of {', '.join(ROLES)}.",
            )
        users[name] = role
    return users | {READER: "viewer"}


def write_passwords(users: Mapping[str, str], passwords: Path, reader: Path) -> None:
    """Give every user a password that has none; the reader's is also where tasks look for it."""
    known = read_passwords(passwords)
    keep_passwords(known | new_passwords(users, known), passwords, reader)


def read_passwords(passwords: Path) -> dict[str, str]:
    """Name -> password, of everybody who was ever given one here."""
    known: dict[str, str] = json.loads(passwords.read_text()) if passwords.exists() else {}
    return known


def new_passwords(users: Collection[str], known: Collection[str]) -> dict[str, str]:
    """Name -> a password, of every user that has none; nothing is written."""
    return {name: secrets.token_urlsafe(18) for name in users if name not in known}


def keep_passwords(words: Mapping[str, str], passwords: Path, reader: Path) -> None:
    """Write who has which password, and the reader's where tasks look for it."""
    if words != read_passwords(passwords):
        write_secret(passwords, json.dumps(dict(words)))
    account = json.dumps({"username": READER, "password": words[READER]})
    if not reader.exists() or reader.read_text() != account:
        write_secret(reader, account)


def write_secret(file: Path, text: str) -> None:
    """Write a file that its owner alone can read, at no moment wider."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    draft.replace(file)

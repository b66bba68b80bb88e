"""What a service starts with: its environment, what Airflow makes of it, and the files it names."""

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dags.production_services import Service

METADATA = (("database", "sql_alchemy_conn"), ("database", "sql_alchemy_conn_async"))
RESULTS = ("celery", "result_backend")
# What a worker has in place of the metadata: an empty database in its own memory.
NO_METADATA = "sqlite://"
PREDICTIONS = "EQUIPOISE_DATABASE_URL"
SUPERUSER = "EQUIPOISE_SUPERUSER_URL"
BACKUP = "EQUIPOISE_BACKUP_URL"
ALERTS = ("EQUIPOISE_ALERT_WEBHOOK", "EQUIPOISE_ALERT_SMTP")
BROKER = ("celery", "broker_url")
FILE_VARIABLES = (
    f"{PREDICTIONS}_FILE",
    f"{SUPERUSER}_FILE",
    f"{BACKUP}_FILE",
    *(f"{name}_FILE" for name in ALERTS),
    "AWS_SHARED_CREDENTIALS_FILE",
    "AIRFLOW__API__SSL_KEY",
)


@dataclass(frozen=True)
class Configuration:
    """What a service of this installation starts with.

    option: Airflow's value of (section, key), from wherever it takes it; empty if there is none.
    sensitive: Airflow's options that hold secrets, as (section, key).
    service: what the service that is started cannot do without.
    says_where: whether its command says by itself where to listen.
    """

    environment: Mapping[str, str]
    option: Callable[[str, str], str]
    sensitive: tuple[tuple[str, str], ...]
    secrets_folder: Path
    service: Service
    says_where: bool = False

    def databases(self) -> dict[str, str]:
        """Setting -> the address of each database that the service needs or is given."""
        airflows = [each for each in (*METADATA, RESULTS) if self._has(*each)]
        needed = {variable(*each): self.option(*each) for each in airflows}
        for name in (PREDICTIONS, SUPERUSER, BACKUP):
            address = self._written(name)
            if address or (name == PREDICTIONS and self.service.predictions):
                needed[f"{name}_FILE"] = address
        return needed

    def addresses(self) -> dict[str, str]:
        """Setting -> the address of a server, the broker's too."""
        if not self._has(*BROKER):
            return self.databases()
        return self.databases() | {variable(*BROKER): self.option(*BROKER)}

    def is_given(self, section: str, key: str) -> bool:
        """Whether the environment gives the option, or says where it is."""
        name = variable(section, key)
        given = (self.environment.get(f"{name}{end}") for end in ("", "_CMD", "_SECRET"))
        return any(each and each != NO_METADATA for each in given)

    def users(self) -> dict[str, str]:
        """Name -> first password; none before init has run."""
        try:
            known: dict[str, str] = json.loads(self._password_file().read_text())
        except (OSError, ValueError):
            return {}
        return known

    def secret_files(self) -> Iterator[tuple[str, Path]]:
        """(setting, file) of each secret in a file, as far as a setting says which."""
        for section, key in self.sensitive:
            name = f"{variable(section, key)}_CMD"
            if file := read_by(self.environment.get(name, "")):
                yield name, file
        for name in FILE_VARIABLES:
            if self.environment.get(name):
                yield name, Path(self.environment[name])
        for made in (self._password_file(), self.secrets_folder / "airflow_reader.json"):
            if made.exists():
                yield "EQUIPOISE_HOME", made

    def _has(self, section: str, key: str) -> bool:
        is_metadata = (section, key) in METADATA
        needed = self.service.metadata if is_metadata else self.service.queue
        return needed or self.is_given(section, key)

    def _written(self, name: str) -> str:
        try:
            file = Path(self.environment[f"{name}_FILE"])
            return file.read_text(encoding="utf-8").strip()
        except (KeyError, OSError, UnicodeError):
            return self.environment.get(name, "")

    def _password_file(self) -> Path:
        return self.secrets_folder / "airflow_passwords.json"


def variable(section: str, key: str) -> str:
    """The environment's name of an option of Airflow."""
    return f"AIRFLOW__{section.upper()}__{key.upper()}"


def read_by(command: str) -> Path | None:
    """The file that a command prints; None if it does anything else, and what is not known."""
    words = shlex.split(command)
    return Path(words[1]) if len(words) == 2 and Path(words[0]).name == "cat" else None

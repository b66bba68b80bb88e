"""What a service starts with: its environment, what Airflow makes of it, and the files it names."""

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

DATABASES = (
    ("database", "sql_alchemy_conn"),
    ("database", "sql_alchemy_conn_async"),
    ("celery", "result_backend"),
)
PREDICTIONS = "EQUIPOISE_DATABASE_URL"
BROKER = ("celery", "broker_url")
FILE_VARIABLES = (
    f"{PREDICTIONS}_FILE",
    "EQUIPOISE_SUPERUSER_URL_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AIRFLOW__API__SSL_KEY",
)


@dataclass(frozen=True)
class Configuration:
    """What a service of this installation starts with.

    option: Airflow's value of (section, key), from wherever it takes it; empty if there is none.
    sensitive: Airflow's options that hold secrets, as (section, key).
    serves_web: whether the service is the api-server.
    """

    environment: Mapping[str, str]
    option: Callable[[str, str], str]
    sensitive: tuple[tuple[str, str], ...]
    secrets_folder: Path
    serves_web: bool

    def databases(self) -> dict[str, str]:
        """Setting -> the address of a database, empty if none is given."""
        of_airflow = {variable(*each): self.option(*each) for each in DATABASES}
        return of_airflow | {f"{PREDICTIONS}_FILE": self._predictions()}

    def addresses(self) -> dict[str, str]:
        """Setting -> the address of a server, the broker's too."""
        return self.databases() | {variable(*BROKER): self.option(*BROKER)}

    def is_given(self, section: str, key: str) -> bool:
        """Whether the environment gives the option, or says where it is."""
        name = variable(section, key)
        return any(self.environment.get(f"{name}{end}") for end in ("", "_CMD", "_SECRET"))

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
            words = shlex.split(self.environment.get(name, ""))
            if len(words) == 2 and Path(words[0]).name == "cat":
                yield name, Path(words[1])
        for name in FILE_VARIABLES:
            if self.environment.get(name):
                yield name, Path(self.environment[name])
        for file in (self._password_file(), self.secrets_folder / "airflow_reader.json"):
            if file.exists():
                yield "EQUIPOISE_HOME", file

    def _predictions(self) -> str:
        try:
            file = Path(self.environment[f"{PREDICTIONS}_FILE"])
            return file.read_text(encoding="utf-8").strip()
        except (KeyError, OSError, UnicodeError):
            return self.environment.get(PREDICTIONS, "")

    def _password_file(self) -> Path:
        return self.secrets_folder / "airflow_passwords.json"


def variable(section: str, key: str) -> str:
    """The environment's name of an option of Airflow."""
    return f"AIRFLOW__{section.upper()}__{key.upper()}"


def asked(address: str, name: str) -> str:
    """What an address asks for; of a name that stands twice the last counts."""
    return parse_qs(urlsplit(address).query).get(name, [""])[-1]


def login(address: str) -> tuple[str, str]:
    """Name and password."""
    parts = urlsplit(address)
    return unquote(parts.username or ""), unquote(parts.password or "")

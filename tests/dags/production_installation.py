"""An installation whose settings are sound in production: tests make one of them unsafe."""

import json
import os
import shlex
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from dags.production import this_configuration, unsafe_settings
from dags.production_configuration import NO_METADATA

VERIFIED = "sslmode=verify-full&sslrootcert=/run/tls/ca.crt"
PATTERN = "L4kQ0v-8sZ_{}-TbY2mWc9e"
METADATA = f"airflow:{PATTERN.format('m')}@postgres:5432/airflow"
RESULTS = f"results:{PATTERN.format('r')}@postgres:5432/airflow"
PREDICTIONS = f"pipeline:{PATTERN.format('p')}@postgres:5432/equipoise"
BROKER = f"equipoise:{PATTERN.format('b')}@broker:6379/0"
VERIFIED_BROKER = "ssl_cert_reqs=required&ssl_ca_certs=/run/tls/ca.crt"
SOUND = {
    "metadata_url": f"postgresql+psycopg://{METADATA}?{VERIFIED}",
    "result_backend_url": f"db+postgresql+psycopg://{RESULTS}?{VERIFIED}",
    "predictions_url": f"postgresql://{PREDICTIONS}?{VERIFIED}",
    "broker_url": f"rediss://{BROKER}?{VERIFIED_BROKER}",
    "fernet_key": urlsafe_b64encode(bytes(range(32))).decode(),
    "secret_key": urlsafe_b64encode(bytes(range(32, 64))).decode(),
    "jwt_secret": urlsafe_b64encode(bytes(range(64, 96))).decode(),
    "api.key": "a private key",
}
# Setting -> the file of SOUND that its command reads.
COMMANDS = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": "metadata_url",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC_CMD": "metadata_url",
    "AIRFLOW__CELERY__RESULT_BACKEND_CMD": "result_backend_url",
    "AIRFLOW__CELERY__BROKER_URL_CMD": "broker_url",
    "AIRFLOW__CORE__FERNET_KEY_CMD": "fernet_key",
    "AIRFLOW__API__SECRET_KEY_CMD": "secret_key",
    "AIRFLOW__API_AUTH__JWT_SECRET_CMD": "jwt_secret",
}
METADATA_COMMANDS = [name for name, file in COMMANDS.items() if file == "metadata_url"]
FAB = "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
SIMPLE = "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
USERS = {"admin": PATTERN.format("u"), "approver": PATTERN.format("v")}


class Installation:
    """A folder of secrets and the environment that names them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        for name in os.environ:
            if name.startswith(("AIRFLOW__", "AIRFLOW_CONN", "EQUIPOISE_", "AWS_S", "PG")):
                monkeypatch.delenv(name)
        for file, text in SOUND.items():
            self.write(file, text)
        (folder / "secrets").mkdir()
        self.write("secrets/airflow_passwords.json", json.dumps(USERS))
        for name, file in COMMANDS.items():
            self.set(name, f"cat {folder / file}")
        self.set("AIRFLOW__CORE__AUTH_MANAGER", FAB)
        self.set("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
        self.set("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "https://api-server:8080/execution/")
        self.set("AIRFLOW__API__SSL_CERT", "/run/tls/api.crt")
        self.set("AIRFLOW__API__SSL_KEY", str(folder / "api.key"))
        self.set("EQUIPOISE_DATABASE_URL_FILE", str(folder / "predictions_url"))
        self.set("EQUIPOISE_HOME", str(folder))

    def write(self, file: str, text: str) -> None:
        path = self.folder / file
        path.write_text(text)
        path.chmod(0o600)

    def set(self, name: str, value: str) -> None:
        self._monkeypatch.setenv(name, value)

    def unset(self, name: str) -> None:
        self._monkeypatch.delenv(name)

    def refused(self, command: str = "airflow api-server") -> list[tuple[str, str]]:
        """(where, cause) of each setting that is unsafe for the service of a command."""
        with self._monkeypatch.context() as own:
            if "celery worker" in command:
                for name in METADATA_COMMANDS:
                    own.delenv(name, raising=False)
                own.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", NO_METADATA)
            return self.refused_as_it_is(command)

    def refused_as_it_is(self, command: str) -> list[tuple[str, str]]:
        """The same, where a worker knows the metadata too."""
        found = unsafe_settings(this_configuration(shlex.split(command)))
        return [(unsafe.where, unsafe.cause) for unsafe in found]

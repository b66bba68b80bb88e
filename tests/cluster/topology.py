"""docker-compose.yml's services as processes of this machine, each in a session of its own."""

import json
import os
import secrets
import signal
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from dags.processes import Service, stop
from dags.production_configuration import NO_METADATA
from tests.cluster.broker import Broker, own_broker
from tests.cluster.networks import Machine
from tests.cluster.settings import HERE, clean_environment, hurried, secret
from tests.cluster.small_study import write_people
from tests.dags.installations import ROOT, python
from tests.faults.airflow_services import Airflow, free_port, wait_for
from tests.publication.servers import Server, own_server
from tests.security.watching import running_processes

SKIP = "--skip-serve-logs"
WORKERS = {"worker-cpu": ("default", 2), "worker-gpu-1": ("gpu", 1), "worker-gpu-2": ("gpu", 1)}
COMMANDS = {
    "api-server": ["api-server"],
    "scheduler": ["scheduler", SKIP],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", SKIP],
    **{
        name: ["celery", "worker", SKIP, "-q", queue, "-c", str(slots), "-H", name]
        for name, (queue, slots) in WORKERS.items()
    },
}


@dataclass
class Cluster:
    """The servers, the services and the way in; ``env`` is what every service is given."""

    home: Path
    env: dict[str, str]
    postgres: Server
    broker: Broker
    airflow: Airflow
    # The machine that runs the worker of the default queue, if it is not this one.
    machine: Machine | None = None

    def service(self, name: str) -> Service:
        return Service(name, self.home / "services")

    @property
    def services(self) -> list[Service]:
        return [self.service(name) for name in COMMANDS]

    def start(self, name: str) -> None:
        """Start a service as its container would: with a name and an AIRFLOW_HOME of its own."""
        folder = self.home / "hosts" / name
        folder.mkdir(parents=True, exist_ok=True)
        environment = self.env | {"AIRFLOW_HOME": str(folder), "CLUSTER_HOST": name}
        # Known to the set-up alone.
        del environment["EQUIPOISE_SUPERUSER_URL_FILE"]
        if name in WORKERS:
            del environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD"]
            environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = NO_METADATA
        there = self.machine.prefix if self.machine and name == "worker-cpu" else []
        command = [*there, sys.executable, "-m", "airflow", *COMMANDS[name]]
        self.service(name).start(command, environment)

    def log(self, name: str) -> str:
        return self.service(name).log_file.read_text(errors="replace")

    def is_healthy(self) -> bool:
        try:
            parts = self.airflow.ask("/api/v2/monitor/health", by="nobody")
        except OSError:
            return False
        names = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        return all((parts.get(name) or {}).get("status") == "healthy" for name in names)

    def has_workers(self) -> bool:
        """Whether every worker has said that it is ready since it was last started."""
        return all(
            self.log(name).rpartition("-------------- celery@")[2].count(" ready.")
            for name in WORKERS
        )

    def sql(self, query: str, database: str = "airflow") -> list[tuple[object, ...]]:
        """Ask as the superuser, past every right."""
        with psycopg.connect(make_conninfo(self.postgres.url, dbname=database)) as connection:
            return connection.execute(query).fetchall()


@contextmanager
def cluster(
    folder: Path,
    settings: Mapping[str, str] | None = None,
    machine: Machine | None = None,
) -> Iterator[Cluster]:
    """Databases, broker and services, prepared and healthy; all ended without rest.

    It has the small study's records and no study: a Flow brings its own.

    Args:
        settings: in place of the shipped ones with their timeouts scaled down.
        machine: runs the worker of the default queue, and reaches all else over its cable.
    """
    host = machine.host if machine else "127.0.0.1"
    home = folder / "home"
    (folder / "studies").mkdir()
    write_people(folder / "data")
    with own_server(host, free_port()) as postgres, own_broker(folder / "broker", host) as broker:
        port = free_port()
        url = f"http://{host}:{port}"
        env = _environment(home, postgres, broker, url)
        env |= dict(settings or hurried()) | {"AIRFLOW__API__HOST": host}
        airflow = Airflow(home, env, url)
        made = Cluster(home, env, postgres, broker, airflow, machine)
        code, said, errors = python("-m", "dags.cluster", "init", env=env, timeout_s=600)
        assert code == 0, said + errors
        try:
            for name in COMMANDS:
                made.start(name)
            wait_for(made.is_healthy)
            wait_for(made.has_workers)
            log_in(airflow)
            yield made
        finally:
            stop(made.services, patience_seconds=8)
            # What outlived a parent that a strike killed, of whose service another was started.
            for process, *_ in running_processes(home):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)


def log_in(airflow: Airflow) -> None:
    passwords = json.loads((airflow.home / "secrets" / "airflow_passwords.json").read_text())
    for name, password in passwords.items():
        airflow.log_in(name, password)


def _environment(home: Path, postgres: Server, broker: Broker, url: str) -> dict[str, str]:
    """What docker-compose.yml gives its services: hosts, paths, and files of secrets."""
    folder = home.parent / "secrets"
    server = f"{postgres.address}:{postgres.port}"
    metadata = f"airflow:{secrets.token_hex(8)}@{server}/airflow"
    results = f"results:{secrets.token_hex(8)}@{server}/airflow"
    pipeline = f"pipeline:{secrets.token_hex(8)}@{server}/equipoise"
    secret(folder, "predictions_url", f"postgresql://{pipeline}")
    secret(folder, "superuser_url", postgres.url)
    return clean_environment() | {
        "EQUIPOISE_HOME": str(home),
        "EQUIPOISE_STUDIES": str(home.parent / "studies"),
        "EQUIPOISE_DATA": str(home.parent / "data"),
        "EQUIPOISE_DATABASE_URL_FILE": str(folder / "predictions_url"),
        "EQUIPOISE_SUPERUSER_URL_FILE": str(folder / "superuser_url"),
        "AIRFLOW_HOME": str(home / "airflow"),
        "CLUSTER_HOST": "init",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "airflow" / "logs"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": (
            "admin:admin,approver:user,equipoise-reader:viewer"
        ),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(
            home / "secrets" / "airflow_passwords.json"
        ),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__PORT": url.rpartition(":")[2],
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": secret(
            folder, "metadata_url", f"postgresql+psycopg2://{metadata}"
        ),
        "AIRFLOW__CELERY__RESULT_BACKEND_CMD": secret(
            folder, "result_backend_url", f"db+postgresql+psycopg2://{results}"
        ),
        "AIRFLOW__CELERY__BROKER_URL_CMD": secret(folder, "broker_url", broker.url),
        "AIRFLOW__CORE__FERNET_KEY_CMD": secret(
            folder, "fernet_key", urlsafe_b64encode(secrets.token_bytes(32)).decode()
        ),
        "AIRFLOW__API__SECRET_KEY_CMD": secret(folder, "secret_key", secrets.token_hex(32)),
        "AIRFLOW__API_AUTH__JWT_SECRET_CMD": secret(folder, "jwt_secret", secrets.token_hex(32)),
        "OMP_NUM_THREADS": "1",
        "POLARS_MAX_THREADS": "1",
        **HERE,
    }

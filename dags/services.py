"""``python -m dags.services up|down|status|airflow …``: Airflow's services on this machine.

SQLite, LocalExecutor and the SimpleAuthManager: one machine, one team. ``EQUIPOISE_WEB_PORT``
(default 8080) is the only port, on 127.0.0.1; ``EQUIPOISE_AIRFLOW_USERS`` names who may answer.
``airflow WORDS…`` calls Airflow's own command on the database and with the keys of these services;
called by itself it would make and change another installation, in ``~/airflow``.
"""

import argparse
import json
import os
import secrets
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import urlsafe_b64encode
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from socket import AF_INET, SOCK_STREAM, socket

from dags.accounts import READER, accounts, write_passwords, write_secret
from dags.environment import airflow_environment, enter
from dags.processes import Service, stop
from pipelines.errors import EquipoiseError
from pipelines.settings import settings

HOST = "127.0.0.1"
READY_SECONDS = 300.0
TASKS_AT_ONCE = 4


class ServicesFailed(EquipoiseError):
    """Airflow's services could not be started on this machine."""

    exit_code = 42


def main(arguments: list[str] | None = None) -> int:
    """Start, stop or show the services; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dags.services", description=__doc__)
    parser.add_argument("what", choices=["up", "down", "status", "airflow"])
    parser.add_argument("words", nargs=argparse.REMAINDER, help="what Airflow's command is told")
    asked = parser.parse_args(arguments)
    if asked.words and asked.what != "airflow":
        parser.error(f"`{asked.what}` takes no further words")
    try:
        if asked.what == "airflow":
            return airflow(asked.words)
        return {"up": up, "down": down, "status": status}[asked.what]()
    except EquipoiseError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def up() -> int:
    """Start what does not run yet and wait until all of it is healthy."""
    wanted = [service for service in services() if service.leader() is None]
    if wanted:
        _start(wanted)
    names = ", ".join(name for name in accounts() if name != READER)
    print(f"Airflow: {url()}  users {names}; passwords in {password_file()}")
    return 0


def _start(wanted: list[Service]) -> None:
    if any(service.name == "api-server" for service in wanted):
        _require_free_port()
    # Whatever an earlier service left behind would work beside the new one.
    stop(wanted, patience_seconds=4)
    environment = _environment()
    prepare(environment)
    for service in wanted:
        command = [sys.executable, "-m", "airflow", service.name, *ARGUMENTS[service.name]]
        service.start(command, environment)
    try:
        _wait_until_healthy()
    except BaseException:
        stop(wanted)
        raise


def down() -> int:
    """Stop every service with all it started."""
    stop(services())
    left = [service.name for service in services() if service.members()]
    print("stopped" if not left else f"still running: {', '.join(left)}")
    return 1 if left else 0


def status() -> int:
    """One line per service; 0 if all live."""
    for service in services():
        leader = service.leader()
        print(f"{service.name:14} {f'pid {leader}' if leader else 'down':10} {service.log_file}")
    return 0 if all(service.leader() for service in services()) else 1


def airflow(words: list[str]) -> int:
    """Call Airflow's own command as the services would; returns its exit code."""
    command = [sys.executable, "-m", "airflow", *words]
    return subprocess.run(command, env=_environment(), check=False).returncode


def services() -> list[Service]:
    """The four processes, in the order they are started."""
    folder = settings().airflow_home / "services"
    return [Service(name, folder) for name in ARGUMENTS]


def url() -> str:
    """Where the web page and the API are."""
    return f"http://{HOST}:{_port()}"


def password_file() -> Path:
    """JSON: user -> password; a new user is added at a start; readable by its owner alone."""
    return settings().secrets_dir / "airflow_passwords.json"


def prepare(environment: dict[str, str]) -> None:
    """Create or migrate the metadata database, and the pool that training waits in."""
    enter(environment)
    log = settings().airflow_home / "services" / "prepare.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as stream, redirect_stdout(stream), redirect_stderr(stream):
        from dags.pools import migrate_with_pools

        migrate_with_pools()


def _environment() -> dict[str, str]:
    environment = os.environ | airflow_environment(_database()) | _service_environment()
    # A flow under the scheduler is no run of whoever started the services.
    for name in ("EQUIPOISE_RUN", "EQUIPOISE_PERSON"):
        environment.pop(name, None)
    return environment


def _service_environment() -> dict[str, str]:
    """Secrets are named by the command that reads them: no task inherits them in its variables."""
    users = accounts()
    write_passwords(users, password_file(), settings().secrets_dir / "airflow_reader.json")
    return {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{n}:{r}" for n, r in users.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(password_file()),
        "AIRFLOW__CORE__PARALLELISM": str(TASKS_AT_ONCE),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url()}/execution/",
        "AIRFLOW__CORE__FERNET_KEY_CMD": _reading("airflow_fernet_key"),
        "AIRFLOW__API__BASE_URL": url(),
        "AIRFLOW__API__HOST": HOST,
        "AIRFLOW__API__PORT": str(_port()),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY_CMD": _reading("airflow_secret_key"),
        "AIRFLOW__API_AUTH__JWT_SECRET_CMD": _reading("airflow_jwt_secret"),
    }


# The scheduler and the triggerer would each open a port to serve logs that lie on this disk.
ARGUMENTS = {
    "api-server": [],
    "scheduler": ["--skip-serve-logs"],
    "dag-processor": [],
    "triggerer": ["--skip-serve-logs"],
}


def _database() -> Path:
    return settings().airflow_home / "airflow.db"


def _port() -> int:
    text = os.environ.get("EQUIPOISE_WEB_PORT", "8080")
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ServicesFailed(
            "EQUIPOISE_WEB_PORT is no port.",
            where="the environment",
            remedy="Set it to a number from 1 to 65535, or not at all: 8080 is the default.",
        )
    return int(text)


def _reading(name: str) -> str:
    """The command that prints a secret, which is made if there is none."""
    file = settings().secrets_dir / name
    if not file.exists():
        # 32 bytes in URL-safe base64 are what a Fernet key is.
        write_secret(file, urlsafe_b64encode(secrets.token_bytes(32)).decode())
    return f"cat {shlex.quote(str(file))}"


def _require_free_port() -> None:
    with closing(socket(AF_INET, SOCK_STREAM)) as probe:
        if probe.connect_ex((HOST, _port())) == 0:
            raise ServicesFailed(
                f"Port {_port()} is in use.",
                where=url(),
                remedy="Stop what listens there, or set EQUIPOISE_WEB_PORT to a free port.",
            )


def _wait_until_healthy() -> None:
    ends = time.monotonic() + READY_SECONDS
    while time.monotonic() < ends:
        dead = [service for service in services() if service.leader() is None]
        if dead:
            raise _not_ready(f"{dead[0].name} ended at once.", dead[0].log_file)
        if set(health().values()) == {"healthy"}:
            return
        time.sleep(0.5)
    ill = [name for name, state in health().items() if state != "healthy"] or ["api-server"]
    raise _not_ready(
        f"Not healthy after {READY_SECONDS:.0f} s: {', '.join(ill)}.", services()[0].folder
    )


def health() -> dict[str, str | None]:
    """The state of each part as the api-server tells it; empty while it does not answer."""
    try:
        with urllib.request.urlopen(f"{url()}/api/v2/monitor/health", timeout=5) as answer:  # noqa: S310 - our own http address
            return {name: part["status"] for name, part in json.load(answer).items()}
    except (urllib.error.URLError, OSError, ValueError):
        return {}


def _not_ready(cause: str, log: Path) -> ServicesFailed:
    return ServicesFailed(cause, where=str(log), remedy="Read that log; then `make up` again.")


if __name__ == "__main__":
    sys.exit(main())

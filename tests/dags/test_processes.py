"""Services end with everything they started, and nothing else ends with them."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dags.processes import Service, stop
from tests.dags.installations import environment, python, write_studies

# A process whose child has a process group of its own and does not listen to SIGTERM.
STUBBORN = """
import os, signal, subprocess, sys, time
child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
print(subprocess.Popen([sys.executable, "-c", child], process_group=0).pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service("stubborn", tmp_path)
    yield service
    service.signal(signal.SIGKILL)
    _reap()


def wait_for(what: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not what():
        assert time.monotonic() < ends, "waited for too long"
        time.sleep(0.05)


def _reap() -> None:
    """Collect ended children of this process: in life the init process does."""
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            continue
    except ChildProcessError:
        return


def test_a_child_in_another_group_that_ignores_the_request_is_ended_too(service: Service) -> None:
    service.start([sys.executable, "-c", STUBBORN], os.environ)
    # The child is there before its pid is told.
    wait_for(lambda: len(service.members()) == 2 and service.log_file.read_text().endswith("\n"))
    child = int(service.log_file.read_text())
    assert child in service.members()
    stop([service], patience_seconds=2)
    assert service.members() == []
    assert not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text()
    assert not service.pid_file.exists()


def test_what_outlives_its_leader_is_still_known_and_ended(service: Service) -> None:
    service.start([sys.executable, "-c", STUBBORN], os.environ)
    wait_for(lambda: len(service.members()) == 2)
    leader = service.leader()
    assert leader is not None
    os.kill(leader, signal.SIGKILL)
    wait_for(lambda: service.leader() is None)
    assert len(service.members()) == 1
    stop([service], patience_seconds=2)
    assert service.members() == []


def test_a_pid_that_was_given_to_another_process_is_left_alone(service: Service) -> None:
    service.folder.mkdir(exist_ok=True)
    service.pid_file.write_text(f"{os.getpid()} 1")
    assert service.leader() is None
    assert service.members() == []
    stop([service], patience_seconds=1)


def test_starting_on_a_port_in_use_says_so_with_a_code_of_its_own(tmp_path: Path) -> None:

    studies = write_studies(tmp_path / "studies")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        env = environment(tmp_path / "home", studies) | {"EQUIPOISE_WEB_PORT": port}
        code, _, errors = python("-m", "dags.services", "up", env=env)
    assert code == 42
    assert f"Port {port} is in use." in errors
    assert "EQUIPOISE_WEB_PORT" in errors


def test_a_port_that_is_none_is_refused_in_words(tmp_path: Path) -> None:
    studies = write_studies(tmp_path / "studies")
    env = environment(tmp_path / "home", studies) | {"EQUIPOISE_WEB_PORT": "http"}
    code, _, errors = python("-m", "dags.services", "up", env=env)
    assert (code, errors.splitlines()[0]) == (42, "EQUIPOISE_WEB_PORT is no port.")


def test_airflows_own_command_works_on_the_services_database_with_their_key(
    tmp_path: Path,
) -> None:
    home = tmp_path / "home"
    env = environment(home, write_studies(tmp_path / "studies")) | {"HOME": str(tmp_path)}
    del env["AIRFLOW_HOME"]
    asked = {"database": "sql_alchemy_conn", "core": "fernet_key"}
    found = {
        section: python(
            "-m", "dags.services", "airflow", "config", "get-value", section, option, env=env
        )[1].split()[-1]
        for section, option in asked.items()
    }
    assert found == {
        "database": f"sqlite:///{home}/airflow/airflow.db",
        "core": (home / "secrets" / "airflow_fernet_key").read_text(),
    }
    assert not (tmp_path / "airflow").exists()
    assert python("-m", "dags.services", "down", "now", env=env)[0] == 2

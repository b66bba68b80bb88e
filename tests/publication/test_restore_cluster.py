"""A cluster restored by its superuser: the database is made, and nothing refuses late."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from socket import create_server

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from typer.testing import CliRunner

from pipelines.backup import back_up
from pipelines.cli import app
from pipelines.errors import BackupInvalid, DatabaseUnavailable, EquipoiseError
from pipelines.publication.postgres.cluster_databases import make_databases
from pipelines.publication.postgres.dump import as_superuser, make_database
from pipelines.publication.store import open_store
from pipelines.releases import current_release, record_release
from pipelines.restore import restore
from pipelines.settings import Settings, settings
from pipelines.stage import store as artefacts
from tests.pipelines.publication_examples import STUDY, predictions, publication, release
from tests.publication.servers import Server, database, login, own_server, pipeline_login

pytestmark = pytest.mark.usefixtures("client_programs")

HOST = "127.0.0.1"
READS_ALL = """
SELECT rolbypassrls, pg_has_role(oid, 'pg_read_all_data', 'USAGE'),
    has_database_privilege(oid, current_database(), 'CONNECT')
FROM pg_roles WHERE rolname = 'backup'
"""


@dataclass(frozen=True)
class Cluster:
    """What its services are given of a server: each URL in a file of its own."""

    server: Server
    folder: Path

    def url(self, name: str, in_database: str = "equipoise") -> str:
        return f"postgresql://{name}:of-{name}@{HOST}:{self.server.port}/{in_database}"

    def init(self) -> None:
        urls = (self.url("airflow", "airflow"), self.url("pipeline"), self.url("backup"))
        make_databases(self.server.url, *urls)

    def file(self, name: str, url: str) -> str:
        file = self.folder / name
        file.touch(mode=0o600)
        file.write_text(f"{url}\n")
        return str(file)

    @contextmanager
    def service(self, home: Path, url: str, superuser: str | None = None) -> Iterator[None]:
        """The environment of a service with this login, in this home."""
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("EQUIPOISE_DATABASE_URL", raising=False)
            patch.setenv("EQUIPOISE_DATABASE_REQUIRED", "1")
            patch.setenv("EQUIPOISE_HOME", str(home))
            patch.setenv("EQUIPOISE_DATABASE_URL_FILE", self.file("url", url))
            if superuser is not None:
                file = self.file("superuser", superuser)
                patch.setenv("EQUIPOISE_SUPERUSER_URL_FILE", file)
            yield


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    with create_server((HOST, 0)) as listening:
        port = int(listening.getsockname()[1])
    folder.mkdir()
    with own_server(HOST, port) as server:
        yield Cluster(server, folder)


def test_a_cluster_comes_back_by_its_superuser_and_its_login_of_the_backup_backs_up_again(
    tmp_path: Path,
) -> None:
    lost, new = tmp_path / "lost home", tmp_path / "new home"
    with cluster(tmp_path / "lost") as before:
        before.init()
        with before.service(lost, before.url("pipeline")):
            record_release(STUDY, release())
            open_store(settings()).publish(publication(1), predictions(1))
            shown = open_store(settings()).read_current(STUDY)
            standing = current_release(STUDY)
        with before.service(lost, before.url("backup")):
            made_by_init(lost, "of the lost one")
            back_up(tmp_path / "backup", artefacts(), settings(), secrets=tmp_path / "keys")

    with cluster(tmp_path / "new") as after:
        made_by_init(new, "of the new one")
        new.chmod(0o770)  # a volume is its group's
        with psycopg.connect(after.server.url) as admin:
            admin.execute("ALTER ROLE postgres PASSWORD 'of-postgres'")
        with after.service(new, after.url("pipeline"), after.url("postgres", "postgres")):
            words = ("restore", str(tmp_path / "backup"), "--secrets", str(tmp_path / "keys"))
            with pytest.MonkeyPatch.context() as patch:
                # The roles are made, and the database is not: the next call names their logins.
                patch.setattr("pipelines.publication.postgres.dump.DUMP", "none")
                patch.setattr("pipelines.restore.require_placeable", make_the_database)
                with pytest.raises(BackupInvalid, match="pg_restore"):
                    restore(tmp_path / "backup", settings(), secrets=tmp_path / "keys")
            said = CliRunner().invoke(app, words)
            assert said.exit_code == 0, (said.output, said.exception)
        assert new.stat().st_mode & 0o777 == 0o770
        assert "these logins have no password yet: backup, pipeline" in said.output
        passwords = new / "secrets" / "airflow_passwords.json"
        assert f"left as it was found: {passwords}" in said.output
        assert passwords.read_text() == "of the new one"

        own = make_conninfo(after.server.url, dbname="equipoise")
        with psycopg.connect(own) as admin:
            assert admin.execute(READS_ALL).fetchall() == [(True, True, True)]
        reader = make_conninfo(own, user="backup")
        with after.service(new, reader):
            back_up(tmp_path / "second", artefacts(), settings(), secrets=None)

        after.init()  # it gives the logins their passwords
        with after.service(new, after.url("pipeline")):
            assert current_release(STUDY) == standing
            assert open_store(settings()).read_current(STUDY).equals(shown)
            open_store(settings()).publish(publication(2), predictions(2))
        with after.service(new, after.url("backup")):
            back_up(tmp_path / "third", artefacts(), settings(), secrets=None)


def make_the_database(_: Path, __: str, installation: Settings) -> None:
    assert installation.superuser_url is not None
    make_database(installation.superuser_url, installation.database_url or "")


def made_by_init(home: Path, words: str) -> None:
    for name in ("secrets/airflow_passwords.json", "airflow/logs/scheduler/latest.log"):
        (home / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        (home / name).write_text(words)
        (home / name).chmod(0o600)


# ---- refused before the first file ---------------------------------------------------------------


@pytest.fixture
def dumped(admin_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The backup of a publication in a server; its home is gone."""
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "lost"))
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", pipeline_login(admin_url))
    record_release(STUDY, release())
    open_store(settings()).publish(publication(1), predictions(1))
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", admin_url)
    back_up(tmp_path / "backup", artefacts(), settings(), secrets=tmp_path / "keys")
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    return tmp_path / "backup"


@pytest.mark.parametrize(
    ("hindered", "error", "words"),
    [
        ("no pg_restore", BackupInvalid, "pg_restore is not on the PATH"),
        ("no server", DatabaseUnavailable, "cannot be used"),
        ("no rights", BackupInvalid, "made by a superuser"),
        ("filled", BackupInvalid, "holds a publication already"),
    ],
)
def test_what_hinders_a_restore_is_found_before_a_file_is_written_and_it_is_called_again(
    dumped: Path,
    admin_url: str,
    server_url: str,
    hindered: str,
    error: type[EquipoiseError],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with database(server_url) as empty:
        urls = {
            "no server": "host=/nowhere dbname=none",
            "no rights": login(empty, "equipoise_test_no_superuser"),
            "filled": admin_url,
        }
        with monkeypatch.context() as patch:
            patch.setenv("EQUIPOISE_DATABASE_URL", urls.get(hindered, empty))
            if hindered == "no pg_restore":
                patch.setenv("PATH", str(dumped))
            with pytest.raises(error, match=words):
                restore(dumped, settings(), secrets=dumped.parent / "keys")
            assert not settings().home.exists()
        monkeypatch.setenv("EQUIPOISE_DATABASE_URL", empty)
        restore(dumped, settings(), secrets=dumped.parent / "keys")
        assert open_store(settings()).verify() == ()


@pytest.mark.parametrize(
    ("superuser", "predictions_url"),
    [
        ("postgresql://postgres@other/postgres", "postgresql://pipeline@host/equipoise"),
        ("postgresql://postgres@host:5433/postgres", "postgresql://pipeline@host/equipoise"),
        ("host=host hostaddr=127.0.0.1", "postgresql://pipeline@host/equipoise"),
    ],
)
def test_a_superuser_of_another_server_restores_nothing(
    superuser: str, predictions_url: str
) -> None:
    with pytest.raises(DatabaseUnavailable, match="another server"):
        as_superuser(superuser, predictions_url)


def test_the_default_port_may_be_said_or_not() -> None:
    restored = as_superuser("postgresql://postgres@host:5432/one", "postgresql://me@host/two")
    assert conninfo_to_dict(restored)["dbname"] == "two"


@pytest.mark.parametrize(
    "url",
    ["postgresq://pipeline:canary-5f1c@host/equipoise", "postgresql://a:canary-5f1c\udc80@h/d"],
)
@pytest.mark.parametrize("with_superuser", [True, False])
def test_what_is_no_url_is_refused_and_its_password_is_not_said(
    dumped: Path, url: str, with_superuser: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if with_superuser:
        (tmp_path / "superuser").touch(mode=0o600)
        (tmp_path / "superuser").write_text("postgresql://postgres@host/postgres")
        monkeypatch.setenv("EQUIPOISE_SUPERUSER_URL_FILE", str(tmp_path / "superuser"))
    installation = replace(settings(), database=url)
    with pytest.raises(DatabaseUnavailable, match="cannot be read") as refused:
        restore(dumped, installation, secrets=None)
    assert "canary" not in str(refused.value)
    assert not installation.home.exists()


def test_what_lies_in_the_way_is_named_by_its_file(
    dumped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = settings().secrets_dir / "pseudonym.key"
    key.parent.mkdir(parents=True)
    key.touch()
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", "host=/nowhere dbname=none")
    with pytest.raises(BackupInvalid) as refused:
        restore(dumped, settings(), secrets=dumped.parent / "keys")
    assert refused.value.where == str(key)

"""Dump, destroy, restore: every answer is the one that it was, and the guards stand again."""

import hashlib
import io
import json
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

from pipelines.artefacts import Recipe
from pipelines.backup import back_up
from pipelines.cli import app
from pipelines.errors import BackupInvalid
from pipelines.publication.crosswalk import read_crosswalk, write_crosswalk
from pipelines.publication.postgres.dump import dump
from pipelines.publication.postgres_setup import set_up
from pipelines.publication.store import PublicationStore, open_store
from pipelines.releases import current_release, record_release, withdraw_release
from pipelines.restore import restore
from pipelines.settings import Settings, settings
from pipelines.stage import store as artefacts
from tests.pipelines.publication_examples import STUDY, predictions, publication, release
from tests.publication.servers import database, database_of, login, own_server, pipeline_login

pytestmark = pytest.mark.usefixtures("client_programs")

KINDS = ("duckdb", "postgres")
DAYS = [date(2020, 1, day) for day in (1, 4, 5, 9, 20)]


def live(store: PublicationStore, home: Settings) -> list[datetime]:
    """Generations, a withdrawal, an erasure; the moments in between."""
    moments = [datetime.now(UTC)]
    people = pl.DataFrame({"subject_id": [1, 2, 3, 4], "source_id": list("abcd")})
    write_crosswalk(STUDY, people, home)
    record_release(STUDY, release())
    for number, day in ((1, 3), (2, 4), (3, 4), (4, 8)):
        store.publish(publication(number, day=day), predictions(number))
        moments.append(datetime.now(UTC))
    withdrawn = store.list_generations(STUDY)[2].generation_id
    store.withdraw(STUDY, "wrong units", "Grace", generation_id=withdrawn)
    moments.append(datetime.now(UTC))
    store.erase_subject(STUDY, 3, "Art. 17", "Grace")
    return [*moments, datetime.now(UTC)]


def answers(store: PublicationStore, moments: list[datetime]) -> dict[str, str]:
    """Every question and the sha256 of its answer's bytes, rows in one order."""
    tables = {
        "current": store.read_current(STUDY),
        "withdrawn": store.read_withdrawn(STUDY),
        **{f"as of {day}": store.read_as_of(STUDY, day) for day in DAYS},
        **{f"seen at {moment}": store.read_seen_at(STUDY, moment) for moment in moments},
    }
    told = {name: _bytes(table) for name, table in tables.items()}
    told["generations"] = "".join(g.model_dump_json() for g in store.list_generations(STUDY))
    told["erasures"] = json.dumps(store.erasures_by_login())
    return {name: hashlib.sha256(str(text).encode()).hexdigest() for name, text in told.items()}


def _bytes(table: pl.DataFrame) -> str:
    stream = io.BytesIO()
    table.sort(table.columns).rechunk().write_ipc(stream)
    return stream.getvalue().hex()


def make_artefacts() -> list[str]:
    """A model and its audit, which stay, and a model that nobody audited, in this order."""

    def write(draft: Path) -> dict[str, int]:
        (draft / "table").write_bytes(b"\x00" * 1000)
        return {}

    model = artefacts().make(Recipe("train_model", {}, {}, {}, {}, {}), write).key
    audit = artefacts().make(Recipe("audit_model", {}, {}, {}, {"model": model}, {}), write).key
    return [
        model,
        audit,
        artefacts().make(Recipe("train_model", {}, {}, {"n": 1}, {}, {}), write).key,
    ]


# ---- destroying ----------------------------------------------------------------------------------

Destroy = Callable[[], Settings]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def installation(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Settings, Destroy]]:
    """An installation, and what takes all of it away and leaves an empty one of the same kind.

    The backup of a server is made by a login that may read all and change nothing; the new server
    has no role and no database of ours.
    """
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EQUIPOISE_DATABASE_URL", raising=False)
    if kind == "duckdb":

        def lose_files() -> Settings:
            shutil.rmtree(tmp_path / "home")
            monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "new home"))
            return settings()

        yield settings(), lose_files
        return
    admin_url = request.getfixturevalue("admin_url")
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", pipeline_login(admin_url))
    with own_server() as other, database(other.url) as empty:

        def lose_server() -> Settings:
            with psycopg.connect(admin_url) as admin:
                admin.execute("DROP SCHEMA equipoise CASCADE")
            lost = settings()
            shutil.rmtree(tmp_path / "home")
            monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "new home"))
            monkeypatch.setenv("EQUIPOISE_DATABASE_URL", empty)
            assert lost.home != settings().home
            return settings()

        yield settings(), lose_server


def as_backup_login(kind: str, request: pytest.FixtureRequest, patch: pytest.MonkeyPatch) -> None:
    if kind == "postgres":
        admin_url = request.getfixturevalue("admin_url")
        url = login(admin_url, "equipoise_test_backup", "pg_read_all_data")
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute("ALTER ROLE equipoise_test_backup BYPASSRLS")
            # CONNECT was taken from everybody.
            admin.execute(
                f'GRANT CONNECT ON DATABASE "{database_of(admin_url)}" TO equipoise_test_backup'
            )
        patch.setenv("EQUIPOISE_DATABASE_URL", url)


GUARDS = """
SELECT 'trigger', tgrelid::regclass::text, pg_get_triggerdef(oid)
FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'policy', tablename, concat_ws(' ', policyname, roles::text, cmd, qual, with_check)
FROM pg_policies
UNION ALL SELECT 'constraint', conrelid::regclass::text, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'equipoise'::regnamespace
UNION ALL SELECT 'right', relname, concat_ws(' ', relrowsecurity, relforcerowsecurity,
    relowner::regrole, (SELECT array_agg(each ORDER BY each) FROM
        (SELECT unnest(relacl)::text AS each) AS one))
FROM pg_class WHERE relnamespace = 'equipoise'::regnamespace AND relkind IN ('r', 'v')
UNION ALL SELECT 'function', oid::regprocedure::text, concat_ws(' ', prosecdef, proconfig::text,
    md5(prosrc), proowner::regrole, (SELECT array_agg(each ORDER BY each) FROM
        (SELECT unnest(proacl)::text AS each) AS one))
FROM pg_proc WHERE pronamespace = 'equipoise'::regnamespace
UNION ALL SELECT 'member', member::regrole::text, roleid::regrole::text
FROM pg_auth_members WHERE roleid::regrole::text LIKE 'equipoise\\_%'
    AND member::regrole::text = 'equipoise_test_pipeline'
ORDER BY 1, 2, 3
"""


def guards(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        connection.execute("SET search_path = pg_catalog")
        found = connection.execute(GUARDS).fetchall()
    return sorted((kind, of, _without_casts(words)) for kind, of, words in found)


def _without_casts(words: str) -> str:
    """PostgreSQL says a cast of a list, and a list of casts, as the same guard in other words."""
    return re.sub(r"::(text|character varying)(\[\])?|[()]", "", words)


# ---- the test ------------------------------------------------------------------------------------


def test_what_was_dumped_and_destroyed_answers_as_before(
    kind: str,
    installation: tuple[Settings, Destroy],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home, destroy = installation
    moments = live(open_store(home), home)
    model, audit, unused = make_artefacts()
    before, standing = answers(open_store(home), moments), current_release(STUDY)
    admin_url = request.getfixturevalue("admin_url") if kind == "postgres" else ""
    guarded = guards(admin_url) if kind == "postgres" else []

    with monkeypatch.context() as patch:
        as_backup_login(kind, request, patch)
        said = CliRunner().invoke(
            app, ["backup", str(tmp_path / "backup"), "--secrets", str(tmp_path / "keys")]
        )
    assert said.exit_code == 0, said.output
    new = destroy()
    said = CliRunner().invoke(
        app, ["restore", str(tmp_path / "backup"), "--secrets", str(tmp_path / "keys")]
    )
    assert said.exit_code == 0, said.output
    assert "withdraw again" not in said.output

    if kind == "postgres":
        restored = settings().database_url or ""
        assert guards(restored) == guarded
        with psycopg.connect(restored) as admin:
            connects = "SELECT has_database_privilege(%s, current_database(), 'CONNECT')"
            for role, may in (("public", False), ("equipoise_analyst", True)):
                assert admin.execute(connects, (role,)).fetchall() == [(may,)]
        with psycopg.connect(restored) as admin, pytest.raises(psycopg.errors.RestrictViolation):
            admin.execute("UPDATE equipoise.audits SET verdict = 'pass'")
        monkeypatch.setenv(
            "EQUIPOISE_DATABASE_URL", make_conninfo(restored, user="equipoise_test_pipeline")
        )
    store = open_store(new)
    assert answers(store, moments) == before
    assert store.verify() == ()
    assert current_release(STUDY) == standing
    # The tables had erased the third, whose pair a killed erasure had left.
    assert read_crosswalk(STUDY, new)["source_id"].to_list() == list("abd")
    assert "1 pairs are forgotten again" in said.output
    for key in (model, audit):
        artefacts().open(key)
    assert not artefacts().path(unused).exists()

    # Life goes on: whoever was erased stays out, what is new is chained to what was.
    receipt = store.publish(publication(9, day=20), predictions(9))
    assert (receipt.row_count, receipt.left_out) == (3, 1)
    assert set(store.read_current(STUDY)["score"]) == {9.0}
    assert store.verify() == ()
    (new.home / "anchors" / "event_log.jsonl").read_text()


def test_a_withdrawal_that_was_half_done_is_told(
    installation: tuple[Settings, Destroy],
    kind: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home, destroy = installation
    record_release(STUDY, release())
    open_store(home).publish(publication(1), predictions(1))
    withdraw_release(STUDY, "harm", "Grace")  # killed before the predictions were withdrawn
    with monkeypatch.context() as patch:
        as_backup_login(kind, request, patch)
        back_up(tmp_path / "backup", artefacts(), settings(), secrets=None)
    done = restore(tmp_path / "backup", destroy(), secrets=None)
    assert done.half_withdrawn == (STUDY,)


# ---- what is refused -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_backup(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an embedded installation, with its keys beside it."""
    folder = tmp_path_factory.mktemp("backed up")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_HOME", str(folder / "home"))
        patch.delenv("EQUIPOISE_DATABASE_URL", raising=False)
        live(open_store(settings()), settings())
        make_artefacts()
        back_up(folder / "backup", artefacts(), settings(), secrets=folder / "keys")
    return folder


@pytest.fixture
def backed_up(one_backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, and no installation."""
    for name in ("backup", "keys"):
        shutil.copytree(one_backup / name, tmp_path / name)
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EQUIPOISE_DATABASE_URL", raising=False)
    return tmp_path / "backup"


def _flip(file: Path) -> None:
    file.chmod(0o600)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda backup: _flip(backup / "database" / "writer.duckdb"),
        lambda backup: _flip(backup / "records" / "releases" / STUDY / "000001.json"),
        lambda backup: (backup / "anchors" / "event_log.jsonl").unlink(),
        lambda backup: (backup / "records" / "releases" / STUDY / "000002.json").write_text("{}"),
        lambda backup: (backup / "backup.json").unlink(),
        lambda backup: (backup / "backup.json").write_text("{}"),
        lambda backup: shutil.copy(backup.parent / "keys" / "backup.json", backup),
    ],
)
def test_a_backup_that_is_not_whole_is_refused_and_nothing_is_written(
    backed_up: Path, spoil: Callable[[Path], object]
) -> None:
    spoil(backed_up)
    with pytest.raises(BackupInvalid):
        restore(backed_up, settings(), secrets=None)
    assert not settings().home.exists()


@pytest.mark.parametrize("taken", ["releases", "artefacts", "publication", "anchors", "secrets"])
def test_nothing_is_written_over(backed_up: Path, tmp_path: Path, taken: str) -> None:
    (settings().home / taken).mkdir(parents=True)
    (settings().home / taken / "file").touch()
    with pytest.raises(BackupInvalid):
        restore(backed_up, settings(), secrets=tmp_path / "keys")
    assert [path.name for path in settings().home.iterdir()] == [taken]


def test_a_backup_is_never_written_into_another(backed_up: Path, tmp_path: Path) -> None:
    for folder, secrets in ((backed_up, None), (tmp_path / "new", tmp_path / "keys")):
        with pytest.raises(BackupInvalid):
            back_up(folder, artefacts(), settings(), secrets=secrets)


def test_a_file_is_not_restored_into_a_server(
    backed_up: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", "host=/nowhere dbname=none")
    with pytest.raises(BackupInvalid):
        restore(backed_up, settings(), secrets=None)


def test_a_backup_is_its_owners_alone_and_keys_are_apart(backed_up: Path, tmp_path: Path) -> None:
    below = [*backed_up.rglob("*"), *(tmp_path / "keys").rglob("*"), backed_up]
    assert {path.stat().st_mode & 0o777 for path in below if path.is_dir()} == {0o700}
    kept = [path for path in (tmp_path / "keys").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o077 for path in kept} == {0}
    names = {path.name for path in backed_up.rglob("*")}
    assert not names & {"secrets", "crosswalk", "pseudonym.key", "writer.lock"}
    held = b"".join(path.read_bytes() for path in backed_up.rglob("*") if path.is_file())
    for key in (tmp_path / "keys" / "secrets").rglob("*.key"):
        assert key.read_bytes() not in held


def test_without_the_secrets_they_are_not_copied_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("EQUIPOISE_DATABASE_URL", raising=False)
    said = CliRunner().invoke(app, ["backup", str(tmp_path / "backup"), "--no-artefacts"])
    assert said.exit_code == 0
    assert "Keys and crosswalk are not in it" in said.output
    assert "no artefacts, database none" in said.output


SPYING = """#!/bin/sh
env > '{told}'
exec '{binaries}/pg_dump' "$@"
"""


def test_a_password_is_in_no_environment_of_the_servers_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server asks for it, and it holds what the file of passwords must escape."""
    told, programs = tmp_path / "told", tmp_path / "programs"
    programs.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = int(listening.getsockname()[1])
    with own_server("127.0.0.1", port) as server:
        (programs / "pg_dump").write_text(SPYING.format(told=told, binaries=server.binaries))
        (programs / "pg_dump").chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("PGPASSWORD", "of another")
        set_up(server.url)
        url = login(server.url, "backup", "pg_read_all_data", "equipoise_analyst")
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute("ALTER ROLE backup BYPASSRLS PASSWORD 'canary\\:*\\\\word'")
        url = make_conninfo(url, host="127.0.0.1", password="canary\\:*\\\\word")  # noqa: S106
        dump(url, tmp_path)

    assert "PGPASSFILE" in told.read_text()
    assert "canary" not in told.read_text()
    assert (tmp_path / "database.dump").stat().st_size > 1000


def test_without_the_servers_programs_the_remedy_is_said(
    admin_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", admin_url)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupInvalid, match="pg_dump is not on the PATH"):
        back_up(tmp_path / "backup", artefacts(), settings(), secrets=None)

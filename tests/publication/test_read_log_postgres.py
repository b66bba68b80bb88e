"""Who reads predictions stands in the server's own log, which no reader can reach or switch off."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from typer.testing import CliRunner

from pipelines import cli_reads
from pipelines.errors import DatabaseUnavailable
from pipelines.publication.postgres.reads import list_reads
from pipelines.publication.postgres.roles import ROLES
from pipelines.publication.postgres_setup import set_up
from tests.publication.acting import Connection
from tests.publication.servers import login
from tests.publication.test_guards_postgres import insert
from tests.publication.world import WORLD

READER = "equipoise_test_reading"


@pytest.fixture
def log(server_url: str) -> Path:
    file = Path(str(conninfo_to_dict(server_url)["host"])) / "log"
    if not file.exists():
        pytest.skip("the log of a server that the environment names is not here")
    return file


@pytest.fixture
def reader(admin_url: str) -> Iterator[Connection]:
    """An analyst's own connection, to whom the study of the world is granted."""
    with psycopg.connect(admin_url) as admin:
        admin.execute("SET search_path = equipoise")
        for table, row in WORLD.values():
            insert(admin, table, row)
    url = login(admin_url, READER, "equipoise_analyst")
    with psycopg.connect(admin_url) as admin:
        admin.execute("INSERT INTO equipoise.study_grants VALUES (%s, '*')", (READER,))
    with psycopg.connect(url, options="-c search_path=equipoise") as connection:
        yield connection


def reads(log: Path) -> int:
    return log.read_text(errors="replace").count(f"equipoise: {READER} reads predictions")


@pytest.mark.parametrize("ends", [psycopg.Connection.rollback, psycopg.Connection.commit])
def test_a_read_stands_in_the_servers_log_however_its_transaction_ends(
    reader: Connection, log: Path, ends: Callable[[Connection], None]
) -> None:
    before = reads(log)
    found = reader.execute("SELECT subject_id FROM predictions_current").fetchall()
    ends(reader)

    assert found
    assert reads(log) == before + 1


def test_a_reader_who_breaks_the_connection_off_was_written_down(
    reader: Connection, log: Path
) -> None:
    before = reads(log)
    with reader.cursor("all") as cursor:
        cursor.execute("SELECT subject_id FROM predictions")
        assert cursor.fetchone()
        reader.close()

    assert reads(log) == before + 1


@pytest.mark.parametrize(
    "statement",
    [
        "SET log_min_messages = panic",
        "SET LOCAL log_min_messages = panic",
        "SELECT set_config('log_min_messages', 'panic', false)",
        "ALTER ROLE CURRENT_USER SET log_min_messages = panic",
        "SET log_min_error_statement = panic",
        "SELECT pg_rotate_logfile()",
        "SELECT pg_read_file('log')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "CREATE OR REPLACE FUNCTION granted_and_told(relation text) RETURNS text[] "
        "LANGUAGE sql AS $$ SELECT ARRAY['*'] $$",
        "DELETE FROM access_log",
        "TRUNCATE access_log",
    ],
)
def test_a_reader_can_neither_switch_the_log_off_nor_reach_it(
    reader: Connection, statement: LiteralString
) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute(statement)


@pytest.mark.parametrize(
    "statement",
    ["SET client_min_messages = error", "SET plan_cache_mode = force_generic_plan"],
)
def test_what_a_reader_may_set_hides_no_read(
    reader: Connection, log: Path, statement: LiteralString
) -> None:
    before = reads(log)
    reader.execute(statement)
    for _ in range(3):
        reader.execute("SELECT subject_id FROM predictions", prepare=True)
    reader.rollback()

    assert reads(log) == before + 3


def test_the_log_tells_what_was_asked_but_no_parameter(reader: Connection, log: Path) -> None:
    """A pseudonym typed into a statement is in the log; one that is handed over is not."""
    # Both meet a row: a query that meets none may be answered by the index, and leaves no line.
    reader.execute("SELECT split FROM predictions WHERE subject_id <> 1234567")
    reader.execute("SELECT split FROM predictions WHERE subject_id <> %s", (7654321,))
    reader.rollback()
    written = log.read_text(errors="replace")

    assert "STATEMENT:  SELECT split FROM predictions WHERE subject_id <> 1234567" in written
    assert "STATEMENT:  SELECT split FROM predictions WHERE subject_id <> $1" in written
    assert "7654321" not in written


def test_the_planners_statistics_show_a_reader_no_row(reader: Connection, admin_url: str) -> None:
    """ANALYZE keeps the commonest values of every column: row-level security hides them too."""
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("ANALYZE equipoise.predictions")
        asked = "SELECT count(*) FROM pg_stats WHERE schemaname = 'equipoise'"
        ((known,),) = admin.execute(asked).fetchall()
    assert known > 0
    assert reader.execute(asked + " AND tablename = 'predictions'").fetchall() == [(0,)]


def test_an_auditor_is_told_who_read_and_how_many_reads_were_taken_back(
    reader: Connection, admin_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ends in (reader.commit, reader.rollback, reader.commit, reader.commit):
        reader.execute("SELECT subject_id FROM predictions_current")
        ends()
    url = login(admin_url, "equipoise_test_counting", "equipoise_auditor")
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", url)
    (told,), taken_back = list_reads(url)

    assert (told.reader, told.reads, taken_back) == (READER, 3, 1)
    assert told.first_at < told.last_at
    shown = CliRunner().invoke(cli_reads.app).output
    assert READER in shown
    assert "taken back: 1 more" in shown


@pytest.mark.parametrize(("kept", "taken"), [(0, 5), (2, 5), (0, 0)])
def test_reads_that_are_taken_back_after_the_last_one_that_was_kept_are_counted(
    reader: Connection, admin_url: str, kept: int, taken: int
) -> None:
    """No later row shows a gap: the sequence alone knows."""
    for ends in (*[reader.commit] * kept, *[reader.rollback] * taken):
        reader.execute("SELECT subject_id FROM predictions_current")
        ends()
    told, taken_back = list_reads(login(admin_url, "equipoise_test_last", "equipoise_auditor"))

    assert [each.reads for each in told] == ([kept] if kept else [])
    assert taken_back == taken


def test_the_sequence_is_an_auditors_to_read_and_nobodys_to_set(
    reader: Connection, admin_url: str
) -> None:
    """Who could set it back would hide reads; who could spend numbers would feign them."""
    asked = "SELECT has_sequence_privilege(%s, 'equipoise.access_log_read_number_seq', %s)"
    with psycopg.connect(admin_url) as admin:
        for role in ROLES[1:]:
            for right in ("SELECT", "USAGE", "UPDATE"):
                may = (role, right) == ("equipoise_auditor", "SELECT")
                assert admin.execute(asked, (role, right)).fetchall() == [(may,)]


def test_a_database_of_before_gets_the_right_by_being_set_up_again(admin_url: str) -> None:
    url = login(admin_url, "equipoise_test_last", "equipoise_auditor")
    with psycopg.connect(admin_url) as admin:
        admin.execute(
            "REVOKE ALL ON SEQUENCE equipoise.access_log_read_number_seq FROM equipoise_auditor"
        )
    with pytest.raises(DatabaseUnavailable, match="lacks a right"):
        list_reads(url)
    assert set_up(admin_url) == "was there already"
    assert list_reads(url) == ((), 0)


def test_only_an_auditor_is_told_who_read(reader: Connection, admin_url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="lacks a right"):
        list_reads(login(admin_url, READER))


def test_of_files_nobody_knows_who_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EQUIPOISE_DATABASE_URL", raising=False)
    with pytest.raises(DatabaseUnavailable, match="written down by nobody"):
        cli_reads.reads()

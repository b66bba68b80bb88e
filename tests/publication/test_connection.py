"""Which store an installation has, and how its URL is kept."""

import traceback
from pathlib import Path

import pytest

from pipelines.errors import DatabaseUnavailable
from pipelines.publication.duckdb_store import DuckDBStore
from pipelines.publication.postgres.connection import connect, where
from pipelines.publication.postgres.store import PostgresStore
from pipelines.publication.store import open_store
from pipelines.settings import settings
from tests.pipelines.publication_examples import STUDY, predictions, publication

URL = "postgresql://ada:open-sesame@db.example:5433/tables"


@pytest.fixture(autouse=True)
def no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EQUIPOISE_DATABASE_URL", raising=False)
    monkeypatch.delenv("EQUIPOISE_DATABASE_URL_FILE", raising=False)


def test_the_store_is_a_file_unless_a_server_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(open_store(settings()), DuckDBStore)
    file = tmp_path / "url"
    file.write_text(f"{URL}\n")
    file.chmod(0o600)
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL_FILE", str(file))
    store = open_store(settings())
    assert isinstance(store, PostgresStore)
    assert store.url == URL
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", "dbname=other")
    assert settings().database_url == "dbname=other"


@pytest.mark.parametrize("mode", [None, 0o640, 0o604])
def test_a_url_that_others_can_read_or_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int | None
) -> None:
    file = tmp_path / "url"
    if mode is not None:
        file.write_text(URL)
        file.chmod(mode)
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL_FILE", str(file))
    with pytest.raises(DatabaseUnavailable) as refused:
        open_store(settings())
    assert "sesame" not in str(refused.value)
    assert refused.value.exit_code == 33


def test_where_the_database_is_tells_no_password() -> None:
    assert where(URL) == "host db.example, port 5433, dbname tables, user ada"
    assert where("no url at all, open-sesame") == "EQUIPOISE_DATABASE_URL"


@pytest.mark.parametrize("reason", ["ssn-123\0", "ssn-123\ud800"])
def test_a_reason_that_is_no_text_is_refused_without_being_said_again(
    admin_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reason: str
) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", admin_url)
    store = open_store(settings())
    store.publish(publication(1), predictions(1))
    with pytest.raises(DatabaseUnavailable, match="cannot hold a value") as refused:
        store.withdraw(STUDY, reason, "Ada")
    assert "ssn" not in "".join(traceback.format_exception(refused.value))
    assert store.read_current(STUDY).height == 4


def test_a_row_that_a_guard_refuses_is_told_as_that_and_not_shown(made: str) -> None:
    audit = "INSERT INTO audits VALUES ('toy', 'ssn-123', 'short', 'model', 'pass', now())"
    with (
        pytest.raises(DatabaseUnavailable, match=r"guard .* refuses a row \(CheckV") as refused,
        connect(made) as connection,
    ):
        connection.execute(audit)
    assert "ssn" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_what_the_server_says_of_a_row_is_not_said_again(made: str) -> None:
    with pytest.raises(DatabaseUnavailable) as refused, connect(made) as connection:
        connection.execute("SELECT CAST('ssn-123-45' AS integer)")
    assert "ssn" not in str(refused.value)
    assert refused.value.__cause__ is None

"""One PostgreSQL for the session, a database with the schema for each test that asks."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipelines.publication.postgres_setup import set_up
from pipelines.publication.store import PublicationStore, open_store
from pipelines.settings import Settings, settings
from tests.publication.servers import (
    any_server,
    binaries,
    database,
    database_of,
    login,
    pipeline_login,
)

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    with any_server() as url:
        yield url


@pytest.fixture(scope="session")
def made(server_url: str) -> Iterator[str]:
    """A database with the schema and not a row, to be copied."""
    with database(server_url) as url:
        assert set_up(url) == "made"
        pipeline_login(url)
        yield url


@pytest.fixture
def admin_url(server_url: str, made: str) -> Iterator[str]:
    """A superuser's URL of a database of this test's own."""
    with database(server_url, template=database_of(made)) as url:
        with psycopg.connect(url) as admin:
            # Who tried rights on the template spent numbers there.
            admin.execute("ALTER SEQUENCE equipoise.access_log_read_number_seq RESTART")
        yield url


@pytest.fixture(params=["duckdb", "postgres"])
def home(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """An installation of either kind."""
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "it's home"))
    monkeypatch.delenv("EQUIPOISE_DATABASE_URL", raising=False)
    if request.param == "postgres":
        url = pipeline_login(request.getfixturevalue("admin_url"))
        monkeypatch.setenv("EQUIPOISE_DATABASE_URL", url)
    return settings()


@pytest.fixture
def store(home: Settings) -> PublicationStore:
    return open_store(home)


@pytest.fixture(scope="module")
def by_hand(made: str) -> Iterator[Connection]:
    """A superuser's connection, past rights and policies; constraints and triggers stand."""
    with psycopg.connect(made) as connection:
        connection.execute("SET search_path = equipoise")
        connection.commit()
        yield connection


@pytest.fixture(scope="module")
def people(
    by_hand: psycopg.Connection[tuple[Any, ...]], made: str
) -> psycopg.Connection[tuple[Any, ...]]:
    """Logins of one role each; the analysts are granted one study, and none."""
    for role in ("writer", "analyst", "auditor", "eraser"):
        login(made, f"equipoise_test_{role}", f"equipoise_{role}")
    login(made, "equipoise_test_stranger", "equipoise_analyst")
    by_hand.execute(
        "INSERT INTO study_grants VALUES ('equipoise_test_analyst', 'other') ON CONFLICT DO NOTHING"
    )
    by_hand.commit()
    return by_hand


@pytest.fixture
def client_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """pg_dump and pg_restore are on the PATH, of the server's version."""
    monkeypatch.setenv("PATH", f"{binaries()}{os.pathsep}{os.environ['PATH']}")

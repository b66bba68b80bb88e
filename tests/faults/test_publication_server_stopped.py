"""PostgreSQL stopped as by a power cut in the middle of a load: what was committed is whole."""

import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import psycopg
import pytest

from pipelines.errors import DatabaseUnavailable
from pipelines.publication.postgres_setup import set_up
from pipelines.publication.store import open_store
from pipelines.settings import settings
from tests.faults.publishers import (
    FORKS,
    PATIENCE_SECONDS,
    Installation,
    enter,
    last_word,
    look_at_tables,
    publish_number,
    rows_of,
    running,
    wait_for,
)
from tests.pipelines.publication_examples import STUDY
from tests.publication.servers import Server, login, own_server, pipeline_login


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of this module's own: the session's must not be stopped."""
    with own_server() as running_server:
        set_up(running_server.url)
        pipeline_login(running_server.url)
        yield running_server


def publish_until_refused(installation: Installation, first: int, told: Connection) -> None:
    """Publish until the server goes away; tell what was said of it."""
    enter(installation)
    number = first
    while True:
        told.send("begins")
        try:
            publish_number(number)
        except DatabaseUnavailable as refused:
            told.send(f"refused: {refused}")
            return
        told.send("ended")
        number += 1


def stop_often(server: Server, home: Path, stops: int) -> int:
    """Stop the server at moments spread over loads; returns the stops that fell into one."""
    installation = Installation(str(home), pipeline_login(server.url))
    enter(installation)
    publish_number(1)
    hits = 0
    for stop in range(1, stops + 1):
        here, there = FORKS.Pipe()
        process = FORKS.Process(
            target=publish_until_refused, args=(installation, 1000 * stop, there)
        )
        with running(process):
            wait_for(here, "begins")
            seconds = wait_for(here, "ended")
            time.sleep(0.618034 * stop % 1 * seconds)
            hits += is_loading(server)
            server.stop_at_once()
            process.join(PATIENCE_SECONDS)
            word = last_word(here)
        assert word.startswith("refused"), word
        assert "of-equipoise_test_pipeline" not in word
        server.start()
        with psycopg.connect(installation.url, options="-c search_path=equipoise") as reader:
            assert look_at_tables(reader).is_whole
        assert open_store(settings()).verify() == ()
        publish_number(1000 * stop + 999)
        assert open_store(settings()).read_current(STUDY).height == rows_of(1000 * stop + 999)
    return hits


def is_loading(server: Server) -> bool:
    """Whether a writer is in the middle of a transaction now."""
    with psycopg.connect(server.url) as admin:
        query = "SELECT 1 FROM pg_stat_activity WHERE usename = %s AND xact_start IS NOT NULL"
        return admin.execute(query, ("equipoise_test_pipeline",)).fetchone() is not None


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", "")
    return tmp_path


def test_a_server_stopped_in_the_middle_of_a_load_three_times_shows_no_half(
    server: Server, home: Path
) -> None:
    assert stop_often(server, home, 3) >= 1


@pytest.mark.faults
@pytest.mark.slow
def test_a_server_stopped_in_the_middle_of_a_load_thirty_times_shows_no_half(
    server: Server, home: Path
) -> None:
    assert stop_often(server, home, 30) >= 10


def test_a_server_that_is_not_there_is_told_without_the_password(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "EQUIPOISE_DATABASE_URL", f"host={home} user=ada password=open-sesame dbname=none"
    )
    with pytest.raises(DatabaseUnavailable) as refused:
        open_store(settings()).list_generations(STUDY)
    assert "sesame" not in str(refused.value)
    assert "user ada" in refused.value.where
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", "password=open-sesame no url")
    with pytest.raises(DatabaseUnavailable) as refused:
        open_store(settings()).list_generations(STUDY)
    assert "sesame" not in str(refused.value)


def test_a_login_without_a_right_and_a_database_without_a_schema_are_told_apart(
    server: Server, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stranger = login(server.url, "equipoise_test_nobody")
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", stranger)
    with pytest.raises(DatabaseUnavailable, match=r"cannot be used|lacks a right"):
        open_store(settings()).list_generations(STUDY)
    empty = server.url.replace("dbname=postgres", "dbname=template1")
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", empty)
    with pytest.raises(DatabaseUnavailable, match="holds no publication"):
        open_store(settings()).list_generations(STUDY)

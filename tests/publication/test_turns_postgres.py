"""A withdrawal and a publication at the same moment: whichever is first, nothing slips between."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pipelines.errors import PublicationGateClosed
from pipelines.publication.contract import Publication
from pipelines.publication.store import PublicationStore, open_store
from pipelines.releases import withdraw_release
from pipelines.settings import Settings, settings
from tests.pipelines.publication_examples import STUDY, predictions, publication
from tests.publication.servers import pipeline_login

PATIENCE_SECONDS = 30.0
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


@pytest.fixture
def home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Settings:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    url = pipeline_login(request.getfixturevalue("admin_url"))
    monkeypatch.setenv("EQUIPOISE_DATABASE_URL", url)
    return settings()


@contextmanager
def held(admin_url: str, name: str) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """A second connection that holds the lock of this name until the block ends."""
    with psycopg.connect(admin_url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (name,))
        yield connection


def wait_until_waiting(connection: psycopg.Connection[tuple[Any, ...]], number: int) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while connection.execute(WAITING).fetchall() != [(number,)]:
        assert time.monotonic() < ends, f"not {number} wait for a lock"
        time.sleep(0.01)


def generation(store: PublicationStore, asked: Publication) -> str:
    return store.publish(asked, predictions(1)).generation_id


def test_a_publication_that_waited_for_a_withdrawal_asks_the_gate_again(
    home: Settings, admin_url: str
) -> None:
    store, asked = open_store(home), publication(1)
    with ThreadPoolExecutor() as threads:
        with held(admin_url, f"{STUDY}/withdrawals") as other:
            published = threads.submit(generation, store, asked)
            wait_until_waiting(other, 1)
            withdraw_release(STUDY, "harm was seen", "Ada")
        with pytest.raises(PublicationGateClosed, match="release is withdrawn"):
            published.result(PATIENCE_SECONDS)
    assert store.list_generations(STUDY) == ()


def test_a_withdrawal_waits_for_a_publication_under_way_and_takes_it_back_too(
    home: Settings, admin_url: str
) -> None:
    store = open_store(home)
    first = generation(store, publication(2))
    asked = publication(1)
    with ThreadPoolExecutor() as threads:
        with held(admin_url, f"{STUDY}/{asked.as_of.date()}") as other:
            published: Future[str] = threads.submit(generation, store, asked)
            wait_until_waiting(other, 1)
            withdrawn = threads.submit(store.withdraw, STUDY, "harm was seen", "Ada")
            wait_until_waiting(other, 2)
        second = published.result(PATIENCE_SECONDS)
        assert withdrawn.result(PATIENCE_SECONDS) == (first, second)
    assert store.read_current(STUDY).is_empty()

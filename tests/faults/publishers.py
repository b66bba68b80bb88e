"""Processes that publish and are killed, and looks at what readers see meanwhile, of either store.

A fork server has imported all that a publisher needs, so that a new one begins at once.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import polars as pl
import psycopg

from pipelines.publication.folders import PublicationFolders
from pipelines.publication.store import open_store
from pipelines.settings import settings
from tests.pipelines.publication_examples import predictions, publication

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.faults.publishers", "pipelines.publication.postgres.store"])
PATIENCE_SECONDS = 60.0
STRIDE = 200
SNAPSHOT = """
SELECT score, row_count FROM predictions_current JOIN publications USING (generation_id)
"""


class Installation(NamedTuple):
    """Where a process publishes or reads; ``url`` is empty for DuckDB."""

    home: str
    url: str


class Seen(NamedTuple):
    """What one look at the current predictions showed."""

    scores: list[float]
    counted: int

    @property
    def is_whole(self) -> bool:
        """One generation, with as many rows as it had and as the store says."""
        number = int(self.scores[0]) if self.scores else 0
        return set(self.scores) == {number} and len(self.scores) == self.counted == rows_of(number)


def rows_of(number: int) -> int:
    """Neighbouring generations differ in size, so that a mix of two cannot look like one."""
    return 1_000 + 7 * (number % STRIDE)


def enter(installation: Installation) -> None:
    """Make this process one of the installation."""
    os.environ["EQUIPOISE_HOME"] = installation.home
    os.environ.pop("EQUIPOISE_DATABASE_URL", None)
    if installation.url:
        os.environ["EQUIPOISE_DATABASE_URL"] = installation.url


def publish_number(number: int) -> str:
    rows = predictions(number, rows=rows_of(number))
    return open_store(settings()).publish(publication(number), rows).generation_id


def publish_for_ever(installation: Installation, first: int, told: Connection) -> None:
    """Publish one generation after the other, telling when each begins and ends, until killed."""
    enter(installation)
    number = first
    while True:
        told.send("begins")
        publish_number(number)
        told.send("ended")
        number += 1


def looks_at(installation: Installation) -> tuple[Callable[[], Seen], ...]:
    """The ways that readers take to the current predictions."""
    if installation.url:
        connection = psycopg.connect(
            installation.url, options="-c search_path=equipoise", autocommit=True
        )
        return (lambda: look_at_tables(connection),)
    folders = PublicationFolders(Path(installation.home) / "publication")
    return (lambda: look_at_snapshot(folders), lambda: look_at_parquet(folders.parquet))


def look_at_snapshot(folders: PublicationFolders) -> Seen:
    with duckdb.connect(str(folders.snapshot), read_only=True) as reader:
        rows = reader.execute(SNAPSHOT).fetchall()
    return Seen([row[0] for row in rows], rows[0][1])


def look_at_parquet(link: Path) -> Seen:
    """The file that the link pointed to at one moment; it says by its length how much it is."""
    try:
        scores = pl.read_parquet(link.resolve())["score"].to_list()
    except FileNotFoundError:
        # Two files are kept: whoever slept through two publications asks once more.
        scores = pl.read_parquet(link.resolve())["score"].to_list()
    return Seen(scores, len(scores))


def look_at_tables(connection: psycopg.Connection[tuple[Any, ...]]) -> Seen:
    rows = connection.execute(SNAPSHOT).fetchall()
    return Seen([row[0] for row in rows], rows[0][1] if rows else 0)


def read_for_ever(installation: Installation, report: Connection) -> None:
    """Look over and over; tell the looks, the generations seen and all that was not whole."""
    looks = looks_at(installation)
    seen: set[int] = set()
    count, wrong = 0, list[str]()
    while not report.poll():
        for look in looks:
            try:
                shown = look()
            except (duckdb.IOException, FileNotFoundError) as error:
                # Nothing is there before the first publication; later every look must succeed.
                if seen:
                    wrong.append(type(error).__name__)
                continue
            count += 1
            if shown.is_whole:
                seen.add(int(shown.scores[0]))
            elif seen or shown.scores:
                wrong.append(f"{len(shown.scores)} rows of {sorted(set(shown.scores))}")
        time.sleep(0.01)
    report.send((count, len(seen), wrong))


@contextmanager
def running(process: BaseProcess) -> Iterator[BaseProcess]:
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


@contextmanager
def watching(installation: Installation) -> Iterator[Connection]:
    here, there = FORKS.Pipe()
    with running(FORKS.Process(target=read_for_ever, args=(installation, there))):
        yield here


@contextmanager
def publishing(installation: Installation, first: int) -> Iterator[Connection]:
    """A publisher whose first publication has begun; it is killed at the end of the block."""
    here, there = FORKS.Pipe()
    with running(FORKS.Process(target=publish_for_ever, args=(installation, first, there))):
        wait_for(here, "begins")
        yield here


def wait_for(publisher: Connection, word: str) -> float:
    """Wait until the publisher says it; seconds that it took."""
    started = time.monotonic()
    while publisher.poll(PATIENCE_SECONDS):
        if publisher.recv() == word:
            return time.monotonic() - started
    raise AssertionError("the publisher is silent")


def last_word(publisher: Connection) -> str:
    word = "nothing"
    with suppress(EOFError):
        while publisher.poll():
            word = publisher.recv()
    return word

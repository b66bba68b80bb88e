"""kill -9 of the publisher at any moment: readers see one whole generation, the next repairs."""

import multiprocessing
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.publication.duckdb import publish
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.reading import read_current
from pipelines.settings import settings
from tests.pipelines.publication_examples import STUDY, predictions, publication

SPAWN = multiprocessing.get_context("spawn")
PATIENCE_SECONDS = 60.0
CURRENT = """
SELECT score, row_count FROM predictions_current JOIN publications USING (generation_id)
"""


STRIDE = 200


def row_count(number: int) -> int:
    """Neighbouring generations differ in size, so that a mix of two cannot look like one."""
    return 1_000 + 7 * (number % STRIDE)


def publish_for_ever(home: str, first: int, told: Connection) -> None:
    """Publish one generation after the other, telling when each begins and ends, until killed."""
    os.environ["EQUIPOISE_HOME"] = home
    number = first
    while True:
        told.send("begins")
        publish(publication(number), predictions(number, rows=row_count(number)), settings())
        told.send("ended")
        number += 1


def read_for_ever(home: str, report: Connection) -> None:
    """Open both files over and over; tell what was seen and everything that was not whole."""
    folders = PublicationFolders(Path(home) / "publication")
    seen: set[int] = set()
    looks, wrong = 0, list[str]()
    while not report.poll():
        for look in (look_at_snapshot, look_at_parquet):
            try:
                scores, counted = look(folders)
            except (duckdb.IOException, FileNotFoundError) as error:
                # Nothing is there before the first publication; later every look must succeed.
                if seen and not isinstance(error, FileNotFoundError):
                    wrong.append(str(error))
                continue
            number = int(scores[0])
            seen.add(number)
            looks += 1
            if set(scores) != {number} or not len(scores) == counted == row_count(number):
                wrong.append(f"{look.__name__}: {len(scores)} rows of {sorted(set(scores))}")
        time.sleep(0.01)
    report.send((looks, len(seen), wrong))


def look_at_snapshot(folders: PublicationFolders) -> tuple[list[float], int]:
    """The scores of the current rows, and how many the snapshot says there are."""
    with duckdb.connect(str(folders.snapshot), read_only=True) as reader:
        rows = reader.execute(CURRENT).fetchall()
    return [row[0] for row in rows], rows[0][1]


def look_at_parquet(folders: PublicationFolders) -> tuple[list[float], int]:
    """The scores of the file that the link pointed to at one moment."""
    scores = pl.read_parquet(folders.parquet.resolve())["score"].to_list()
    return scores, len(scores)


@contextmanager
def running(process: BaseProcess) -> Iterator[BaseProcess]:
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


@contextmanager
def watching(home: Path) -> Iterator[Connection]:
    here, there = SPAWN.Pipe()
    with running(SPAWN.Process(target=read_for_ever, args=(str(home), there))):
        yield here


@contextmanager
def publishing(home: Path, first: int) -> Iterator[Connection]:
    """A publisher whose first publication has begun; it is killed at the end of the block."""
    here, there = SPAWN.Pipe()
    with running(SPAWN.Process(target=publish_for_ever, args=(str(home), first, there))):
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


def kill_while_publishing(home: Path, first: int, share: float) -> bool:
    """Kill a publisher in its third publication, at that share of what the second took.

    Returns whether it was publishing at that moment, as its own last word has it.
    """
    with publishing(home, first) as publisher:
        wait_for(publisher, "ended")
        seconds = wait_for(publisher, "ended")
        time.sleep(share * seconds)
    return last_word(publisher) == "begins"


def repair(number: int) -> None:
    """Publish once more and check that all is whole and current."""
    rows = predictions(number, rows=row_count(number))
    receipt = publish(publication(number), rows, settings())
    current = read_current(STUDY, settings())
    assert current["generation_id"].unique().to_list() == [receipt.generation_id]
    assert current.height == row_count(number)
    assert pl.read_parquet(receipt.parquet).equals(current)
    assert not any(PublicationFolders(settings().publication_dir).drafts.iterdir())


def kill_often(home: Path, kills: int) -> tuple[int, int, int]:
    """Kill as many publishers, repair after each, while a reader looks on.

    Returns the kills that fell into a publication, the reader's looks, the generations it saw.
    """
    hits = 0
    with watching(home) as reader:
        for kill in range(kills):
            # Multiples of the golden ratio spread evenly over a publication, however many.
            hits += kill_while_publishing(home, STRIDE * kill + 1, 0.618034 * kill % 1)
            repair(STRIDE * (kill + 1))
        reader.send("stop")
        assert reader.poll(PATIENCE_SECONDS), "the reader died"
        looks, generations, wrong = reader.recv()
    assert wrong == []
    return hits, looks, generations


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    return tmp_path


def test_readers_never_see_a_mix_while_publishers_are_killed(home: Path) -> None:
    _, looks, generations = kill_often(home, kills=3)
    assert looks >= 3
    assert generations >= 2


@pytest.mark.faults
@pytest.mark.slow
def test_readers_never_see_a_mix_while_thirty_publishers_are_killed(home: Path) -> None:
    hits, looks, generations = kill_often(home, kills=30)
    print(f"{hits} of 30 kills fell into a publication; {looks} looks, {generations} seen")
    # Else the kills came between publications and nothing was tried.
    assert hits >= 20
    assert generations >= 60


@pytest.mark.faults
@pytest.mark.slow
def test_a_publisher_killed_while_it_makes_the_store_leaves_one_that_can_be_made(
    home: Path,
) -> None:
    with publishing(home, 1) as publisher:
        seconds = wait_for(publisher, "ended")
    for step in range(10):
        shutil.rmtree(home / "publication")
        with publishing(home, 1):
            time.sleep(step / 10 * seconds)
        repair(STRIDE)


def test_a_publisher_killed_the_moment_its_database_appears_leaves_no_half_of_one(
    home: Path,
) -> None:
    private = PublicationFolders(home / "publication").private
    with publishing(home, 1):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not any(private.rglob("writer.duckdb")) and time.monotonic() < deadline:
            time.sleep(0.001)
    repair(STRIDE)

"""The watch of ``test_publisher_killed`` sees what it must: two careless writers are caught.

One overwrites the Parquet file in its place; the other deletes the rows of PostgreSQL and copies
the new ones in, each statement a transaction of its own.
"""

import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb
import polars as pl
import psycopg
import pytest

from tests.faults.publishers import (
    FORKS,
    Seen,
    rows_of,
    running,
    wait_for,
)
from tests.publication.servers import database

TRIALS = 10
# Enough rows that a file is not written at one blow.
MANY = 100


def scores_of(number: int) -> list[float]:
    return [float(number)] * rows_of(number)


def write_in_place(path: str, told: Connection) -> None:
    """Overwrite the file for ever, as ``DataFrame.write_parquet`` does it."""
    number = 1
    while True:
        frame = pl.DataFrame({"score": scores_of(number), "pad": [str(number)] * rows_of(number)})
        pl.concat([frame] * MANY).write_parquet(path, compression="uncompressed")
        told.send("ended")
        number += 1


def delete_then_copy(url: str, told: Connection) -> None:
    """Replace the rows for ever, without a transaction around."""
    with psycopg.connect(url, autocommit=True) as connection:
        number = 1
        while True:
            connection.execute("DELETE FROM careless")
            with connection.cursor().copy("COPY careless (score, counted) FROM STDIN") as copy:
                for score in scores_of(number):
                    copy.write_row((score, rows_of(number)))
            told.send("ended")
            number += 1


def is_caught(
    writer: Callable[[str, Connection], None],
    place: str,
    look: Callable[[], Seen],
    share: float,
) -> bool:
    """Watch one writer until it is killed at a random moment, and once more afterwards."""
    here, there = FORKS.Pipe()
    caught = False
    with running(FORKS.Process(target=writer, args=(place, there))):
        seconds = wait_for(here, "ended")
        ends = time.monotonic() + (5 + share) * max(seconds, 0.02)
        while time.monotonic() < ends and not caught:
            caught = not is_whole(look)
    return caught or not is_whole(look)


def is_whole(look: Callable[[], Seen]) -> bool:
    try:
        return look().is_whole
    except (duckdb.Error, OSError):
        return False


def test_a_writer_that_overwrites_the_parquet_file_in_its_place_is_caught(tmp_path: Path) -> None:
    def look() -> Seen:
        """DuckDB says that a torn file is one; Polars panics at it, with pages of text."""
        asked = "SELECT score FROM read_parquet($path)"
        path = str(tmp_path / "predictions.parquet")
        with duckdb.connect() as reader:
            scores = [row[0] for row in reader.execute(asked, {"path": path}).fetchall()]
        whole, rest = divmod(len(scores), MANY)
        return Seen(sorted(scores)[:: MANY if rest == 0 else 1], whole)

    frame = pl.DataFrame({"score": scores_of(3), "pad": ["3"] * rows_of(3)})
    pl.concat([frame] * MANY).write_parquet(tmp_path / "predictions.parquet")
    assert is_whole(look), "what nobody writes to is whole"
    caught = sum(
        is_caught(write_in_place, str(tmp_path / "predictions.parquet"), look, 0.618 * trial % 1)
        for trial in range(TRIALS)
    )
    print(f"Parquet in place: {caught} of {TRIALS} caught")
    assert caught >= 0.9 * TRIALS


@pytest.fixture
def careless(pg_url: str) -> Iterator[str]:
    with database(pg_url) as url:
        with psycopg.connect(url) as admin:
            admin.execute("CREATE TABLE careless (score DOUBLE PRECISION, counted BIGINT)")
        yield url


def test_a_writer_that_deletes_and_then_copies_is_caught(careless: str) -> None:
    with psycopg.connect(careless, autocommit=True) as reader:

        def look() -> Seen:
            rows = reader.execute("SELECT score, counted FROM careless").fetchall()
            return Seen([row[0] for row in rows], rows[0][1] if rows else 0)

        for score in scores_of(3):
            reader.execute("INSERT INTO careless VALUES (%s, %s)", (score, rows_of(3)))
        assert is_whole(look), "what nobody writes to is whole"
        caught = sum(
            is_caught(delete_then_copy, careless, look, 0.618 * trial % 1)
            for trial in range(TRIALS)
        )
    print(f"DELETE then COPY: {caught} of {TRIALS} caught")
    assert caught >= 0.9 * TRIALS

"""How long a publication takes in either store, its bulk load apart: rows per second.

    python -m benchmarks.publication_load --rows 1000000

PostgreSQL is the one that ``EQUIPOISE_DATABASE_URL`` names, or a server of the tests' own, without
fsync. The load is compared with one INSERT per row, on a tenth of the rows.
"""

import argparse
import os
import tempfile
import time
from contextlib import ExitStack

import psycopg

from pipelines.publication.commitments import commit_rows
from pipelines.publication.contract import published_rows
from pipelines.publication.duckdb import table_rows
from pipelines.publication.postgres.loading import send_rows
from pipelines.publication.postgres.publishing import add_row
from pipelines.publication.postgres_setup import set_up
from pipelines.publication.store import open_store
from pipelines.settings import settings
from tests.pipelines.publication_examples import predictions, publication
from tests.publication.servers import any_server, database, pipeline_login


def main() -> None:
    """Print one line per measurement."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    rows = parser.parse_args().rows
    with ExitStack() as stack:
        os.environ["EQUIPOISE_HOME"] = stack.enter_context(tempfile.TemporaryDirectory())
        admin = stack.enter_context(any_server())
        os.environ.pop("EQUIPOISE_DATABASE_URL", None)
        _commit(rows)
        _publish("DuckDB", rows)
        url = stack.enter_context(database(admin))
        set_up(url)
        os.environ["EQUIPOISE_DATABASE_URL"] = pipeline_login(url)
        _publish("PostgreSQL", rows)
        _load(rows)


def _commit(rows: int) -> None:
    checked = table_rows(publication(9), published_rows(publication(9), predictions(9, rows=rows)))
    started = time.perf_counter()
    commit_rows(checked)
    _say("keys and commitments", rows, time.perf_counter() - started)


def _publish(store: str, rows: int) -> None:
    given = predictions(1, rows=rows)
    started = time.perf_counter()
    open_store(settings()).publish(publication(1), given)
    _say(f"publication in {store}", rows, time.perf_counter() - started)


def _load(rows: int) -> None:
    """Into a table like ``incoming``, rolled back: the sending alone."""
    committed = commit_rows(
        table_rows(publication(2), published_rows(publication(2), predictions(2, rows=rows)))
    )
    with psycopg.connect(settings().database_url or "", options="-c search_path=equipoise") as to:
        to.execute("SELECT open_incoming()")
        few = committed.head(max(rows // 10, 1))
        started = time.perf_counter()
        for row in few.iter_rows(named=True):
            add_row(to, "incoming", row)
        _say("one INSERT per row", few.height, time.perf_counter() - started)
        to.rollback()
        started = time.perf_counter()
        send_rows(to, committed)
        _say("binary COPY", rows, time.perf_counter() - started)
        to.rollback()


def _say(what: str, rows: int, seconds: float) -> None:
    print(f"{what:24} {rows:>10,} rows {seconds:8.2f} s {rows / seconds:>12,.0f} rows/s")


if __name__ == "__main__":
    main()

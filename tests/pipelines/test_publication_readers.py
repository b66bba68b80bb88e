"""Other processes at the same files: readers never block a publication, publishers take turns."""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.errors import PublicationGateClosed, StoreLocked
from pipelines.publication.contract import AuditReference, published_rows
from pipelines.publication.duckdb import add_generation, publish
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.store import open_store
from pipelines.publication.writer import open_writer
from pipelines.settings import Settings, settings
from tests.pipelines.publication_examples import STUDY, predictions, publication

SPAWN = multiprocessing.get_context("spawn")
ROWS = 5_000
PATIENCE_SECONDS = 60


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    publish(publication(1), predictions(1, rows=ROWS), settings())
    return settings()


def folders(home: Settings) -> PublicationFolders:
    return PublicationFolders(home.publication_dir)


def notebook(path: str, pipe: Connection) -> None:
    """Open the snapshot as a notebook does, stop in the middle of a result, go on when told."""
    connection = duckdb.connect(path, read_only=True)
    result = connection.execute("SELECT score FROM predictions_current")
    pipe.send(result.fetchone())
    pipe.recv()
    pipe.send(sorted({row[0] for row in result.fetchall()}))
    pipe.send(sorted(connection.execute("SELECT DISTINCT score FROM predictions").fetchall()))
    connection.close()
    with duckdb.connect(path, read_only=True) as again:
        pipe.send(again.execute("SELECT DISTINCT score FROM predictions_current").fetchall())


@contextmanager
def open_notebook(home: Settings) -> Iterator[Connection]:
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=notebook, args=(str(folders(home).snapshot), there))
    process.start()
    try:
        yield here
    finally:
        process.join(PATIENCE_SECONDS)
        process.kill()


def received(pipe: Connection) -> object:
    assert pipe.poll(PATIENCE_SECONDS), "the other process said nothing"
    return pipe.recv()


def test_an_open_notebook_neither_blocks_a_publication_nor_sees_half_of_it(home: Settings) -> None:
    with open_notebook(home) as pipe:
        assert received(pipe) == (1.0,)
        publish(publication(2), predictions(2, rows=ROWS), home)
        pipe.send("go on")
        # The open result and the open connection stay in the old file …
        assert received(pipe) == [1.0]
        assert received(pipe) == [(1.0,)]
        # … and who opens anew is in the new one.
        assert received(pipe) == [(2.0,)]


def test_a_connection_left_open_in_this_process_does_not_make_reading_stale(
    home: Settings,
) -> None:
    with duckdb.connect(str(folders(home).snapshot), read_only=True) as left_open:
        publish(publication(2), predictions(2), home)
        old = left_open.execute("SELECT DISTINCT score FROM predictions_current").fetchall()
        assert old == [(1.0,)]
        assert open_store(home).read_current(STUDY)["score"].unique().to_list() == [2.0]


def test_the_snapshot_works_under_any_name_and_attached_beside_other_databases(
    home: Settings,
) -> None:
    with duckdb.connect() as notebook_database:
        notebook_database.execute("CREATE TABLE predictions AS SELECT 'mine' AS score")
        path = str(folders(home).snapshot)
        notebook_database.execute("ATTACH $path AS published (READ_ONLY)", {"path": path})
        count = "SELECT count(*) FROM published.predictions_current"
        assert notebook_database.execute(count).fetchall() == [(ROWS,)]
        notebook_database.execute("USE published")
        dated = "SELECT count(*) FROM predictions_as_of(DATE '2020-01-02')"
        assert notebook_database.execute(dated).fetchall() == [(ROWS,)]


def test_readers_cannot_write(home: Settings) -> None:
    with (
        duckdb.connect(str(folders(home).snapshot), read_only=True) as reader,
        pytest.raises(duckdb.InvalidInputException, match="read-only"),
    ):
        reader.execute("DELETE FROM predictions")


def test_a_log_that_a_stray_writer_left_beside_the_snapshot_spoils_no_later_one(
    home: Settings,
) -> None:
    """Root can open the snapshot for writing; its unfinished log must not reach the next file."""
    snapshot = folders(home).snapshot
    snapshot.chmod(0o600)
    script = (
        "import duckdb, os, signal, sys\n"
        "connection = duckdb.connect(sys.argv[1])\n"
        "connection.execute('CREATE TABLE scribble AS SELECT 1 AS a')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(snapshot)], check=False)
    assert snapshot.with_name(snapshot.name + ".wal").exists()

    publish(publication(2), predictions(2), home)

    assert open_store(home).read_current(STUDY)["score"].unique().to_list() == [2.0]


def test_a_publisher_killed_between_commit_and_rename_is_repaired_by_the_next(
    home: Settings,
) -> None:
    lost, rows = publication(2), predictions(2)
    with open_writer(folders(home), 1) as writer:
        add_generation(writer, lost, published_rows(lost, rows))
    assert open_store(home).read_current(STUDY)["score"].unique().to_list() == [1.0]

    receipt = publish(lost, rows, home)

    assert receipt.made is False
    assert open_store(home).read_current(STUDY)["score"].unique().to_list() == [2.0]
    assert [listed.row_count for listed in open_store(home).list_generations(STUDY)] == [ROWS, 4]


KILLED_WITHDRAWAL = (
    "import os, sys\n"
    "from pipelines.publication import snapshot\n"
    "from pipelines.publication.store import open_store\n"
    "from pipelines.settings import settings\n"
    "setattr(snapshot, sys.argv[1], lambda *given, **named: os._exit(9))\n"
    "open_store(settings()).withdraw('toy_study', 'harms one group', 'Ada')\n"
)
CLOSED = AuditReference(audit_id="audit_predictions/bad", verdict="fail", evidence_sha256="c" * 64)


@pytest.mark.parametrize("killed_before", ["_require_whole_generations", "place_parquet", "_place"])
def test_a_withdrawal_killed_before_readers_saw_it_is_finished_by_a_publication_refused(
    home: Settings, killed_before: str
) -> None:
    refused = publication(2, audit=CLOSED)
    killed = subprocess.run([sys.executable, "-c", KILLED_WITHDRAWAL, killed_before], check=False)
    assert killed.returncode == 9
    assert open_store(home).read_current(STUDY).height == ROWS

    with pytest.raises(PublicationGateClosed, match="says fail"):
        publish(refused, predictions(2), home)

    assert open_store(home).read_current(STUDY).is_empty()
    (only,) = folders(home).parquet_files.iterdir()
    assert pl.read_parquet(only).is_empty()
    assert folders(home).parquet.resolve() == only


def test_a_killed_withdrawal_can_be_finished_without_publishing(home: Settings) -> None:
    subprocess.run([sys.executable, "-c", KILLED_WITHDRAWAL, "_place"], check=False)
    assert open_store(home).read_current(STUDY).height == ROWS
    open_store(home).finish_changes()
    assert open_store(home).read_current(STUDY).is_empty()


def test_finishing_where_nothing_was_ever_published_makes_no_file(tmp_path: Path) -> None:
    never = Settings(home=tmp_path / "never", studies_dir=tmp_path)
    open_store(never).finish_changes()
    assert not never.home.exists()


def test_a_snapshot_that_is_not_behind_is_not_built_anew_by_a_refusal(home: Settings) -> None:
    before = folders(home).snapshot.stat().st_ino
    with pytest.raises(PublicationGateClosed):
        publish(publication(2, audit=CLOSED), predictions(2), home)
    assert folders(home).snapshot.stat().st_ino == before


def test_a_snapshot_that_is_open_in_this_process_is_not_taken_for_one_behind(
    home: Settings,
) -> None:
    before = folders(home).snapshot.stat().st_ino
    with (
        duckdb.connect(str(folders(home).snapshot), read_only=True),
        open_writer(folders(home), 1),
    ):
        pass
    assert folders(home).snapshot.stat().st_ino == before


@pytest.mark.parametrize("content", [b"", b"no database", None])
def test_a_snapshot_that_cannot_be_read_is_built_anew_by_whoever_opens_the_writer(
    home: Settings, content: bytes | None
) -> None:
    folders(home).snapshot.unlink()
    if content is not None:
        folders(home).snapshot.write_bytes(content)
    with open_writer(folders(home), 1):
        pass
    assert open_store(home).read_current(STUDY).height == ROWS


def test_drafts_of_a_killed_publisher_are_no_hindrance(home: Settings) -> None:
    for name in ("predictions.duckdb", "predictions.duckdb.wal", "predictions.parquet"):
        (folders(home).drafts / name).write_text("half a fi")
    folders(home).writer.with_name("writer.duckdb.tmp").mkdir()

    publish(publication(2), predictions(2), home)

    assert open_store(home).read_current(STUDY)["score"].unique().to_list() == [2.0]
    assert list(folders(home).drafts.iterdir()) == []


def test_a_second_publisher_is_told_who_publishes(home: Settings) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from pipelines.publication.folders import PublicationFolders\n"
        "from pipelines.publication.writer import open_writer\n"
        "with open_writer(PublicationFolders(Path(sys.argv[1])), 5):\n"
        "    print('open', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(home.publication_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreLocked, match=f"id {other.pid}"):
            publish(publication(2), predictions(2), home, lock_wait_seconds=0.2)
        other.kill()
    assert publish(publication(2), predictions(2), home).made


def test_an_analyst_in_the_writers_database_is_named_and_not_waited_for(home: Settings) -> None:
    script = (
        "import duckdb, sys\n"
        "connection = duckdb.connect(sys.argv[1], read_only=True)\n"
        "print('open', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(folders(home).writer)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as analyst:
        assert analyst.stdout is not None
        assert analyst.stdout.readline() == "open\n"
        with pytest.raises(StoreLocked, match=f"Process {analyst.pid} has"):
            publish(publication(2), predictions(2), home)
        analyst.kill()


def test_publishers_at_once_take_turns_and_lose_no_generation(home: Settings) -> None:
    script = (
        "import sys\n"
        "from pipelines.publication.duckdb import publish\n"
        "from pipelines.settings import settings\n"
        "from tests.pipelines.publication_examples import predictions, publication\n"
        "first = int(sys.argv[1])\n"
        "for number in range(first, first + 4):\n"
        "    publish(publication(number), predictions(number), settings())\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", script, str(first)], env=os.environ.copy())
        for first in (10, 20)
    ]
    assert [child.wait(PATIENCE_SECONDS) for child in children] == [0, 0]
    assert len(open_store(home).list_generations(STUDY)) == 9
    assert open_store(home).read_current(STUDY)["score"].unique().to_list() == [23.0]

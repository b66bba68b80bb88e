"""A store of a version before, which knew no approval or no reasons, goes on and loses no row."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.errors import ArtefactCorrupt
from pipelines.publication.chain import Event, broken_events
from pipelines.publication.commitments import broken_commitments
from pipelines.publication.connection import connect
from pipelines.publication.duckdb import publish
from pipelines.publication.schema import REASON_COLUMNS, TABLES, TABLES_WITHOUT_REASONS
from pipelines.publication.schema_before import TABLES_WITHOUT_APPROVALS
from pipelines.publication.store import open_store
from pipelines.settings import Settings, settings
from tests.pipelines.publication_examples import (
    STUDY,
    folders,
    numbers,
    predictions,
    publication,
    publish_number,
    quantiles,
    recorded_release_of,
)

# Each table of the version before, out of those of today.
OLD = {
    "audits": "FROM new.audits",
    "releases": "SELECT * EXCLUDE (approval_id, approval_grounds, approval_decision, "
    "approval_expires_at, data_sha256, policy_sha256), 'model' AS audit_kind FROM new.releases",
    "generations": "SELECT * EXCLUDE (rows_digest) FROM new.publications",
    "predictions": "SELECT * EXCLUDE (study, {reasons}, {keys}) FROM new.predictions",
    "state_changes": "SELECT * EXCLUDE (study) FROM new.withdrawals",
}
# What is made anew by an upgrade: keys at random, and what hangs on them.
ANEW = {
    "publications": ["rows_digest"],
    "predictions": ["row_key", "commitment"],
    "releases": ["approval_id", "data_sha256", "policy_sha256"],
}
OLD_VIEW = "CREATE VIEW predictions_current AS SELECT score FROM predictions"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two generations, the second withdrawn: each test gets a copy."""
    path = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_HOME", str(path))
        publish_number(settings(), 1)
        second = publish_number(settings(), 2, rows=3)
        open_store(settings()).withdraw(STUDY, "wrong units", "Ada", generation_id=second)
    return path


@pytest.fixture
def home(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    shutil.copytree(store, tmp_path / "home", symlinks=True)
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    return settings()


def make_old(home: Settings) -> None:
    """Write the writer's file and the snapshot anew as the version before made them."""
    for file, has_constraints in ((folders(home).writer, True), (folders(home).snapshot, False)):
        old_file = file.with_suffix(".old")
        with connect(str(old_file)) as old:
            old.execute("ATTACH $path AS new (READ_ONLY)", {"path": str(file)})
            for table, statement in TABLES_WITHOUT_APPROVALS.items():
                keys = ", row_key, commitment" if has_constraints else ""
                rows = OLD[table].replace(", {keys}", keys)
                rows = rows.replace("{reasons}", ", ".join(REASON_COLUMNS))
                if has_constraints:
                    old.execute(statement)
                    old.execute(f"INSERT INTO {table} BY NAME {rows}")
                else:
                    old.execute(f"CREATE TABLE {table} AS {rows}")
            old.execute(OLD_VIEW)
        old_file.replace(file)


def contents(home: Settings) -> dict[str, pl.DataFrame]:
    with duckdb.connect(str(folders(home).writer), read_only=True) as connection:
        return {name: connection.sql(f"FROM {name} ORDER BY ALL").pl() for name in TABLES}


def columns_of_readers(home: Settings) -> set[str]:
    return set(pl.read_parquet(folders(home).parquet).columns) & set(
        open_store(home).read_current(STUDY).columns
    )


def test_the_old_files_are_old(home: Settings) -> None:
    """The control of the tests below."""
    make_old(home)
    with duckdb.connect(str(folders(home).writer), read_only=True) as old:
        assert {row[0] for row in old.execute("SHOW TABLES").fetchall()} > {"state_changes"}
        assert not {"study", "row_key"} & set(old.table("predictions").columns)
    with duckdb.connect(str(folders(home).snapshot), read_only=True) as snapshot:
        assert snapshot.table("predictions_current").columns == ["score"]


def test_every_row_of_every_table_is_there_after_the_upgrade(home: Settings) -> None:
    before, current, withdrawn = (
        contents(home),
        open_store(home).read_current(STUDY),
        open_store(home).read_withdrawn(STUDY),
    )
    make_old(home)

    open_store(home).finish_changes()

    after = contents(home)
    for table in ("audits", "releases", "publications", "predictions", "withdrawals"):
        anew = ANEW.get(table, [])
        assert_frame_equal(after[table].drop(anew), before[table].drop(anew))
    assert_frame_equal(open_store(home).read_current(STUDY), current)
    assert_frame_equal(open_store(home).read_withdrawn(STUDY), withdrawn)
    assert_frame_equal(pl.read_parquet(folders(home).parquet), current)


def test_a_release_of_then_rests_on_the_gates_own_pass(home: Settings) -> None:
    make_old(home)
    open_store(home).finish_changes()

    after = contents(home)
    (approval,) = after["approvals"].iter_rows(named=True)
    assert (approval["grounds"], approval["decision"]) == ("gate", "approved")
    assert after["releases"]["approval_id"].to_list() == [approval["approval_id"]]


def test_the_log_begins_with_what_was_there_and_every_row_is_committed_to(home: Settings) -> None:
    make_old(home)
    open_store(home).finish_changes()

    after = contents(home)
    log = after["event_log"].sort("event_number")
    assert log["event"].to_list() == [
        *["audit"] * 2,
        *["approval", "release"],
        *["publication"] * 2,
        "withdrawn",
    ]
    assert broken_events(Event(*row) for row in log.iter_rows()) == []
    assert broken_commitments(after["predictions"]) == 0


def test_a_publication_upgrades_on_its_way_and_knows_what_was_published(home: Settings) -> None:
    make_old(home)

    assert publish(publication(1), predictions(1), home).made is False
    publish(publication(3, of=recorded_release_of("quantiles")), quantiles(3), home)

    states = [listed.state for listed in open_store(home).list_generations(STUDY)]
    assert states == ["published", "withdrawn"]
    assert numbers(open_store(home).read_current(STUDY)) == [1.0]
    assert open_store(home).read_current("toy_quantiles")["quantile_05"].to_list() == [-0.2] * 4


def test_the_upgraded_database_refuses_as_a_new_one_and_is_its_owners_alone(
    home: Settings,
) -> None:
    make_old(home)
    open_store(home).finish_changes()

    assert folders(home).writer.stat().st_mode & 0o777 == 0o600
    assert list(folders(home).drafts.iterdir()) == []
    with duckdb.connect(str(folders(home).writer)) as by_hand:
        row = by_hand.table("predictions").limit(1)
        undecided = row.project("* REPLACE (1000 AS subject_id, NULL AS threshold)")
        with pytest.raises(duckdb.ConstraintException, match="CHECK"):
            undecided.insert_into("predictions")


def test_a_database_of_this_version_is_not_written_anew(home: Settings) -> None:
    before = folders(home).writer.stat().st_ino, folders(home).snapshot.stat().st_ino
    open_store(home).finish_changes()
    assert (folders(home).writer.stat().st_ino, folders(home).snapshot.stat().st_ino) == before


@pytest.mark.parametrize(
    "tampering",
    [
        "CREATE OR REPLACE TABLE predictions AS SELECT * FROM predictions",
        "ALTER TABLE predictions ADD COLUMN note VARCHAR",
        "DROP TABLE state_changes",
    ],
)
def test_an_old_database_that_was_changed_by_hand_is_told_and_left_as_it_is(
    home: Settings, tampering: str
) -> None:
    make_old(home)
    with duckdb.connect(str(folders(home).writer)) as by_hand:
        by_hand.execute(tampering)
    before = folders(home).writer.stat().st_ino

    with pytest.raises(ArtefactCorrupt, match="not those of the contract"):
        open_store(home).finish_changes()
    assert folders(home).writer.stat().st_ino == before


def test_an_old_generation_that_lost_a_row_stops_the_upgraded_store_too(home: Settings) -> None:
    make_old(home)
    with duckdb.connect(str(folders(home).writer)) as by_hand:
        by_hand.execute("DELETE FROM predictions WHERE subject_id = 2")

    for _ in range(2):
        with pytest.raises(ArtefactCorrupt, match="do not hold the rows"):
            open_store(home).finish_changes()


def test_a_store_that_knew_no_reasons_keeps_every_row_and_its_commitment(home: Settings) -> None:
    before, current = contents(home), open_store(home).read_current(STUDY)
    old_file = folders(home).writer.with_suffix(".old")
    with connect(str(old_file)) as old:
        old.execute("ATTACH $path AS new (READ_ONLY)", {"path": str(folders(home).writer)})
        for table, statement in TABLES_WITHOUT_REASONS.items():
            old.execute(statement)
            columns = ", ".join(old.table(table).columns)
            old.execute(f"INSERT INTO {table} BY NAME SELECT {columns} FROM new.{table}")  # noqa: S608 - own words
    old_file.replace(folders(home).writer)
    with duckdb.connect(str(folders(home).writer), read_only=True) as old:
        assert not set(REASON_COLUMNS) & set(old.table("predictions").columns)

    open_store(home).finish_changes()

    after = contents(home)
    assert all(after[table].equals(before[table]) for table in TABLES)
    assert_frame_equal(open_store(home).read_current(STUDY), current)
    assert open_store(home).verify() == ()


KILLED = (
    "import os, sys\n"
    "from pipelines.publication import parquet, rewriting, snapshot, writer\n"
    "from pipelines.publication.store import open_store\n"
    "from pipelines.settings import settings\n"
    "setattr(locals()[sys.argv[1]], sys.argv[2], lambda *given, **named: os._exit(9))\n"
    "open_store(settings()).finish_changes()\n"
)


@pytest.mark.parametrize(
    ("module", "killed_before"),
    [
        ("rewriting", "_remove_log"),
        ("rewriting", "rename_into_place"),
        ("writer", "repair_snapshot"),
        ("snapshot", "place_parquet"),
        ("snapshot", "_place"),
    ],
)
def test_an_upgrade_that_was_killed_is_finished_by_the_next_opening(
    home: Settings, module: str, killed_before: str
) -> None:
    current = open_store(home).read_current(STUDY)
    make_old(home)
    script = [sys.executable, "-c", KILLED, module, killed_before]
    assert subprocess.run(script, check=False, env=os.environ.copy()).returncode == 9

    open_store(home).finish_changes()

    assert_frame_equal(open_store(home).read_current(STUDY), current)
    assert_frame_equal(pl.read_parquet(folders(home).parquet), current)
    assert "task" in columns_of_readers(home)


def test_what_a_killed_publisher_left_in_the_log_of_the_old_file_is_not_lost(
    home: Settings,
) -> None:
    make_old(home)
    script = (
        "import duckdb, os, signal, sys\n"
        "connection = duckdb.connect(sys.argv[1])\n"
        'connection.execute("INSERT INTO state_changes SELECT * REPLACE (2 AS change_number, "\n'
        "    \"'reinstated' AS state) FROM state_changes\")\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(folders(home).writer)], check=False)
    assert folders(home).writer.with_name("writer.duckdb.wal").stat().st_size > 0

    open_store(home).finish_changes()

    assert [listed.state for listed in open_store(home).list_generations(STUDY)] == [
        "published",
        "reinstated",
    ]
    assert numbers(open_store(home).read_current(STUDY)) == [2.0]

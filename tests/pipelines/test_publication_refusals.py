"""By hand, in the writer's own file: what the gate refused, the database refuses too."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from pipelines.errors import ArtefactCorrupt, PublicationGateClosed
from pipelines.publication.contract import AuditReference
from pipelines.publication.duckdb import publish
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.reading import read_current
from pipelines.publication.rules import NAMES, ONLY_QUANTILES
from pipelines.publication.schema import TABLES
from pipelines.publication.withdrawal import withdraw
from pipelines.settings import Settings, settings
from tests.pipelines.publication_examples import STUDY, predictions, publication

FAILED = AuditReference(audit_id="audit_predictions/bad", verdict="fail", evidence_sha256="c" * 64)

# A second row for each table, like the one that is there but under a name of its own.
ANOTHER = {
    "audits": "'audit_other/1' AS audit_id",
    "releases": "'another_release' AS release_id",
    "generations": "'another_generation' AS generation_id, 99 AS generation_number",
    "predictions": "1000 AS subject_id",
    "state_changes": "99 AS change_number",
}


# What a task may not have: a CHECK of its own asks whether it must be there.
BY_TASK = {("releases", "threshold"), ("predictions", "threshold"), ("predictions", "decision")} | {
    ("predictions", name) for name in (*NAMES, *ONLY_QUANTILES)
}


def columns() -> list[tuple[str, str]]:
    """Every (table, column) of the contract that every task has."""
    with duckdb.connect() as connection:
        for statement in TABLES.values():
            connection.execute(statement)
        found = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE NOT internal"
        ).fetchall()
    assert set(found) > BY_TASK
    return [named for named in found if named not in BY_TASK]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one generation, withdrawn, and one audit that failed: each test gets a copy."""
    path = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_HOME", str(path))
        publish(publication(1), predictions(1), settings())
        withdraw(STUDY, "why", "Ada", settings())
        with pytest.raises(PublicationGateClosed):
            publish(publication(2, audit=FAILED), predictions(2), settings())
    return path


@pytest.fixture
def home(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    shutil.copytree(store, tmp_path / "home")
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "home"))
    return settings()


@pytest.fixture
def by_hand(home: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(PublicationFolders(home.publication_dir).writer)) as connection:
        yield connection


@pytest.fixture(scope="module")
def copied(
    store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to one copy for all rows that are tried by hand."""
    copy = tmp_path_factory.mktemp("copied") / "writer.duckdb"
    shutil.copyfile(PublicationFolders(store / "publication").writer, copy)
    with duckdb.connect(str(copy)) as connection:
        yield connection


@pytest.fixture
def rolled_back(copied: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """A transaction of its own for each test: what it inserts is taken back."""
    copied.begin()
    yield copied
    copied.rollback()


def insert_another(
    by_hand: duckdb.DuckDBPyConnection, table: str, change: dict[str, str] | None = None
) -> None:
    """Insert a copy of the first row under a new name, with some columns changed."""
    values = dict(part.split(" AS ")[::-1] for part in ANOTHER[table].split(", "))
    values |= change or {}
    replaced = ", ".join(f"{value} AS {column}" for column, value in values.items())
    row = by_hand.table(table).limit(1).project(f"* REPLACE ({replaced})")
    row.insert_into(table)


@pytest.mark.parametrize("table", TABLES)
def test_a_row_that_breaks_nothing_goes_in(
    rolled_back: duckdb.DuckDBPyConnection, table: str
) -> None:
    """The control of the tests below: it is the changed column that they are refused for."""
    before = len(rolled_back.table(table).fetchall())
    insert_another(rolled_back, table)
    assert len(rolled_back.table(table).fetchall()) == before + 1


@pytest.mark.parametrize(("table", "column"), columns())
def test_a_null_is_refused_in_every_column_that_every_task_has(
    rolled_back: duckdb.DuckDBPyConnection, table: str, column: str
) -> None:
    with pytest.raises(duckdb.ConstraintException, match=f"NOT NULL.*{table}.{column}"):
        insert_another(rolled_back, table, {column: "NULL"})


REFUSED: list[tuple[str, str, dict[str, str], str]] = [
    ("releases", "a release under a missing audit", {"audit_id": "'nowhere'"}, "foreign key"),
    (
        "releases",
        "a release under other evidence than was judged",
        {"evidence_sha256": f"'{'d' * 64}'"},
        "foreign key",
    ),
    ("releases", "a release under a verdict fail", {"audit_verdict": "'fail'"}, "CHECK"),
    ("releases", "a release under an audit of another study", {"study": "'other'"}, "foreign key"),
    (
        "releases",
        "a release under the audit of a generation",
        {
            "audit_id": "'audit_predictions/00aa'",
            "evidence_sha256": f"'{'b' * 64}'",
            "audit_kind": "'generation'",
        },
        "CHECK",
    ),
    (
        "releases",
        "a release under the audit of a generation, said to be a model's",
        {"audit_id": "'audit_predictions/00aa'", "evidence_sha256": f"'{'b' * 64}'"},
        "foreign key",
    ),
    ("generations", "a generation under a missing audit", {"audit_id": "'nowhere'"}, "foreign key"),
    (
        "generations",
        "a generation under a failed audit, said to have passed",
        {"audit_id": f"'{FAILED.audit_id}'", "evidence_sha256": f"'{FAILED.evidence_sha256}'"},
        "foreign key",
    ),
    (
        "generations",
        "a generation under a failed audit, said so",
        {
            "audit_id": f"'{FAILED.audit_id}'",
            "evidence_sha256": f"'{FAILED.evidence_sha256}'",
            "audit_verdict": "'fail'",
        },
        "CHECK",
    ),
    ("generations", "a generation of a missing release", {"release_id": "'none'"}, "foreign key"),
    ("generations", "a generation of another study", {"study": "'other'"}, "foreign key"),
    ("generations", "a number given twice", {"generation_number": "1"}, "Duplicate"),
    ("predictions", "a missing generation", {"generation_id": "'none'"}, "foreign key"),
    ("predictions", "another release than its generation's", {"release_id": "'x'"}, "foreign key"),
    (
        "predictions",
        "another audit than its generation's",
        {"audit_id": f"'{FAILED.audit_id}'"},
        "foreign key",
    ),
    ("predictions", "a subject who is there already", {"subject_id": "1"}, "Duplicate"),
    ("predictions", "a score that is not a number", {"score": "'nan'::DOUBLE"}, "CHECK"),
    ("predictions", "a probability above one", {"score_calibrated": "1.01"}, "CHECK"),
    ("predictions", "a NaN probability", {"score_low": "'nan'::DOUBLE"}, "CHECK"),
    ("predictions", "a decision against the threshold", {"decision": "NOT decision"}, "CHECK"),
    ("predictions", "an interval upside down", {"score_low": "1", "score_high": "0"}, "CHECK"),
    ("audits", "an unknown verdict", {"verdict": "'perhaps'"}, "CHECK"),
    (
        "audits",
        "another verdict for the same evidence",
        {"audit_id": "audit_id", "verdict": "'cannot_tell'"},
        "Duplicate",
    ),
    ("state_changes", "a change without a reason", {"reason": "''"}, "CHECK"),
    ("state_changes", "a state unheard of", {"state": "'hidden'"}, "CHECK"),
    ("state_changes", "a missing generation", {"generation_id": "'none'"}, "foreign key"),
]


@pytest.mark.parametrize(
    ("table", "change", "reason"),
    [
        pytest.param(table, change, why, id=f"{table}: {name}")
        for table, name, change, why in REFUSED
    ],
)
def test_an_insert_by_hand_is_refused(
    rolled_back: duckdb.DuckDBPyConnection, table: str, change: dict[str, str], reason: str
) -> None:
    with pytest.raises(duckdb.ConstraintException, match=reason):
        insert_another(rolled_back, table, change)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audits SET verdict = 'fail' WHERE verdict = 'pass'",
        "UPDATE generations SET audit_verdict = 'fail'",
        "DELETE FROM audits WHERE verdict = 'pass'",
        "DELETE FROM releases",
        "DELETE FROM generations",
        "DROP TABLE audits",
        "DROP TABLE generations",
        "ALTER TABLE predictions DROP COLUMN generation_id",
        "ALTER TABLE generations ALTER audit_verdict DROP NOT NULL",
    ],
)
def test_what_predictions_hang_on_cannot_be_taken_from_under_them(
    by_hand: duckdb.DuckDBPyConnection, statement: str
) -> None:
    with pytest.raises(duckdb.Error, match=r"(?i)foreign key|primary key|main key|depend"):
        by_hand.execute(statement)


@pytest.mark.parametrize(
    "tampering",
    [
        "DELETE FROM predictions WHERE subject_id = 2",
        "INSERT INTO predictions SELECT * REPLACE (1000 AS subject_id) FROM predictions LIMIT 1",
        "CREATE OR REPLACE TABLE predictions AS SELECT * FROM predictions",
        "DROP TABLE state_changes",
        "CREATE TABLE another (a INTEGER)",
        "ALTER TABLE predictions ADD COLUMN note VARCHAR",
    ],
)
def test_what_the_database_lets_through_stops_the_next_publication(
    home: Settings, by_hand: duckdb.DuckDBPyConnection, tampering: str
) -> None:
    by_hand.execute(tampering)
    by_hand.close()
    snapshot = PublicationFolders(home.publication_dir).snapshot
    before = snapshot.read_bytes()

    with pytest.raises(ArtefactCorrupt):
        publish(publication(3), predictions(3), home)
    assert snapshot.read_bytes() == before


def test_a_writer_that_is_no_database_is_told_from_a_locked_one(home: Settings) -> None:
    writer = PublicationFolders(home.publication_dir).writer
    writer.write_bytes(b"")
    with pytest.raises(ArtefactCorrupt, match="cannot be opened"):
        publish(publication(3), predictions(3), home)
    assert read_current(STUDY, home).is_empty()


def test_a_state_that_changed_at_one_instant_is_told_by_its_number(
    home: Settings, by_hand: duckdb.DuckDBPyConnection
) -> None:
    """A clock that stands still or runs backwards must not bring a withdrawn row back."""
    past = datetime(1990, 1, 1, tzinfo=UTC)
    by_hand.execute(
        "INSERT INTO state_changes SELECT 2, generation_id, 'reinstated', 'r', 'Ada', $past "
        "FROM generations",
        {"past": past},
    )
    by_hand.close()
    withdraw_nothing = publish(publication(1), predictions(1), home)
    assert withdraw_nothing.made is False
    assert read_current(STUDY, home).height == 4

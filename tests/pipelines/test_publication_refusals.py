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
from pipelines.publication.store import open_store
from pipelines.settings import Settings, settings
from tests.pipelines.publication_examples import STUDY, predictions, publication

FAILED = AuditReference(audit_id="audit_predictions/bad", verdict="fail", evidence_sha256="c" * 64)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one generation, withdrawn, and one audit that failed: each test gets a copy."""
    path = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_HOME", str(path))
        publish(publication(1), predictions(1), settings())
        open_store(settings()).withdraw(STUDY, "why", "Ada")
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


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audits SET verdict = 'fail' WHERE verdict = 'pass'",
        "UPDATE publications SET audit_verdict = 'fail'",
        "DELETE FROM audits WHERE verdict = 'pass'",
        "DELETE FROM releases",
        "DELETE FROM publications",
        "DROP TABLE audits",
        "DROP TABLE publications",
        "ALTER TABLE predictions DROP COLUMN generation_id",
        "ALTER TABLE publications ALTER audit_verdict DROP NOT NULL",
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
        "DROP TABLE withdrawals",
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
    assert open_store(home).read_current(STUDY).is_empty()


def test_a_state_that_changed_at_one_instant_is_told_by_its_number(
    home: Settings, by_hand: duckdb.DuckDBPyConnection
) -> None:
    """A clock that stands still or runs backwards must not bring a withdrawn row back."""
    past = datetime(1990, 1, 1, tzinfo=UTC)
    by_hand.execute(
        "INSERT INTO withdrawals SELECT 2, generation_id, study, 'reinstated', 'r', 'Ada', $past "
        "FROM publications",
        {"past": past},
    )
    by_hand.close()
    withdraw_nothing = publish(publication(1), predictions(1), home)
    assert withdraw_nothing.made is False
    assert open_store(home).read_current(STUDY).height == 4

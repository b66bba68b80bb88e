"""A person is erased from append-only tables: rows and keys go, the chain still verifies."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.approvals.people import local_account
from pipelines.errors import GateClosed, PublicationGateClosed, SourceMissing
from pipelines.publication import erasure
from pipelines.publication.crosswalk import read_crosswalk, write_crosswalk
from pipelines.publication.erasure import erase
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.store import PublicationStore, open_store
from pipelines.publication.subject_pages import write_subject_page
from pipelines.settings import Settings, settings
from tests.pipelines.publication_examples import (
    STUDY,
    predictions,
    publication,
    recorded_release,
)

PAIRS = pl.DataFrame(
    {"subject_id": [1, 2, 3, 4], "source_id": ["mrn-1", "mrn-2", "mrn-3", "mrn-4"]}
)
ERASED = "mrn-2"


@pytest.fixture
def published(store: PublicationStore, home: Settings) -> PublicationStore:
    """Two generations of four subjects each, the first withdrawn."""
    write_crosswalk(STUDY, PAIRS, home)
    first = store.publish(publication(1), predictions(1))
    store.publish(publication(2), predictions(2))
    store.withdraw(STUDY, "why", "Ada", generation_id=first.generation_id)
    return store


def subjects(frame: pl.DataFrame) -> list[int]:
    return frame["subject_id"].sort().to_list()


def test_an_erased_subject_is_in_no_view_of_any_time_and_the_chain_still_verifies(
    published: PublicationStore, home: Settings
) -> None:
    before = datetime.now(UTC)
    assert published.verify() == ()

    receipt = erase(STUDY, ERASED, "Art. 17 GDPR", "Ada", home)

    assert receipt.rows == 2
    assert subjects(published.read_current(STUDY)) == [1, 3, 4]
    assert subjects(published.read_withdrawn(STUDY)) == [1, 3, 4]
    assert subjects(published.read_seen_at(STUDY, before)) == [1, 3, 4]
    assert published.verify() == ()
    assert [listed.row_count for listed in published.list_generations(STUDY)] == [4, 4]


def test_who_erased_how_many_is_counted_by_login_not_by_the_name_given(
    published: PublicationStore, home: Settings
) -> None:
    assert published.erasures_by_login() == {}
    for source_id, name in (("mrn-2", "Ada"), ("mrn-3", "Grace")):
        erase(STUDY, source_id, "Art. 17 GDPR", name, home)
    login = "equipoise_test_pipeline" if home.database_url else local_account()
    assert published.erasures_by_login() == {login: 2}


def test_later_publications_leave_the_subject_out_and_count_it(
    published: PublicationStore, home: Settings
) -> None:
    erase(STUDY, ERASED, "Art. 17 GDPR", "Ada", home)
    receipt = published.publish(publication(3), predictions(3))
    assert (receipt.row_count, receipt.left_out) == (3, 1)
    assert subjects(published.read_current(STUDY)) == [1, 3, 4]
    assert published.verify() == ()


def test_the_crosswalk_forgets_the_pair_and_ingesting_the_source_again_does_not_bring_it_back(
    published: PublicationStore, home: Settings
) -> None:
    erase(STUDY, ERASED, "Art. 17 GDPR", "Ada", home)
    write_crosswalk(STUDY, PAIRS, home)
    assert read_crosswalk(STUDY, home)["source_id"].to_list() == ["mrn-1", "mrn-3", "mrn-4"]
    with pytest.raises(SourceMissing) as unknown:
        erase(STUDY, ERASED, "Art. 17 GDPR", "Ada", home)
    assert ERASED not in str(unknown.value)


def test_an_erasure_that_was_killed_after_the_tables_is_finished_by_another_call(
    published: PublicationStore, home: Settings
) -> None:
    erase(STUDY, ERASED, "Art. 17 GDPR", "Ada", home)
    forgotten = PublicationFolders(home.publication_dir).private / "crosswalk"
    (forgotten / f"{STUDY}.erased").unlink()
    write_crosswalk(STUDY, PAIRS, home)

    assert erase(STUDY, ERASED, "Art. 17 GDPR", "Ada", home).rows == 0
    assert read_crosswalk(STUDY, home).height == 3
    assert published.verify() == ()


def test_the_other_study_keeps_its_rows(published: PublicationStore, home: Settings) -> None:
    other = recorded_release("other_study")
    published.publish(publication(1, of=other), predictions(1))
    erase(STUDY, ERASED, "Art. 17 GDPR", "Ada", home)
    assert subjects(published.read_current("other_study")) == [1, 2, 3, 4]


def test_who_erases_says_on_what_ground(published: PublicationStore, home: Settings) -> None:
    with pytest.raises(GateClosed):
        erase(STUDY, ERASED, " ", "Ada", home)
    assert subjects(published.read_current(STUDY)) == [1, 2, 3, 4]


def test_a_generation_of_nobody_else_is_refused_when_all_of_it_is_erased(
    store: PublicationStore, home: Settings
) -> None:
    write_crosswalk(STUDY, PAIRS, home)
    erase(STUDY, "mrn-1", "Art. 17 GDPR", "Ada", home)
    with pytest.raises(PublicationGateClosed, match="there is no row"):
        store.publish(publication(1), predictions(1, rows=1))


def test_the_page_about_the_subject_goes_and_the_others_stay(
    published: PublicationStore, home: Settings
) -> None:
    pages = [write_subject_page(STUDY, subject, "why", home) for subject in (1, 2)]
    assert [page.stat().st_mode & 0o777 for page in pages] == [0o600, 0o600]
    erase(STUDY, ERASED, "Art. 17 GDPR", "Ada", home)
    assert [page.exists() for page in pages] == [True, False]


def test_what_other_artefacts_hold_the_subject_is_listed_by_stage_and_key(
    published: PublicationStore, home: Settings
) -> None:
    events = home.artefacts_dir / "ingest_events" / "00aa"
    quarantine = home.artefacts_dir / "ingest_events" / "00bb"
    sequences = home.artefacts_dir / "build_sequences" / "00cc" / "train"
    others = home.artefacts_dir / "score_subjects" / "00dd"
    for folder in (events, quarantine, sequences, others):
        folder.mkdir(parents=True)
    (events / "events").mkdir()
    pl.DataFrame({"subject_id": [2, 2, 3]}).write_parquet(events / "events" / "00.parquet")
    pl.DataFrame({"source_id": ["mrn-2"]}).write_parquet(quarantine / "quarantine.parquet")
    np.save(sequences / "subject.npy", np.array([1, 2], dtype=np.int64))
    named = home.artefacts_dir / "merge_events" / "00ee"
    named.mkdir(parents=True)
    pl.DataFrame({"subject": ["mrn-2"]}).write_parquet(named / "quarantine.parquet")
    pl.DataFrame({"subject_id": [1], "other": [2]}).write_parquet(others / "scores.parquet")

    receipt = erase(STUDY, ERASED, "Art. 17 GDPR", "Ada", home)

    assert receipt.held_by == (
        *("build_sequences/00cc", "ingest_events/00aa", "ingest_events/00bb"),
        "merge_events/00ee",
    )
    assert receipt.unread == ()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("events/00.parquet", b"PAR1 torn"),
        ("quarantine.parquet", b""),
        ("train/subject.npy", b""),
        ("train/cluster.npy", b"\x93NUMPY\x01\x00torn"),
    ],
)
def test_an_artefact_that_cannot_be_read_keeps_no_pair_and_is_named(
    published: PublicationStore, home: Settings, file: str, content: bytes
) -> None:
    for folder in ("ingest_events/00aa", "ingest_events/00bb", "ingest_events/.draft-00cc-1-x"):
        torn = home.artefacts_dir / folder / file
        torn.parent.mkdir(parents=True)
        torn.write_bytes(content)
    # What can be read of it is looked into, in whatever order.
    for name in ("a.parquet", "z.parquet"):
        table = pl.DataFrame({"subject_id": [2]})
        table.write_parquet(home.artefacts_dir / "ingest_events" / "00bb" / name)

    receipt = erase(STUDY, ERASED, "Art. 17 GDPR", "Ada", home)

    assert (receipt.held_by, receipt.unread) == (("ingest_events/00bb",), ("ingest_events/00aa",))
    assert ERASED not in read_crosswalk(STUDY, home)["source_id"].to_list()


def test_a_search_that_is_ended_by_hand_ends_after_the_person_is_erased(
    published: PublicationStore, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(erasure, "search_artefacts", ended)
    with pytest.raises(KeyboardInterrupt):
        erase(STUDY, ERASED, "Art. 17 GDPR", "Ada", home)
    assert ERASED not in read_crosswalk(STUDY, home)["source_id"].to_list()
    assert subjects(published.read_current(STUDY)) == [1, 3, 4]


def test_no_byte_of_the_row_is_left_in_the_files_of_duckdb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A score that no other row has is looked for, as DuckDB stores it, in every file."""
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))
    home, told = settings(), 1234.56789012345
    write_crosswalk(STUDY, PAIRS, home)
    is_told = pl.col("subject_id") == 2
    rows = predictions(1).with_columns(
        score=pl.when(is_told).then(told).otherwise(pl.int_range(pl.len()).cast(pl.Float64) / 7)
    )
    open_store(home).publish(publication(1), rows)
    needle = np.float64(told).tobytes()

    def files() -> list[bytes]:
        root = home.publication_dir
        return [path.read_bytes() for path in root.rglob("*") if path.is_file()]

    assert any(needle in content for content in files())
    erase(STUDY, ERASED, "Art. 17 GDPR", "Ada", home)
    assert not any(needle in content for content in files())

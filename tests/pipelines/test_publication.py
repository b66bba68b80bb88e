"""A generation is published whole, found again by date, taken back without losing a row."""

import stat
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from pydantic import ValidationError

from pipelines.errors import PublicationGateClosed, SourceMissing
from pipelines.publication.contract import REASONS, Publication, published_rows
from pipelines.publication.duckdb import add_generation, publish
from pipelines.publication.duckdb_reading import open_snapshot
from pipelines.publication.recording import record_audits
from pipelines.publication.rules import NAMES, ONLY_QUANTILES
from pipelines.publication.store import open_store
from pipelines.publication.writer import open_writer
from pipelines.settings import Settings, settings
from tests.pipelines.publication_examples import (
    STUDY,
    folders,
    numbers,
    predictions,
    publication,
    publish_number,
    recorded_release,
    release,
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path / "it's home"))
    return settings()


def test_a_published_row_says_all_that_an_analyst_needs(home: Settings) -> None:
    before = datetime.now(UTC)
    receipt = publish(publication(7), predictions(7), home)

    row = open_store(home).read_current(STUDY).row(2, named=True)
    published_at = row.pop("published_at")
    assert before <= published_at <= datetime.now(UTC)
    assert published_at == receipt.published_at
    assert row == {
        "study": STUDY,
        "task": "risk",
        "is_point_in_time": True,
        "subject_id": 3,
        **dict.fromkeys(NAMES),
        "index_time": datetime(2020, 1, 1, tzinfo=UTC),
        "score": 7.0,
        "score_calibrated": 0.75,
        "score_low": 0.375,
        "score_high": 0.875,
        **dict.fromkeys(ONLY_QUANTILES),
        "threshold": 0.5,
        "decision": True,
        **dict.fromkeys(REASONS),
        "sequence_length": 7,
        "share_missing": 0.25,
        "split": "none",
        "model_key": "train_model/0001",
        "model_sha256": "1" * 60 + "0001",
        "model_audit_id": "audit_model/of-0001",
        "model_evidence_sha256": "a" * 64,
        "release_id": release().release_id,
        "audit_id": "audit_predictions/00aa",
        "evidence_sha256": "b" * 64,
        "scores_key": "score_subjects/0007",
        "events_key": "ingest_events/0007",
        "universe_snapshot": "ingest_events/0007",
        "sequences_key": "build_sequences/0007",
        "generation_id": receipt.generation_id,
        "as_of": datetime(2020, 1, 8, tzinfo=UTC),
    }


def test_the_decision_is_taken_at_the_threshold_of_the_release(home: Settings) -> None:
    publish_number(home, 1)
    # Calibrated scores of subjects 1..4 are .25, .5, .75 and 0; the threshold is .5.
    assert open_store(home).read_current(STUDY)["decision"].to_list() == [False, True, True, False]


def test_a_date_means_that_whole_day_in_utc_whatever_the_zone_of_the_session(
    home: Settings,
) -> None:
    evening = publication(1).model_copy(update={"as_of": datetime(2020, 1, 2, 23, 30, tzinfo=UTC)})
    publish(evening, predictions(1), home)

    with open_snapshot(home) as snapshot:
        for zone in ("Pacific/Kiritimati", "UTC", "Pacific/Honolulu"):
            snapshot.execute(f"SET TimeZone = '{zone}'")
            found = snapshot.execute("SELECT count(*) FROM predictions_as_of(DATE '2020-01-02')")
            assert found.fetchall() == [(4,)]
            found = snapshot.execute("SELECT count(*) FROM predictions_as_of('2020-01-01')")
            assert found.fetchall() == [(0,)]


def test_two_studies_share_the_tables_and_not_their_rows(home: Settings) -> None:
    publish_number(home, 1)
    other = recorded_release("other_study")
    publish(publication(2, of=other), predictions(2, rows=2), home)

    assert numbers(open_store(home).read_current(STUDY)) == [1.0]
    assert numbers(open_store(home).read_current("other_study")) == [2.0]


def test_the_parquet_file_equals_the_current_view(home: Settings) -> None:
    publish_number(home, 1)
    publish_number(home, 2, rows=100)

    parquet = pl.read_parquet(folders(home).parquet)
    assert_frame_equal(parquet, open_store(home).read_current(STUDY))
    assert parquet.height == 100


def test_a_parquet_file_is_never_replaced_and_the_one_before_stays_a_while(home: Settings) -> None:
    resolved = [publish(publication(n), predictions(n), home).parquet for n in (1, 2)]

    assert folders(home).parquet.resolve() == resolved[1]
    assert [numbers(pl.read_parquet(path)) for path in resolved if path] == [[1.0], [2.0]]
    third = publish(publication(3), predictions(3), home).parquet
    assert set(folders(home).parquet_files.iterdir()) == {resolved[1], third}


def test_publishing_the_same_generation_again_leaves_the_same_parquet_file(home: Settings) -> None:
    first = publish(publication(1), predictions(1), home).parquet
    assert publish(publication(1), predictions(1), home).parquet == first
    assert list(folders(home).parquet_files.iterdir()) == [first]


def test_a_withdrawal_leaves_no_parquet_file_with_withdrawn_rows(home: Settings) -> None:
    publish_number(home, 1)
    publish_number(home, 2)
    open_store(home).withdraw(STUDY, "wrong units", "Ada")

    (only,) = folders(home).parquet_files.iterdir()
    assert pl.read_parquet(only).is_empty()


def test_the_publication_can_be_moved_to_another_folder(home: Settings) -> None:
    publish_number(home, 1)
    moved = home.publication_dir.rename(home.home / "elsewhere")
    assert numbers(pl.read_parquet(moved / "predictions.parquet")) == [1.0]


def test_withdrawn_predictions_leave_every_view_but_their_own(home: Settings) -> None:
    first, second = publish_number(home, 1), publish_number(home, 2)

    assert open_store(home).withdraw(STUDY, "wrong units", "Ada") == (first, second)

    assert open_store(home).read_current(STUDY).is_empty()
    assert open_store(home).read_as_of(STUDY, date(2030, 1, 1)).is_empty()
    assert pl.read_parquet(folders(home).parquet).is_empty()
    withdrawn = open_store(home).read_withdrawn(STUDY)
    assert numbers(withdrawn) == [1.0, 2.0]
    assert withdrawn.height == 8
    assert set(withdrawn.select("reason", "changed_by").rows()) == {("wrong units", "Ada")}


def test_the_generations_are_listed_with_their_state(home: Settings) -> None:
    publish_number(home, 1, rows=2)
    second = publish_number(home, 2, rows=3)
    publish_number(home, 3, rows=4)
    open_store(home).withdraw(STUDY, "why", "Ada", generation_id=second)

    listed = open_store(home).list_generations(STUDY)
    assert [(entry.row_count, entry.state, entry.is_current) for entry in listed] == [
        (2, "published", False),
        (3, "withdrawn", False),
        (4, "published", True),
    ]


def test_before_the_first_publication_there_is_nothing_to_read(home: Settings) -> None:
    assert open_store(home).list_generations(STUDY) == ()
    with pytest.raises(SourceMissing, match="Nothing was published"):
        open_store(home).read_current(STUDY)


def test_rows_that_the_database_refuses_leave_no_generation_without_rows(home: Settings) -> None:
    twice = pl.concat([published_rows(publication(1), predictions(1))] * 2)
    with open_writer(folders(home), 1) as writer:
        record_audits(writer, publication(1))
        with pytest.raises(PublicationGateClosed, match="a constraint"):
            add_generation(writer, publication(1), twice)
        for table in ("releases", "publications", "predictions"):
            assert writer.table(table).fetchall() == []
    assert publish(publication(1), predictions(1), home).made


BREAKAGES: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], str]] = {
    "a column is missing": (lambda rows: rows.drop("split"), r"missing \['split'\]"),
    "a column is unknown": (
        lambda rows: rows.with_columns(name=pl.lit("x")),
        r"unknown \['name'\]",
    ),
    "a type does not fit": (
        lambda rows: rows.with_columns(sequence_length=pl.lit("long")),
        "another type",
    ),
    "no row": (lambda rows: rows.clear(), "there is no row"),
    "a score is null": (
        lambda rows: rows.with_columns(score=pl.lit(None, pl.Float64)),
        "4 of 4 rows break: score is known",
    ),
    "a score is infinite": (
        lambda rows: rows.with_columns(score=pl.lit(float("inf"))),
        "score is a finite number",
    ),
    "a share is NaN": (
        lambda rows: rows.with_columns(share_missing=pl.lit(float("nan"))),
        "share_missing is within 0 and 1",
    ),
    "a calibrated score is above one": (
        lambda rows: rows.with_columns(score_calibrated=pl.lit(1.5)),
        "score_calibrated is within",
    ),
    "an interval is upside down": (
        lambda rows: rows.with_columns(score_low=pl.lit(0.9), score_high=pl.lit(0.1)),
        "not above score_high",
    ),
    "a length is negative": (
        lambda rows: rows.with_columns(sequence_length=pl.lit(-1, pl.Int32)),
        "not negative",
    ),
    "a split is unheard of": (
        lambda rows: rows.with_columns(split=pl.lit("holdout")),
        "split is one of",
    ),
    "a subject comes twice": (
        lambda rows: pl.concat([rows, rows.head(1)]),
        "1 of 5 rows break: one row per subject",
    ),
    "the index time lies after the day of as_of": (
        lambda rows: rows.with_columns(index_time=pl.datetime(2020, 1, 3, time_zone="UTC")),
        "not after the day of as_of",
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_rows_that_break_the_contract_are_refused_by_rule_and_count(
    home: Settings, breakage: str
) -> None:
    damage, message = BREAKAGES[breakage]
    with pytest.raises(PublicationGateClosed, match=message):
        publish(publication(1), damage(predictions(1)), home)
    assert open_store(home).list_generations(STUDY) == ()


def test_a_publication_of_another_study_than_its_release_cannot_be_made(home: Settings) -> None:
    content = publication(1).model_dump() | {"study": "other_study"}
    with pytest.raises(ValidationError, match="another study"):
        Publication.model_validate(content)


def test_a_date_without_a_zone_is_read_as_utc(home: Settings) -> None:
    content = publication(1).model_dump() | {"as_of": "2020-03-01"}
    assert Publication.model_validate(content).as_of == datetime(2020, 3, 1, tzinfo=UTC)


def test_the_private_part_is_for_its_owner_and_the_rest_is_read_only(home: Settings) -> None:
    publish_number(home, 1)

    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    assert mode(folders(home).private) == 0o700
    assert mode(folders(home).writer) == 0o600
    assert mode(folders(home).snapshot) == 0o440
    assert mode(folders(home).parquet) == 0o440
    assert list(folders(home).drafts.iterdir()) == []
    names = sorted(path.name for path in home.publication_dir.iterdir())
    assert names == ["parquet", "predictions.duckdb", "predictions.parquet", "private"]

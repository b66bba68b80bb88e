"""Small publications with numbers that a reader can check in the head."""

from datetime import UTC, datetime, timedelta

import polars as pl

from pipelines.publication.contract import AuditReference, Publication
from pipelines.publication.duckdb import publish
from pipelines.publication.folders import PublicationFolders
from pipelines.releases import Release, Verdict, record_release
from pipelines.settings import Settings

STUDY = "toy_study"
FIRST_DAY = datetime(2020, 1, 1, tzinfo=UTC)
PASSED = AuditReference(audit_id="audit_predictions/00aa", verdict="pass", evidence_sha256="b" * 64)


def release(
    study: str = STUDY, *, model: str = "train_model/0001", verdict: Verdict = "pass"
) -> Release:
    """A release of the toy study; the model's key, and weights after it, tell two apart."""
    return Release.of(
        study=study,
        model_key=model,
        model_sha256=model[-4:].rjust(64, "1"),
        audit_key=f"audit_model/of-{model[-4:]}",
        audit_sha256="a" * 64,
        verdict=verdict,
        events_key="ingest_events/0001",
        sequences_key="build_sequences/0001",
        records_sha256="2" * 64,
        policy_sha256="3" * 64,
        threshold=0.5,
    )


def audited_anew(known: Release) -> Release:
    """The same model under another audit: another release of the same weights."""
    content = known.model_dump(exclude={"release_id", "created_at"})
    return Release.of(**content | {"audit_key": "audit_model/anew", "audit_sha256": "c" * 64})


def recorded_release(study: str = STUDY, *, model: str = "train_model/0001") -> Release:
    """A release that stands in the record of the installation that the environment names."""
    return record_release(study, release(study, model=model))


def publication(
    number: int = 1,
    *,
    of: Release | None = None,
    day: int | None = None,
    audit: AuditReference = PASSED,
) -> Publication:
    """Generation ``number``; its as-of date is that many days after 1 January 2020."""
    standing = of or recorded_release()
    return Publication(
        study=standing.study,
        as_of=FIRST_DAY + timedelta(days=number if day is None else day),
        release=standing,
        audit=audit,
        scores_key=f"score_subjects/{number:04d}",
        events_key=f"ingest_events/{number:04d}",
        sequences_key=f"build_sequences/{number:04d}",
    )


def predictions(number: int = 1, *, rows: int = 4) -> pl.DataFrame:
    """Subjects 1..rows; subject s has the calibrated score (s % 4) / 4, and score = number."""
    subject = pl.int_range(1, rows + 1, eager=True, dtype=pl.Int64).alias("subject_id")
    calibrated = (pl.col("subject_id") % 4) / 4
    return subject.to_frame().with_columns(
        index_time=pl.lit(FIRST_DAY).dt.cast_time_unit("us"),
        score=pl.lit(float(number)),
        score_calibrated=calibrated,
        score_low=calibrated / 2,
        score_high=(1 + calibrated) / 2,
        sequence_length=pl.lit(number, pl.Int32),
        share_missing=pl.lit(0.25),
        split=pl.lit("none"),
    )


def folders(home: Settings) -> PublicationFolders:
    return PublicationFolders(home.publication_dir)


def publish_number(home: Settings, number: int, *, day: int | None = None, rows: int = 4) -> str:
    receipt = publish(publication(number, day=day), predictions(number, rows=rows), home)
    return receipt.generation_id


def numbers(frame: pl.DataFrame) -> list[float]:
    """The generations that a table shows: ``score`` is the number of its generation."""
    return frame["score"].unique().sort().to_list()

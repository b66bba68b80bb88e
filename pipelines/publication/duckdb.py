"""Publish a generation of predictions: DuckDB, the embedded default.

A publication is one transaction in the writer's private database, then a new snapshot for readers.
The gate is asked first; the database's own constraints refuse whatever slips past it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import polars as pl

from pipelines.approvals.record import ApprovalRecord
from pipelines.publication.anchor import write_anchor
from pipelines.publication.commitments import commit_rows, rows_digest
from pipelines.publication.contract import (
    GenerationReceipt,
    Publication,
    published_rows,
    rows_refused,
)
from pipelines.publication.duckdb_erasure import erased_hashes
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.gate import gate_closed, require_open_gate
from pipelines.publication.recording import add_approval, add_row, head_of, record_audits
from pipelines.publication.rows import publication_row, release_row
from pipelines.publication.snapshot import refresh_snapshot, repair_snapshot
from pipelines.publication.tombstones import leave_out
from pipelines.publication.writer import LOCK_WAIT_SECONDS, open_writer, transaction
from pipelines.settings import Settings

KNOWN_RELEASE = "SELECT count(*) FROM releases WHERE release_id = $release_id"
NEXT_NUMBER = "SELECT COALESCE(max(generation_number), 0) + 1 FROM publications"
GENERATION = """
SELECT published_at AT TIME ZONE 'UTC', row_count, stands
FROM publication_states
WHERE generation_id = $generation_id
"""


@dataclass(frozen=True)
class Generation:
    """What the store knows of one generation; times are UTC."""

    published_at: datetime
    row_count: int
    stands: bool


def publish(
    publication: Publication,
    predictions: pl.DataFrame,
    settings: Settings,
    *,
    lock_wait_seconds: float = LOCK_WAIT_SECONDS,
) -> GenerationReceipt:
    """Publish one generation: readers see the last one or all of this one.

    Publishing the same generation again adds no row and repairs the readers' files. An audit that
    did not pass is recorded, so that the store knows it, and nothing else happens. Subjects who
    were erased are left out.

    Args:
        predictions: one row per subject, the columns of ``contract.COLUMNS``.

    Raises:
        PublicationGateClosed: an audit did not pass and nobody approved it, the release is not
            recorded or was withdrawn, or superseded with none standing since, this generation was
            withdrawn, the store knows an audit with another verdict, or the rows break the
            contract.
        StoreLocked: another process publishes, or holds the writer's database open.
        ArtefactCorrupt: the writer's database was changed by hand.
    """
    folders = PublicationFolders(settings.publication_dir)
    with open_writer(folders, lock_wait_seconds) as writer:
        with transaction(writer):
            record_audits(writer, publication)
        require_open_gate(publication, settings)
        erased = erased_hashes(writer, publication.study)
        given = leave_out(predictions, publication.study, erased)
        rows = published_rows(publication, given)
        known = find_generation(writer, publication)
        if known is not None and not known.stands:
            raise gate_closed(publication, "this very generation was withdrawn")
        generation = known or add_generation(writer, publication, rows)
        parquet = refresh_snapshot(writer, folders, keep_previous=True)
        write_anchor(head_of(writer), settings)
    return GenerationReceipt(
        study=publication.study,
        generation_id=publication.generation_id,
        release_id=publication.release.release_id,
        row_count=generation.row_count,
        made=known is None,
        left_out=predictions.height - given.height,
        published_at=generation.published_at,
        snapshot=folders.snapshot,
        parquet=parquet,
    )


def record_approval(approval: ApprovalRecord, settings: Settings) -> bool:
    """Add what was decided, approved or rejected, at once; False if it was there already.

    Raises:
        PublicationGateClosed: the store knows the audit with another verdict.
        StoreLocked: another process publishes, or holds the writer's database open.
        ArtefactCorrupt: the writer's database was changed by hand.
    """
    folders = PublicationFolders(settings.publication_dir)
    with open_writer(folders, LOCK_WAIT_SECONDS) as writer:
        with transaction(writer):
            is_new = add_approval(writer, approval)
        repair_snapshot(writer, folders)
        write_anchor(head_of(writer), settings)
    return is_new


def find_generation(
    writer: duckdb.DuckDBPyConnection, publication: Publication
) -> Generation | None:
    """The generation as the writer's database holds it, if it does."""
    found = writer.execute(GENERATION, {"generation_id": publication.generation_id}).fetchone()
    if found is None:
        return None
    return Generation(
        published_at=found[0].replace(tzinfo=UTC), row_count=found[1], stands=found[2]
    )


def add_generation(
    writer: duckdb.DuckDBPyConnection, publication: Publication, rows: pl.DataFrame
) -> Generation:
    """Add the generation in one transaction.

    Raises:
        PublicationGateClosed: a constraint of the database refuses it.
    """
    generation = Generation(datetime.now(UTC), rows.height, stands=True)
    committed = commit_rows(table_rows(publication, rows))
    writer.register("incoming", committed.to_arrow())
    try:
        with transaction(writer):
            _insert_all(writer, publication, generation, committed)
    except duckdb.ConstraintException:
        # The database's own message shows the key it refused, a pseudonym perhaps.
        raise rows_refused(publication, "a constraint of the database refuses them") from None
    finally:
        writer.unregister("incoming")
    return generation


def table_rows(publication: Publication, rows: pl.DataFrame) -> pl.DataFrame:
    """The published rows with the names of what they hang on."""
    return rows.with_columns(
        generation_id=pl.lit(publication.generation_id),
        study=pl.lit(publication.study),
        release_id=pl.lit(publication.release.release_id),
        audit_id=pl.lit(publication.audit.audit_id),
    )


def _insert_all(
    writer: duckdb.DuckDBPyConnection,
    publication: Publication,
    generation: Generation,
    committed: pl.DataFrame,
) -> None:
    release, task = publication.release, committed["task"].item(0)
    add_approval(writer, release.approval)
    if writer.execute(KNOWN_RELEASE, {"release_id": release.release_id}).fetchall() == [(0,)]:
        add_row(writer, "releases", "release", release_row(release, task))
    row = publication_row(
        publication,
        task=task,
        published_at=generation.published_at,
        row_count=generation.row_count,
        digest=rows_digest(committed["commitment"]),
    )
    ((number,),) = writer.execute(NEXT_NUMBER).fetchall()
    add_row(writer, "publications", "publication", row | {"generation_number": number})
    writer.execute("INSERT INTO predictions BY NAME FROM incoming")

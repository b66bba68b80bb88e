"""Publish a generation of predictions: DuckDB, the embedded default.

A publication is one transaction in the writer's private database, then a new snapshot for readers.
The gate is asked first; the database's own constraints refuse whatever slips past it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import polars as pl

from pipelines.errors import PublicationGateClosed
from pipelines.publication.contract import (
    COLUMNS,
    AuditReference,
    GenerationReceipt,
    Publication,
    published_rows,
    rows_refused,
)
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.snapshot import refresh_snapshot
from pipelines.publication.writer import LOCK_WAIT_SECONDS, open_writer, transaction
from pipelines.releases import ListedRelease, Release, list_releases, withdrawal_of_model
from pipelines.settings import Settings

KNOWN_AUDIT = """
SELECT kind, verdict
FROM audits
WHERE study = $study AND audit_id = $audit_id AND evidence_sha256 = $evidence_sha256
"""

# An audit that is there already stays as it is: it was compared with the known one before.
INSERT_AUDIT = """
INSERT INTO audits (study, audit_id, evidence_sha256, kind, verdict, recorded_at)
VALUES ($study, $audit_id, $evidence_sha256, $kind, $verdict, $recorded_at)
ON CONFLICT DO NOTHING
"""

INSERT_RELEASE = """
INSERT INTO releases (
    release_id, study, model_key, model_sha256, events_key, sequences_key, task,
    threshold, audit_id, evidence_sha256, audit_kind, audit_verdict, created_at
) VALUES (
    $release_id, $study, $model_key, $model_sha256, $events_key, $sequences_key, $task,
    $threshold, $audit_key, $audit_sha256, 'model', $verdict, $created_at
)
ON CONFLICT DO NOTHING
"""

INSERT_GENERATION = """
INSERT INTO generations (
    generation_id, generation_number, study, release_id, task, audit_id, evidence_sha256,
    audit_kind, audit_verdict, scores_key, events_key, sequences_key, as_of, published_at, row_count
) SELECT
    $generation_id, COALESCE(max(generation_number), 0) + 1, $study, $release_id, $task,
    $audit_id, $evidence_sha256, 'generation', $verdict, $scores_key, $events_key,
    $sequences_key, $as_of, $published_at, $row_count
FROM generations
"""

# The columns of ``contract.COLUMNS`` and what the release decides.
INSERT_PREDICTIONS = f"""
INSERT INTO predictions (
    generation_id, release_id, audit_id, {", ".join(COLUMNS)}, threshold, decision
) SELECT
    $generation_id, $release_id, $audit_id, {", ".join(COLUMNS)}, threshold, decision
FROM incoming
"""  # noqa: S608 - the names are this program's own

GENERATION = """
SELECT published_at AT TIME ZONE 'UTC', row_count, stands
FROM generation_states
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
    did not pass is recorded, so that the store knows it, and nothing else happens.

    Args:
        predictions: one row per subject, the columns of ``contract.COLUMNS``.

    Raises:
        PublicationGateClosed: an audit did not pass, the release is not recorded or was withdrawn,
            or superseded with none standing since, this generation was withdrawn, the store knows
            an audit with another verdict, or the rows break the contract.
        StoreLocked: another process publishes, or holds the writer's database open.
        ArtefactCorrupt: the writer's database was changed by hand.
    """
    folders = PublicationFolders(settings.publication_dir)
    with open_writer(folders, lock_wait_seconds) as writer:
        record_audits(writer, publication)
        _require_open_gate(publication, settings)
        rows = published_rows(publication, predictions)
        known = find_generation(writer, publication)
        if known is not None and not known.stands:
            raise _gate_closed(publication, "this very generation was withdrawn")
        generation = known or add_generation(writer, publication, rows)
        parquet = refresh_snapshot(writer, folders, keep_previous=True)
    return GenerationReceipt(
        study=publication.study,
        generation_id=publication.generation_id,
        release_id=publication.release.release_id,
        row_count=generation.row_count,
        made=known is None,
        published_at=generation.published_at,
        snapshot=folders.snapshot,
        parquet=parquet,
    )


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
    writer.register("incoming", rows.to_arrow())
    try:
        with transaction(writer):
            _insert_all(writer, publication, generation, task=rows["task"].item(0))
    except duckdb.ConstraintException:
        # The database's own message shows the key it refused, a pseudonym perhaps.
        raise rows_refused(publication, "a constraint of the database refuses them") from None
    finally:
        writer.unregister("incoming")
    return generation


def _insert_all(
    writer: duckdb.DuckDBPyConnection,
    publication: Publication,
    generation: Generation,
    *,
    task: str,
) -> None:
    release = publication.release
    names = {
        "generation_id": publication.generation_id,
        "release_id": release.release_id,
        "audit_id": publication.audit.audit_id,
    }
    # What it was trained and judged under is in its name; the table has no column for it.
    columns = release.model_dump(exclude={"records_sha256", "policy_sha256", "approval"})
    writer.execute(INSERT_RELEASE, columns | {"task": task})
    described = names | {
        "study": publication.study,
        "task": task,
        "evidence_sha256": publication.audit.evidence_sha256,
        "verdict": publication.audit.verdict,
        "scores_key": publication.scores_key,
        "events_key": publication.events_key,
        "sequences_key": publication.sequences_key,
        "as_of": publication.as_of,
        "published_at": generation.published_at,
        "row_count": generation.row_count,
    }
    writer.execute(INSERT_GENERATION, described)
    writer.execute(INSERT_PREDICTIONS, names)


def record_audits(writer: duckdb.DuckDBPyConnection, publication: Publication) -> None:
    """Add the audits of model and generation with their verdicts, whatever these are.

    Raises:
        PublicationGateClosed: the store knows one of them otherwise; then neither is added.
    """
    audits: dict[str, AuditReference] = {
        "model": publication.model_audit,
        "generation": publication.audit,
    }
    with transaction(writer):
        for kind, audit in audits.items():
            _require_no_contradiction(writer, publication, kind, audit)
            named = {"study": publication.study, "kind": kind, "recorded_at": datetime.now(UTC)}
            writer.execute(INSERT_AUDIT, audit.model_dump() | named)


def _require_no_contradiction(
    writer: duckdb.DuckDBPyConnection, publication: Publication, kind: str, audit: AuditReference
) -> None:
    named = {
        "study": publication.study,
        "audit_id": audit.audit_id,
        "evidence_sha256": audit.evidence_sha256,
    }
    known = writer.execute(KNOWN_AUDIT, named).fetchone()
    if known not in (None, (kind, audit.verdict)):
        raise PublicationGateClosed(
            f"Nothing is published for {publication.study}: on the same evidence the store knows "
            f"this audit as of a {known[0]} with verdict {known[1]}, and it is now said to be of "
            f"a {kind} with verdict {audit.verdict}.",
            where=audit.audit_id,
            remedy="The previous generation stands untouched. The evidence tells which verdict is "
            "the gate's; audit anew, so that the new audit has a key of its own.",
        )


def _require_open_gate(publication: Publication, settings: Settings) -> None:
    for kind, audit in (("model", publication.model_audit), ("predictions", publication.audit)):
        if audit.verdict != "pass":
            raise _gate_closed(publication, f"the audit of the {kind} says {audit.verdict}")
    why = _why_release_is_closed(publication.release, list_releases(publication.study, settings))
    if why is not None:
        raise _gate_closed(publication, why)


def _why_release_is_closed(release: Release, listed: tuple[ListedRelease, ...]) -> str | None:
    """Scores under way when a newer release came may still be published; none after a withdrawal.

    After a withdrawal no older release comes back by itself, neither to score nor to publish.
    """
    states = {known.release.release_id: known.state for known in listed}
    state = states.get(release.release_id)
    if state == "current":
        return None
    if state != "superseded":
        return f"its release is {state or 'not in the record of releases'}"
    if "current" not in states.values():
        return "its release is superseded, and the one after it was withdrawn: none stands"
    if withdrawal_of_model(release.model_sha256, listed) is not None:
        return "its release is superseded, and its model was withdrawn under another audit"
    return None


def _gate_closed(publication: Publication, why: str) -> PublicationGateClosed:
    return PublicationGateClosed(
        f"Nothing is published for {publication.study}: {why}.",
        where=publication.audit.audit_id,
        remedy="The previous generation stands untouched. Read the audit's report; then correct "
        "the data, train anew, or let a person reinstate what a person withdrew.",
    )

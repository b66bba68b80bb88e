"""A database of the version before, copied into a new file: its tables knew one task, risk.

DuckDB cannot add a constraint to a table that is there. So the rows go into a file with the new
tables and all their constraints, and the file is renamed over the old one: a publisher killed
on the way leaves the old file as it was.
"""

import duckdb

from pipelines.durable import PRIVATE_FILE_MODE, fsync_path, rename_into_place
from pipelines.publication.connection import connect, table_definitions
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.schema import TABLES

RELEASES_WITHOUT_TASK = """
CREATE TABLE releases (
    release_id VARCHAR NOT NULL CHECK (release_id <> ''),
    study VARCHAR NOT NULL,
    model_key VARCHAR NOT NULL CHECK (model_key <> ''),
    model_sha256 VARCHAR NOT NULL CHECK (length(model_sha256) = 64),
    events_key VARCHAR NOT NULL CHECK (events_key <> ''),
    sequences_key VARCHAR NOT NULL CHECK (sequences_key <> ''),
    threshold DOUBLE PRECISION NOT NULL CHECK (threshold BETWEEN 0 AND 1),
    audit_id VARCHAR NOT NULL,
    evidence_sha256 VARCHAR NOT NULL,
    audit_kind VARCHAR NOT NULL CHECK (audit_kind = 'model'),
    audit_verdict VARCHAR NOT NULL CHECK (audit_verdict = 'pass'),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (release_id),
    UNIQUE (release_id, study),
    FOREIGN KEY (study, audit_id, evidence_sha256, audit_kind, audit_verdict)
        REFERENCES audits (study, audit_id, evidence_sha256, kind, verdict)
)
"""

GENERATIONS_WITHOUT_TASK = """
CREATE TABLE generations (
    generation_id VARCHAR NOT NULL CHECK (generation_id <> ''),
    generation_number BIGINT NOT NULL,
    study VARCHAR NOT NULL,
    release_id VARCHAR NOT NULL,
    audit_id VARCHAR NOT NULL,
    evidence_sha256 VARCHAR NOT NULL,
    audit_kind VARCHAR NOT NULL CHECK (audit_kind = 'generation'),
    audit_verdict VARCHAR NOT NULL CHECK (audit_verdict = 'pass'),
    scores_key VARCHAR NOT NULL CHECK (scores_key <> ''),
    events_key VARCHAR NOT NULL CHECK (events_key <> ''),
    sequences_key VARCHAR NOT NULL CHECK (sequences_key <> ''),
    as_of TIMESTAMP WITH TIME ZONE NOT NULL,
    published_at TIMESTAMP WITH TIME ZONE NOT NULL,
    row_count BIGINT NOT NULL CHECK (row_count > 0),
    PRIMARY KEY (generation_id),
    UNIQUE (generation_number),
    UNIQUE (generation_id, release_id, audit_id),
    FOREIGN KEY (release_id, study) REFERENCES releases (release_id, study),
    FOREIGN KEY (study, audit_id, evidence_sha256, audit_kind, audit_verdict)
        REFERENCES audits (study, audit_id, evidence_sha256, kind, verdict)
)
"""

PREDICTIONS_WITHOUT_TASK = """
CREATE TABLE predictions (
    generation_id VARCHAR NOT NULL,
    release_id VARCHAR NOT NULL,
    audit_id VARCHAR NOT NULL,
    subject_id BIGINT NOT NULL,
    index_time TIMESTAMP WITH TIME ZONE NOT NULL,
    score DOUBLE PRECISION NOT NULL CHECK (score BETWEEN -1e300 AND 1e300),
    score_calibrated DOUBLE PRECISION NOT NULL CHECK (score_calibrated BETWEEN 0 AND 1),
    score_low DOUBLE PRECISION NOT NULL CHECK (score_low BETWEEN 0 AND 1),
    score_high DOUBLE PRECISION NOT NULL CHECK (score_high BETWEEN 0 AND 1),
    sequence_length INTEGER NOT NULL CHECK (sequence_length >= 0),
    share_missing DOUBLE PRECISION NOT NULL CHECK (share_missing BETWEEN 0 AND 1),
    split VARCHAR NOT NULL CHECK (split IN ('train', 'validation', 'test', 'none')),
    threshold DOUBLE PRECISION NOT NULL CHECK (threshold BETWEEN 0 AND 1),
    decision BOOLEAN NOT NULL,
    CHECK (score_low <= score_high),
    CHECK (decision = (score_calibrated >= threshold)),
    PRIMARY KEY (generation_id, subject_id),
    FOREIGN KEY (generation_id, release_id, audit_id)
        REFERENCES generations (generation_id, release_id, audit_id)
)
"""

TABLES_WITHOUT_TASK = TABLES | {
    "releases": RELEASES_WITHOUT_TASK,
    "generations": GENERATIONS_WITHOUT_TASK,
    "predictions": PREDICTIONS_WITHOUT_TASK,
}

# What an old row did not say: every study predicted a patient's risk. A column that is not named
# here and was not there, a quantile, a price or the name of an instrument, is NULL.
ADDED = {
    "releases": "'risk' AS task",
    "generations": "'risk' AS task",
    "predictions": "'risk' AS task, true AS is_point_in_time",
}


def is_without_task(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether the tables are those of the version before, unchanged by hand."""
    found = table_definitions(connection)
    # Most often the tables are those of today, and this is said by one look.
    return "task VARCHAR" not in found.get("releases", "") and found == _expected()


def add_task(folders: PublicationFolders) -> None:
    """Put the rows of the writer's database, of the version before, into one of this version."""
    draft = folders.draft("writer.duckdb")
    with connect(str(draft)) as new:
        # Attached for writing: what a killed publisher left in the log goes into the file first.
        new.execute("ATTACH $path AS old", {"path": str(folders.writer)})
        new.execute("CHECKPOINT old")
        for statement in TABLES.values():
            new.execute(statement)
        for table in TABLES:
            added = f", {ADDED[table]}" if table in ADDED else ""
            old_rows = f"SELECT *{added} FROM old.main.{table}"  # noqa: S608 - own names
            new.execute(f"INSERT INTO {table} BY NAME {old_rows}")
        new.execute("DETACH old")
        new.execute("CHECKPOINT")
    _remove_log(folders)
    rename_into_place(draft, folders.writer, PRIVATE_FILE_MODE)


def _expected() -> dict[str, str]:
    with connect(":memory:") as fresh:
        for statement in TABLES_WITHOUT_TASK.values():
            fresh.execute(statement)
        return table_definitions(fresh)


def _remove_log(folders: PublicationFolders) -> None:
    """Remove the old file's empty log: DuckDB would replay it into the new one."""
    log = folders.writer.with_name(folders.writer.name + ".wal")
    if log.exists():
        log.unlink()
        fsync_path(log.parent)

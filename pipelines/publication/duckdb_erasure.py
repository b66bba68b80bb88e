"""Erase a subject's rows from the DuckDB files: a new file without them, then new readers' files.

The row's key goes with the row, the commitment stays: digests and chain still verify.
"""

from datetime import UTC, datetime

import duckdb

from pipelines.approvals.people import local_account
from pipelines.publication.anchor import write_anchor
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.recording import add_row, head_of
from pipelines.publication.rewriting import rewrite
from pipelines.publication.rows import Row
from pipelines.publication.schema import CONTRACT
from pipelines.publication.tombstones import key_sha256, subject_hash, tombstone_key
from pipelines.publication.writer import LOCK_WAIT_SECONDS, alone, open_held
from pipelines.settings import Settings

IS_SUBJECT = "study = $study AND subject_id = $subject_id"
COUNT = f"SELECT count(*) FROM predictions WHERE {IS_SUBJECT}"  # noqa: S608 - own words
NUMBER = """
SELECT erasure_number FROM erasures WHERE study = $study AND subject_hash = $subject_hash
"""
NEXT_NUMBER = "SELECT COALESCE(max(erasure_number), 0) + 1 FROM erasures"
KEPT = f"""
INSERT INTO erased_rows BY NAME
SELECT generation_id, commitment, study, $number AS erasure_number
FROM old.main.predictions WHERE {IS_SUBJECT}
"""  # noqa: S608 - own words


def erase_subject(study: str, subject_id: int, ground: str, by: str, settings: Settings) -> int:
    """Erase the subject's rows of the study, leave a tombstone; returns the rows erased.

    Again for the same subject: what is left of an erasure that was killed is done.

    Raises:
        StoreLocked: another process publishes, or holds the writer's database open.
        ArtefactCorrupt: the writer's database was changed by hand.
    """
    folders = PublicationFolders(settings.publication_dir)
    subject = {"study": study, "subject_id": subject_id}
    with alone(folders, LOCK_WAIT_SECONDS):
        with open_held(folders) as writer:
            ((found,),) = writer.execute(COUNT, subject).fetchall()
            named = {"study": study, "subject_hash": subject_hash(study, subject_id)}
            known = writer.execute(NUMBER, named).fetchall()
        if found or not known:
            row: Row = {**named, "key_sha256": key_sha256(tombstone_key(study)), "ground": ground}
            row |= {"erased_by": by, "login": local_account(), "erased_at": datetime.now(UTC)}
            rewrite(folders, lambda new: _copy(new, subject, row | {"row_count": found}))
        # Opening it shows readers what was erased, as it shows them what was withdrawn.
        with open_held(folders) as writer:
            write_anchor(head_of(writer), settings)
    return int(found)


def erased_hashes(writer: duckdb.DuckDBPyConnection, study: str) -> set[str]:
    """The tombstones of a study."""
    asked = "SELECT subject_hash FROM erasures WHERE study = $study"
    return {row[0] for row in writer.execute(asked, {"study": study}).fetchall()}


def _copy(
    new: duckdb.DuckDBPyConnection, subject: dict[str, object], tombstone: dict[str, object]
) -> None:
    """All that is there but the subject's predictions, whose commitments stay."""
    for table in CONTRACT:
        rows = f"INSERT INTO {table.name} BY NAME FROM old.main.{table.name}"
        if table.name == "predictions":
            new.execute(f"{rows} WHERE NOT ({IS_SUBJECT})", subject)
        else:
            new.execute(rows)
    named = {name: tombstone[name] for name in ("study", "subject_hash")}
    known = new.execute(NUMBER, named).fetchall()
    if not known:
        known = new.execute(NEXT_NUMBER).fetchall()
        add_row(new, "erasures", "erasure", tombstone | {"erasure_number": known[0][0]})
    new.execute(KEPT, subject | {"number": known[0][0]})

"""Erase a subject in PostgreSQL, through the one function that may delete.

Publications of a study are counted in by a shared lock: an erasure waits for those under way, so
that none of them, having asked for tombstones before, brings the subject back.
"""

import psycopg

from pipelines.publication.tombstones import tombstone_key

LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
LOCK_SHARED = "SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 0))"


def erase_subject(
    connection: psycopg.Connection, study: str, subject_id: int, ground: str, by: str
) -> int:
    """Erase the subject's rows and leave a tombstone; returns the rows erased, 0 if done before."""
    connection.execute(LOCK, (f"{study}/erasures",))
    ((found,),) = connection.execute(
        "SELECT erase_subject(%s, %s, %s, %s, %s)",
        (study, subject_id, tombstone_key(study), ground, by),
    ).fetchall()
    return int(found)


def erased_hashes(connection: psycopg.Connection, study: str) -> set[str]:
    """The tombstones of a study; no other comes until this transaction ends."""
    connection.execute(LOCK_SHARED, (f"{study}/erasures",))
    rows = connection.execute("SELECT subject_hash FROM erasures WHERE study = %s", (study,))
    return {row[0] for row in rows.fetchall()}

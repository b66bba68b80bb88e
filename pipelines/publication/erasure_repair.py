"""Whom the tables have erased, the crosswalk forgets: after a restore of both, made one by one."""

from pipelines.publication.crosswalk import crosswalk_studies, forget_pair, read_crosswalk
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.tombstones import leave_out, subject_hash
from pipelines.settings import Settings


def finish_erasures(settings: Settings) -> int:
    """Forget every pair whose person has a tombstone in the database; returns how many.

    A backup copies the crosswalk before the database: an erasure between the two is in one alone.

    Raises:
        SecretMissing: the key that made the tombstones is gone.
        StoreLocked, DatabaseUnavailable, ArtefactCorrupt: the store cannot be asked.
    """
    return sum(_finish(study, settings) for study in crosswalk_studies(settings))


def _finish(study: str, settings: Settings) -> int:
    pairs = read_crosswalk(study, settings)
    stays = leave_out(pairs, study, _erased(study, settings))
    gone = pairs.join(stays, on="subject_id", how="anti")["subject_id"].to_list()
    for subject_id in gone:
        forget_pair(study, subject_id, subject_hash(study, subject_id), settings)
    return len(gone)


def _erased(study: str, settings: Settings) -> set[str]:
    """The study's tombstones. Drivers are imported by who keeps that kind of store."""
    if settings.database_url is not None:
        from pipelines.publication.postgres.connection import connect
        from pipelines.publication.postgres.erasing import erased_hashes

        with connect(settings.database_url) as connection:
            return erased_hashes(connection, study)
    from pipelines.publication import duckdb_erasure
    from pipelines.publication.writer import LOCK_WAIT_SECONDS, open_writer

    folders = PublicationFolders(settings.publication_dir)
    if not folders.writer.exists():
        return set()
    with open_writer(folders, LOCK_WAIT_SECONDS) as writer:
        return duckdb_erasure.erased_hashes(writer, study)

"""Copy all that cannot be made again, in an order that fits together when it is restored.

What is copied later may know more than what was copied before, never less: the anchors before the
log that they are compared with, the crosswalk before the tables from which people are erased, the
tables before the records of releases and approvals that their rows name, these before the studies
that they tell of and the artefacts that both name, keys last. So flows may go on meanwhile. The
embedded store's file is copied under its lock, a server's is dumped in one snapshot by ``pg_dump``.

Not copied: source files, Airflow's own database and logs, and what is made anew from the rest.
"""

from dataclasses import dataclass
from pathlib import Path

from pipelines.artefacts import ArtefactStore
from pipelines.backup_files import Listed, begin, copy_file, copy_folder, finish
from pipelines.backup_studies import copy_studies
from pipelines.durable import only_writer, private_folder
from pipelines.journal import read_all_entries
from pipelines.ledger import Ledger
from pipelines.needed_artefacts import keys_of, needed_keys, newest_of_each
from pipelines.publication.database_copy import copy_database
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.store import open_store
from pipelines.settings import Settings

CROSSWALK = "crosswalk"
STUDIES = "studies"
# What else lies in the home is copied in a place of its own, or made anew, or somebody else's, a
# cluster's secrets among it.
RECORDS = ("approvals", "journal", "looks", "releases", "trials")
TRIAL_JOURNALS = "tunings/*/trials.journal"


@dataclass(frozen=True)
class BackupReceipt:
    """What a backup holds. artefacts: how many; None where the shared store keeps them."""

    listed: Listed
    artefacts: int | None
    secrets: bool


def back_up(
    folder: Path,
    artefacts: ArtefactStore,
    installation: Settings,
    *,
    secrets: Path | None,
    with_artefacts: bool = True,
) -> BackupReceipt:
    """Copy an installation into a new folder; keys and crosswalk into another, if one is named.

    Args:
        secrets: where the keys and the way back from pseudonyms go: to be encrypted by who keeps
            it. None: they are not copied.
        with_artefacts: copy those that are needed; where machines share a store, none is.

    Raises:
        BackupInvalid: a folder is not empty, or ``pg_dump`` is missing or fails.
        ArtefactCorrupt: what is to be copied is not what was written.
        StoreLocked: a record, or the embedded store, was kept by another process for too long.
        DatabaseUnavailable: the server cannot be used.
    """
    # Where there is no login of what is published, no folder is begun.
    open_store(installation)
    began = begin(folder)
    home = installation.home
    copy_folder(home / "anchors", folder / "anchors")
    if secrets is not None:
        begin(secrets)
        private = PublicationFolders(installation.publication_dir).private
        copy_folder(private / CROSSWALK, secrets / CROSSWALK)
    database, head = copy_database(folder / "database", installation)
    _copy_records(home, folder / "records")
    copy_studies(installation, folder / STUDIES)
    count = None
    if artefacts.shared is None and with_artefacts:
        count = _copy_artefacts(artefacts, installation, folder / "artefacts")
    if secrets is not None:
        copy_folder(installation.secrets_dir, secrets / "secrets")
        finish(secrets, "secrets", began)
    listed = finish(folder, "records", began, database, head)
    return BackupReceipt(listed, count, secrets is not None)


def _copy_records(home: Path, target: Path) -> None:
    """The folders of records, each whole; then what the trials of a tuning know of one another.

    A trial is begun there before it enters the ledger, so none is in the copied ledger alone.
    """
    for folder in (home / name for name in RECORDS):
        if (folder / "head.json").exists():
            _copy_ledger(folder, target / folder.name)
            continue
        ledgers = {head.parent.name for head in folder.glob("*/head.json")}
        copy_folder(folder, target / folder.name, skip=frozenset(ledgers))
        for name in sorted(ledgers):
            _copy_ledger(folder / name, target / folder.name / name)
    for journal in sorted(home.glob(TRIAL_JOURNALS)):
        copy_file(journal, target / journal.relative_to(home))


def _copy_ledger(folder: Path, target: Path) -> None:
    """Under its lock, after its chain was read: head and entries belong together."""
    with Ledger(folder).writing():
        copy_folder(folder, target)


def _copy_artefacts(artefacts: ArtefactStore, installation: Settings, target: Path) -> int:
    """Those that prune would never remove, and the newest of each stage; each verified."""
    root = private_folder(artefacts.root)
    with (
        only_writer(root / ".prune.lock", wait_seconds=60.0),
        only_writer(installation.home / ".prune.lock", wait_seconds=60.0),
    ):
        there = keys_of(artefacts)
        newest = newest_of_each((one.study, one.stage, one.key) for one in read_all_entries())
        wanted = needed_keys(artefacts, installation, there) | (newest & set(there))
        for key in sorted(wanted):
            copy_folder(artefacts.open(key), target / key)
    return len(wanted)

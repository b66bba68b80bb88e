"""Put a backup in the place of what was lost, and see that it is whole before anybody uses it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipelines.artefacts import ArtefactStore
from pipelines.backup import CROSSWALK
from pipelines.backup_files import LIST, Listed, copy_folder
from pipelines.durable import private_folder
from pipelines.errors import ArtefactCorrupt, BackupInvalid, EquipoiseError
from pipelines.ledger import Ledger
from pipelines.publication.database_copy import place_database
from pipelines.publication.erasure_repair import finish_erasures
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.store import PublicationStore, open_store
from pipelines.releases import list_releases
from pipelines.settings import Settings


@dataclass(frozen=True)
class RestoreReceipt:
    """What was restored, of which moment.

    half_erased: pairs of a crosswalk whose persons the database had erased: they are gone again.
    half_withdrawn: studies whose release people had withdrawn while predictions still stood: the
    backup was made between the two, and the withdrawal is to be said again.
    """

    made_at: datetime
    artefacts: int
    half_erased: int
    half_withdrawn: tuple[str, ...]


def restore(folder: Path, installation: Settings, *, secrets: Path | None) -> RestoreReceipt:
    """Restore into a home that holds none of it, and into an empty database; then verify.

    Raises:
        BackupInvalid: a backup is not whole, or something is where it would go.
        ArtefactCorrupt: what was restored does not verify: it must not be used.
        DatabaseUnavailable: the server cannot be used.
    """
    listed = Listed.read(folder, "records")
    if secrets is not None:
        Listed.read(secrets, "secrets")
    _require_same_kind(listed, installation)
    _require_free(_places(folder, installation, secrets))
    private_folder(installation.home)
    copy_folder(folder / "records", installation.home, skip=frozenset({LIST}))
    copy_folder(folder / "anchors", installation.home / "anchors")
    copy_folder(folder / "artefacts", installation.artefacts_dir)
    if secrets is not None:
        private = PublicationFolders(installation.publication_dir)
        private.make_private()
        copy_folder(secrets / CROSSWALK, private.private / CROSSWALK)
        copy_folder(secrets / "secrets", installation.secrets_dir)
    place_database(folder / "database", listed.database, installation)
    forgotten = finish_erasures(installation)
    count = _verify(installation)
    return RestoreReceipt(listed.made_at, count, forgotten, _half_withdrawn(installation))


def _places(folder: Path, installation: Settings, secrets: Path | None) -> list[Path]:
    """Everything that a restore writes."""
    records = folder / "records"
    named = [path.name for path in records.iterdir()] if records.exists() else []
    places = [installation.home / name for name in (*named, "anchors")]
    places += [installation.artefacts_dir, installation.publication_dir]
    return places + ([installation.secrets_dir] if secrets is not None else [])


def _require_free(places: list[Path]) -> None:
    taken = [path for path in places if path.exists() and (path.is_file() or any(path.iterdir()))]
    if taken:
        raise BackupInvalid(
            "Something lies where the backup would go: nothing is written over it.",
            where=", ".join(map(str, taken)),
            remedy="Name an empty folder in EQUIPOISE_HOME, or move this one away.",
        )


def _require_same_kind(listed: Listed, installation: Settings) -> None:
    kind = "duckdb" if installation.database_url is None else "postgresql"
    if listed.database not in ("none", kind):
        raise BackupInvalid(
            f"The backup holds a {listed.database}, and the installation names a {kind}.",
            where="EQUIPOISE_DATABASE_URL",
            remedy="Name an empty PostgreSQL for a dump of one; unset it for DuckDB's file.",
        )


def _verify(installation: Settings) -> int:
    """Records, artefacts and the store are what was written; returns how many artefacts."""
    for head in installation.home.rglob("head.json"):
        Ledger(head.parent).entries()
    artefacts = ArtefactStore(installation.artefacts_dir)
    keys = [
        f"{path.parent.parent.name}/{path.parent.name}"
        for path in artefacts.root.glob("[!.]*/[!.]*/manifest.json")
    ]
    for key in keys:
        artefacts.open(key)
    if broken := open_store(installation).verify():
        raise ArtefactCorrupt(
            "The restored store is not what its chain of events tells:\n"
            + "\n".join(f"  {words}" for words in broken),
            where=str(installation.home),
            remedy="Do not use it. Restore an older backup; keep this one for who looks into it.",
        )
    return len(keys)


def _half_withdrawn(installation: Settings) -> tuple[str, ...]:
    """Studies with a withdrawn release and predictions of it that still stand."""
    folder = installation.releases_dir
    studies = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    store = open_store(installation)
    return tuple(study for study in studies if _is_half_withdrawn(store, study, installation))


def _is_half_withdrawn(store: PublicationStore, study: str, installation: Settings) -> bool:
    listed = list_releases(study, installation)
    withdrawn = {one.release.release_id for one in listed if one.state == "withdrawn"}
    try:
        generations = store.list_generations(study)
    except EquipoiseError:
        return False
    return any(one.release_id in withdrawn and one.state != "withdrawn" for one in generations)

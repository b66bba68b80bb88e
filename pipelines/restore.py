"""Put a backup in the place of what was lost, and see that it is whole before anybody uses it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipelines.artefacts import ArtefactStore
from pipelines.backup import CROSSWALK, STUDIES
from pipelines.backup_files import LIST, Listed, copy_folder, is_passing
from pipelines.backup_studies import is_same, place_studies
from pipelines.durable import private_folder
from pipelines.errors import ArtefactCorrupt, BackupInvalid, EquipoiseError
from pipelines.ledger import Ledger
from pipelines.publication.database_copy import place_database, require_placeable, restored_by
from pipelines.publication.erasure_repair import finish_erasures
from pipelines.publication.folders import PublicationFolders
from pipelines.publication.store import PublicationStore, open_store
from pipelines.releases import list_releases
from pipelines.settings import Settings

# Who logs in to Airflow, and what it encrypts with: of its own database, which no backup holds. So
# what stands goes with the one that stands.
AIRFLOWS = "airflow_*"


@dataclass(frozen=True)
class RestoreReceipt:
    """What was restored, of which moment.

    half_erased: pairs of a crosswalk whose persons the database had erased: they are gone again.
    half_withdrawn: studies whose release people had withdrawn while predictions still stood: the
    backup was made between the two, and the withdrawal is to be said again.
    logins: of the server, which were made and have no password yet.
    left: studies and Airflow's secrets that are not the backup's: others stood there.
    """

    made_at: datetime
    artefacts: int
    half_erased: int
    half_withdrawn: tuple[str, ...]
    logins: tuple[str, ...] = ()
    left: tuple[Path, ...] = ()


def restore(folder: Path, installation: Settings, *, secrets: Path | None) -> RestoreReceipt:
    """Restore into a home that holds none of it, and into an empty database; then verify.

    All that can refuse is looked at before the first byte is written, and the database, in which
    most can fail, comes first, all of it or nothing: so what failed is repaired and called again.

    Raises:
        BackupInvalid: a backup is not whole, or something is where it would go.
        ArtefactCorrupt: what was restored does not verify: it must not be used.
        DatabaseUnavailable: the server cannot be used.
    """
    listed = Listed.read(folder, "records")
    if secrets is not None:
        Listed.read(secrets, "secrets")
    used = restored_by(installation)
    _require_same_kind(listed, used)
    _require_free(_places(folder, used, secrets))
    require_placeable(folder / "database", listed.database, used)
    # A volume of a cluster is its group's, and not this user's to narrow.
    if not used.home.exists():
        private_folder(used.home)
    logins = place_database(folder / "database", listed.database, used)
    left = _place_files(folder, used, secrets)
    forgotten = finish_erasures(used)
    count = _verify(used)
    return RestoreReceipt(
        listed.made_at, count, forgotten, _half_withdrawn(used), logins=logins, left=left
    )


def _place_files(folder: Path, installation: Settings, secrets: Path | None) -> tuple[Path, ...]:
    """Returns what is not the backup's, since something else stood there."""
    copy_folder(folder / "records", installation.home, skip=frozenset({LIST}))
    copy_folder(folder / "anchors", installation.home / "anchors")
    copy_folder(folder / "artefacts", installation.artefacts_dir)
    left = place_studies(folder / STUDIES, installation)
    if secrets is None:
        return left
    private = PublicationFolders(installation.publication_dir)
    private.make_private()
    copy_folder(secrets / CROSSWALK, private.private / CROSSWALK)
    return left + _place_secrets(secrets / "secrets", installation.secrets_dir)


def _place_secrets(source: Path, target: Path) -> tuple[Path, ...]:
    standing = sorted(target.glob(AIRFLOWS))
    copy_folder(source, target, skip=frozenset(path.name for path in standing))
    return tuple(path for path in standing if not is_same(source / path.name, path))


def _places(folder: Path, installation: Settings, secrets: Path | None) -> Iterator[Path]:
    """Everything that a restore writes."""
    records = folder / "records"
    named = [path.name for path in records.iterdir()] if records.exists() else []
    yield from (installation.home / name for name in (*named, "anchors"))
    yield from (installation.artefacts_dir, installation.publication_dir)
    if secrets is not None and installation.secrets_dir.exists():
        airflows = set(installation.secrets_dir.glob(AIRFLOWS))
        yield from sorted(set(installation.secrets_dir.iterdir()) - airflows)


def _require_free(places: Iterator[Path]) -> None:
    """Empty folders, and locks that nobody holds, are in nobody's way."""
    taken = [file for place in places if (file := _first_file(place)) is not None]
    if taken:
        raise BackupInvalid(
            "Something lies where the backup would go: nothing is written over it.",
            where=", ".join(map(str, taken)),
            remedy="Name an empty folder in EQUIPOISE_HOME, or move these away.",
        )


def _first_file(place: Path) -> Path | None:
    files = [place] if place.is_file() else place.rglob("*")
    return next((each for each in files if each.is_file() and not is_passing(each.name)), None)


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

"""Put a backup in the place of what was lost, and see that it is whole before anybody uses it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipelines.artefacts import ArtefactStore
from pipelines.backup import STUDIES
from pipelines.backup_files import LIST, Listed, place_file, private_folders
from pipelines.backup_studies import differing_studies, place_studies
from pipelines.durable import private_folder
from pipelines.errors import ArtefactCorrupt, BackupInvalid, EquipoiseError
from pipelines.ledger import Ledger
from pipelines.manifests import hash_file
from pipelines.publication.database_copy import (
    logins_without_password,
    place_database,
    require_placeable,
    restored_by,
)
from pipelines.publication.erasure_repair import finish_erasures
from pipelines.publication.store import PublicationStore, open_store
from pipelines.releases import list_releases
from pipelines.restored_places import Place, left_standing, places_of, still_missing
from pipelines.restoring import is_placed, note_placed, one_restore_at_a_time, restoring
from pipelines.settings import Settings


@dataclass(frozen=True)
class RestoreReceipt:
    """What was restored, of which moment.

    half_erased: pairs of a crosswalk whose persons the database had erased: they are gone again.
    half_withdrawn: studies whose release people had withdrawn while predictions still stood: the
    backup was made between the two, and the withdrawal is to be said again.
    logins: of the server, which have no password.
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

    All that can refuse is looked at before the first byte is written. Then keys and crosswalk are
    placed, which must not be made anew; then records, artefacts and studies, each file whole; the
    database last, all of it or nothing. Until all was verified the home is marked, and nobody takes
    it for an installation. A call that ended in the middle is repeated with the same backup.

    Raises:
        BackupInvalid: a backup is not whole, something is where it would go, or a file cannot be
            written.
        StoreLocked: another process restores into this home.
        ArtefactCorrupt: what was restored does not verify: it must not be used.
        DatabaseUnavailable: the server cannot be used.
    """
    listed = Listed.read(folder, "records")
    kept = None if secrets is None else Listed.read(secrets, "secrets")
    used = restored_by(installation)
    _require_same_kind(listed, used)
    places = places_of(folder, listed, used)
    if secrets is not None and kept is not None:
        places = places_of(secrets, kept, used) + places
    with one_restore_at_a_time(used.home):
        if is_placed(used.home, name := _name(folder, secrets)):
            with restoring(used.home):
                return _finish(folder, listed, places, used)
        missing = still_missing(places, used, with_secrets=secrets is not None)
        database = folder / "database"
        require_placeable(database, listed.database, used)
        with restoring(used.home):
            _place(place for place in missing if place.source.parent != database)
            place_studies(folder / STUDIES, used)
            place_database(database, listed.database, used)
            note_placed(used.home, name)
            return _finish(folder, listed, places, used)


def _name(folder: Path, secrets: Path | None) -> str:
    """By which a backup is known again: its lists name every byte of it."""
    return " ".join(hash_file(each / LIST) for each in (folder, secrets) if each is not None)


def _place(missing: Iterable[Place]) -> None:
    for place in missing:
        private_folders(place.target.parent)
        # One that was there is narrowed: what it holds from now on is its owner's alone.
        private_folder(place.target.parent)
        place_file(place.source, place.target)


def _finish(
    folder: Path, listed: Listed, places: tuple[Place, ...], installation: Settings
) -> RestoreReceipt:
    """What follows when all is in its place; it may be done twice."""
    forgotten = finish_erasures(installation)
    count = _verify(installation)
    return RestoreReceipt(
        listed.made_at,
        count,
        forgotten,
        _half_withdrawn(installation),
        logins_without_password(folder / "database", listed.database, installation),
        differing_studies(folder / STUDIES, installation) + left_standing(places, installation),
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

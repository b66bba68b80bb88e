"""Where the files of a backup go, and that nothing else lies there."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from pipelines.backup import CROSSWALK
from pipelines.backup_files import Listed, is_passing
from pipelines.backup_studies import is_same
from pipelines.errors import BackupInvalid
from pipelines.manifests import hash_file
from pipelines.publication.folders import PublicationFolders
from pipelines.settings import Settings

# Who logs in to Airflow, and what it encrypts with: of its own database, which no backup holds. So
# what stands goes with the one that stands.
AIRFLOWS = "airflow_*"


@dataclass(frozen=True)
class Place:
    """A file of a backup, and where it goes."""

    source: Path
    target: Path
    sha256: str


def places_of(folder: Path, listed: Listed, installation: Settings) -> tuple[Place, ...]:
    """The places of a folder's files, in the order of writing.

    Studies, and the dump of a server, have none: who places them knows where.
    """
    return tuple(
        Place(folder / name, root / name.removeprefix(top), sha256)
        for top, root in _roots(listed, installation).items()
        for name, sha256 in listed.files.items()
        if name.startswith(top)
    )


def still_missing(
    places: tuple[Place, ...], installation: Settings, *, with_secrets: bool
) -> tuple[Place, ...]:
    """Those to be filled. A file with the backup's own bytes is there from a call that did not end.

    Empty folders, and locks that nobody holds, are in nobody's way.

    Raises:
        BackupInvalid: another file lies where the backup goes.
    """
    wanted = {place.target: place.sha256 for place in places}
    areas = sorted(_areas(places, installation, with_secrets))
    found = (_first_foreign(area, wanted, installation) for area in areas)
    if taken := [str(file) for file in found if file is not None]:
        raise BackupInvalid(
            "Something lies where the backup would go: nothing is written over it.",
            where=", ".join(taken),
            remedy="Name an empty folder in EQUIPOISE_HOME, or move these away.",
        )
    return tuple(place for place in places if not place.target.is_file())


def left_standing(places: tuple[Place, ...], installation: Settings) -> tuple[Path, ...]:
    """Airflow's secrets that are not the backup's."""
    return tuple(
        place.target
        for place in places
        if _is_airflows(place.target, installation) and not is_same(place.source, place.target)
    )


def _roots(listed: Listed, installation: Settings) -> dict[str, Path]:
    private = PublicationFolders(installation.publication_dir).private
    if listed.holds == "secrets":
        return {"secrets/": installation.secrets_dir, f"{CROSSWALK}/": private / CROSSWALK}
    roots = {
        "records/": installation.home,
        "anchors/": installation.home / "anchors",
        "artefacts/": installation.artefacts_dir,
    }
    return roots | {"database/": private} if listed.database == "duckdb" else roots


def _areas(places: tuple[Place, ...], installation: Settings, with_secrets: bool) -> Iterator[Path]:
    """All that is a restored installation's alone, each folder once."""
    home = installation.home
    targets = [place.target for place in places if place.target.is_relative_to(home)]
    areas = {home / target.relative_to(home).parts[0] for target in targets}
    areas |= {home / "anchors", installation.artefacts_dir, installation.publication_dir}
    yield from areas | {installation.secrets_dir} if with_secrets else areas


def _first_foreign(area: Path, wanted: dict[Path, str], installation: Settings) -> Path | None:
    files = [area] if area.is_file() else area.rglob("*")
    return next((file for file in files if _is_foreign(file, wanted, installation)), None)


def _is_foreign(file: Path, wanted: dict[Path, str], installation: Settings) -> bool:
    if not file.is_file() or is_passing(file.name) or _is_airflows(file, installation):
        return False
    return file not in wanted or hash_file(file) != wanted[file]


def _is_airflows(file: Path, installation: Settings) -> bool:
    secrets = installation.secrets_dir
    if not file.is_relative_to(secrets):
        return False
    return fnmatch(file.relative_to(secrets).parts[0], AIRFLOWS)

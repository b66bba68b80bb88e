"""The studies in a backup: their YAML files. Tables that lie beside them are source files."""

import errno
from pathlib import Path

from pipelines.backup_files import copy_file, is_passing, place_file
from pipelines.manifests import hash_file
from pipelines.settings import Settings

FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def copy_studies(installation: Settings, target: Path) -> None:
    """Copy every study; one that a link names is copied as a file. An editor's lock is none."""
    for file in sorted(installation.studies_dir.glob("[!.]*.yaml")):
        if file.is_file():
            copy_file(file, target / file.name)


def place_studies(source: Path, installation: Settings) -> None:
    """Put them back where nothing else stands.

    A folder with another file in it is somebody's, or came with the image: it is left as it is.
    """
    wanted, folder = sorted(source.glob("*.yaml")), installation.studies_dir
    if wanted and not _is_anothers(folder, source):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for file in (each for each in wanted if not is_same(each, folder / each.name)):
                place_file(file, folder / file.name)
        except OSError as error:
            # A folder that nobody may write is told of like one that is somebody's.
            if error.errno not in FORBIDDEN:
                raise


def differing_studies(source: Path, installation: Settings) -> tuple[Path, ...]:
    """Those that do not stand as the backup has them."""
    pairs = [(each, installation.studies_dir / each.name) for each in sorted(source.glob("*.yaml"))]
    return tuple(standing for ours, standing in pairs if not is_same(ours, standing))


def _is_anothers(folder: Path, source: Path) -> bool:
    """Whether anything lies there but what a restore that did not end had placed."""
    there = folder.iterdir() if folder.exists() else ()
    return not all(is_passing(each.name) or is_same(source / each.name, each) for each in there)


def is_same(one: Path, other: Path) -> bool:
    """Whether both are files of the same bytes."""
    return one.is_file() and other.is_file() and hash_file(one) == hash_file(other)

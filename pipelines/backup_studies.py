"""The studies in a backup: their YAML files. Tables that lie beside them are source files."""

import shutil
from contextlib import suppress
from pathlib import Path

from pipelines.backup_files import copy_file
from pipelines.manifests import hash_file
from pipelines.settings import Settings


def copy_studies(installation: Settings, target: Path) -> None:
    """Copy every study; one that a link names is copied as a file."""
    for file in sorted(installation.studies_dir.glob("*.yaml")):
        copy_file(file, target / file.name)


def place_studies(source: Path, installation: Settings) -> tuple[Path, ...]:
    """Put them back where nothing stands; returns which do not stand there as the backup has them.

    A folder with anything in it is somebody's, or came with the image: it is left as it is.
    """
    wanted, folder = sorted(source.glob("*.yaml")), installation.studies_dir
    if wanted and not (folder.exists() and any(folder.iterdir())):
        # A folder that nobody may write is told of like one that is not empty.
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            for file in wanted:
                shutil.copy2(file, folder / file.name)
    return tuple(folder / each.name for each in wanted if not is_same(each, folder / each.name))


def is_same(one: Path, other: Path) -> bool:
    """Whether both are files of the same bytes."""
    return one.is_file() and other.is_file() and hash_file(one) == hash_file(other)

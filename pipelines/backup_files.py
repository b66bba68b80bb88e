"""A backup's folder: files copied, hashed and listed; what is not listed or differs is refused."""

import json
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.durable import (
    fsync_path,
    new_private_file,
    private_folder,
    rename_into_place,
    replaced_privately,
)
from pipelines.errors import BackupInvalid
from pipelines.identity import Sha256, UtcMoment
from pipelines.manifests import hash_file

LIST = "backup.json"


class Listed(BaseModel):
    """What a backup says of itself. files: name -> sha256, but for this list's own.

    made_at: when it began: what was done before is in it, what was done since may not be.
    head: number and hash of the newest event of the publication's log when it was copied.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    holds: Literal["records", "secrets"]
    made_at: UtcMoment
    database: Literal["duckdb", "postgresql", "none"] = "none"
    head: tuple[int, str] | None = None
    files: dict[str, Sha256]

    @classmethod
    def read(cls, folder: Path, holds: Literal["records", "secrets"]) -> Self:
        """The list of a backup, after every file was compared with it.

        Raises:
            BackupInvalid: it is no whole backup of this kind.
        """
        try:
            listed = cls.model_validate_json((folder / LIST).read_bytes())
        except FileNotFoundError:
            raise _invalid(folder, "it is none, or the backup was not finished") from None
        except ValidationError:
            raise _invalid(folder, f"its {LIST} cannot be read") from None
        if listed.holds != holds:
            raise _invalid(folder, f"it holds {listed.holds} and not {holds}")
        there = set(names_below(folder)) - {LIST}
        if there != listed.files.keys():
            differing = len(there ^ listed.files.keys())
            raise _invalid(folder, f"{differing} files are missing or were added")
        changed = [name for name, sha in listed.files.items() if hash_file(folder / name) != sha]
        if changed:
            raise _invalid(folder, f"{len(changed)} files are not those that were written")
        return listed


def begin(folder: Path) -> datetime:
    """Make a folder of its own for a backup, which its owner alone enters; returns when.

    Raises:
        BackupInvalid: something is there.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BackupInvalid(
            "The folder for the backup is not empty.",
            where=str(folder),
            remedy="Name a new one for each backup: none is ever written over.",
        )
    private_folder(folder)
    return datetime.now(UTC)


def finish(
    folder: Path,
    holds: Literal["records", "secrets"],
    began: datetime,
    database: Literal["duckdb", "postgresql", "none"] = "none",
    head: tuple[int, str] | None = None,
) -> Listed:
    """List every file; written last, so that a backup that was killed has no list."""
    files = {name: hash_file(folder / name) for name in names_below(folder)}
    for path in [*(folder / name for name in files), *_folders(folder)]:
        fsync_path(path)
    listed = Listed(holds=holds, made_at=began, database=database, head=head, files=files)
    with replaced_privately(folder / LIST) as stream:
        stream.write(json.dumps(listed.model_dump(mode="json"), indent=1).encode())
    return listed


def copy_folder(source: Path, target: Path, *, skip: frozenset[str] = frozenset()) -> None:
    """Copy a folder's files with their modes, but for locks, drafts and names to skip."""
    if not source.exists():
        return
    private_folders(target)
    for entry in sorted(source.iterdir()):
        if entry.name in skip or entry.is_symlink() or is_passing(entry.name):
            continue
        if entry.is_dir():
            copy_folder(entry, target / entry.name)
        else:
            copy_file(entry, target / entry.name)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file that others never can read on the way; it ends with the source's own mode."""
    private_folder(target.parent)
    _copy(source, target)


def place_file(source: Path, target: Path) -> None:
    """Put a copy into a folder that is there, whole and on the disk, or not at all."""
    draft = target.with_name(f".draft-{target.name}")
    draft.unlink(missing_ok=True)
    try:
        _copy(source, draft)
        rename_into_place(draft, target, stat.S_IMODE(source.stat().st_mode))
    finally:
        draft.unlink(missing_ok=True)


def private_folders(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner alone."""
    for each in reversed([folder, *folder.parents]):
        if not each.exists():
            private_folder(each)
            fsync_path(each.parent)


def names_below(folder: Path) -> Iterator[str]:
    """Every file below a folder by its name in it, in order."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(PurePosixPath(path.relative_to(folder)))


def is_passing(name: str) -> bool:
    """Of a lock, a draft or what is being removed: no backup holds it."""
    return name.endswith(".lock") or name.startswith((".draft", ".trash-"))


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as read, new_private_file(target) as written:
        shutil.copyfileobj(read, written, 2**20)
    shutil.copystat(source, target)


def _folders(folder: Path) -> list[Path]:
    return [*(path for path in folder.rglob("*") if path.is_dir()), folder]


def _invalid(folder: Path, why: str) -> BackupInvalid:
    return BackupInvalid(
        f"The backup cannot be used: {why}.",
        where=str(folder),
        remedy="Take another one; nothing was restored.",
    )

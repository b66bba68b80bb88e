"""Artefacts: folders named by a hash of their recipe, drafted, renamed, verified on every read."""

import hashlib
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.durable import PRIVATE_FOLDER_MODE, fsync_path, private_folder
from pipelines.errors import ArtefactCorrupt

log = logging.getLogger(__name__)

MANIFEST = "manifest.json"
LOG_ENDING = "_log.json"
DRAFT_LIFETIME_SECONDS = 24 * 3600

Counts = dict[str, int]


@dataclass(frozen=True)
class Recipe:
    """All that decides an artefact's bytes; two equal recipes are one artefact.

    ``sources`` maps each first-party module the stage imports to the hash of its text,
    ``libraries`` the versions that decide numbers, ``config`` the sections of the study that the
    stage may read, ``inputs`` the keys of the artefacts it reads, ``files`` the source files.
    """

    stage: str
    sources: Mapping[str, str]
    libraries: Mapping[str, str]
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    files: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "sources": dict(self.sources),
            "libraries": dict(self.libraries),
            "config": dict(self.config),
            "inputs": dict(self.inputs),
            "files": dict(self.files),
        }

    @property
    def key(self) -> str:
        """``stage/`` and 16 hex digits: short enough for an XCom, a file name and a report."""
        return f"{self.stage}/{hash_json(self.as_dict())[:16]}"


@dataclass(frozen=True)
class Artefact:
    """What one call of a stage came to."""

    key: str
    path: Path
    made: bool
    seconds: float
    counts: Counts


def hash_json(value: Any) -> str:
    """The sha256 of the canonical JSON of a value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_file(path: Path) -> str:
    """The sha256 of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class ArtefactStore:
    """A folder of artefacts, ``<root>/<stage>/<hash>/``, which its owner alone may enter."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        return self.root / key

    def open(self, key: str) -> Path:
        """The directory of ``key``, after every file's sha256 was compared with the manifest.

        Raises:
            ArtefactCorrupt: the artefact, its manifest or a file is missing or differs.
        """
        path = self.path(key)
        for name, expected in self.manifest(key)["files"].items():
            file = path / name
            if not file.is_file():
                raise _corrupt(file, "is missing")
            if hash_file(file) != expected["sha256"]:
                raise _corrupt(file, "is not the file that was written (its sha256 differs)")
        return path

    def manifest(self, key: str) -> dict[str, Any]:
        """The manifest of ``key``: recipe, files with sha256 and bytes, counts, seconds."""
        file = self.path(key) / MANIFEST
        try:
            manifest: dict[str, Any] = json.loads(file.read_text())
        except (FileNotFoundError, NotADirectoryError):
            raise _corrupt(file, "is missing") from None
        except ValueError:
            raise _corrupt(file, "cannot be read as JSON") from None
        if hash_json(manifest["recipe"])[:16] != Path(key).name:
            raise _corrupt(file, "does not belong to this key")
        return manifest

    def content_sha256(self, key: str) -> str:
        """One hash over the names and hashes of an artefact's files, logs of timings left out.

        The same bytes made twice, on another day, are the same content.
        """
        files = self.manifest(key)["files"]
        return hash_json(
            {name: file["sha256"] for name, file in files.items() if not name.endswith(LOG_ENDING)}
        )

    def make(self, recipe: Recipe, write: Callable[[Path], Counts]) -> Artefact:
        """Reuse the artefact of ``recipe``, or let ``write`` fill a draft and rename it into place.

        A process killed at any moment leaves a draft, never half an artefact; two processes that
        make the same artefact at once both succeed, and the first rename wins.
        """
        started = time.monotonic()
        final = self.path(recipe.key)
        if final.exists():
            counts = self.manifest(recipe.key)["counts"]
            path = self.open(recipe.key)
            return Artefact(recipe.key, path, False, time.monotonic() - started, counts)
        private_folder(self.root)
        private_folder(final.parent)
        _sweep_drafts(final.parent)
        draft = final.parent / f".draft-{final.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        draft.mkdir(mode=PRIVATE_FOLDER_MODE)
        draft.chmod(PRIVATE_FOLDER_MODE)  # whatever the umask took away
        counts = write(draft)
        seconds = time.monotonic() - started
        _write_manifest(draft, recipe, counts, seconds)
        _rename(draft, final)
        return Artefact(recipe.key, final, True, seconds, counts)

    def workspace(self, key: str) -> Path:
        """A folder that outlives a killed attempt at ``key``: checkpoints live here."""
        path = self.path(key)
        return path.parent / f".work-{path.name}"


def _corrupt(file: Path, found: str) -> ArtefactCorrupt:
    return ArtefactCorrupt(
        f"An artefact cannot be trusted: {file.name} {found}.",
        where=str(file),
        remedy=f"Delete {file.parent} and run again: the stage makes it anew from its inputs.",
    )


def _write_manifest(draft: Path, recipe: Recipe, counts: Counts, seconds: float) -> None:
    files = sorted(file for file in draft.rglob("*") if file.is_file())
    manifest = {
        "key": recipe.key,
        "recipe": recipe.as_dict(),
        "files": {
            str(file.relative_to(draft)): {
                "sha256": hash_file(file),
                "bytes": file.stat().st_size,
            }
            for file in files
        },
        "counts": counts,
        "seconds": round(seconds, 3),
        "made_at_unix": round(time.time()),
    }
    (draft / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True))
    for path in [*draft.rglob("*"), draft]:
        fsync_path(path)


def _rename(draft: Path, final: Path) -> None:
    try:
        draft.rename(final)
    except OSError:
        # Another process made the same recipe meanwhile: equal recipes are one artefact.
        if not (final / MANIFEST).exists():
            raise
        shutil.rmtree(draft)
    fsync_path(final.parent)
    fsync_path(final.parent.parent)


def _sweep_drafts(folder: Path) -> None:
    """Remove drafts that a killed process left more than a day ago."""
    if not folder.exists():
        return
    for draft in folder.glob(".draft-*"):
        try:
            if time.time() - draft.stat().st_mtime > DRAFT_LIFETIME_SECONDS:
                shutil.rmtree(draft)
        except FileNotFoundError:
            log.info("a draft of %s was removed by another process", folder.name)

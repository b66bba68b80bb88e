"""Artefacts: folders named by a hash of their recipe, drafted, renamed, verified on every read.

They lie in a local folder. Where machines share a store, that folder holds copies of it, each
verified when it is fetched and whenever it is read.
"""

import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.durable import PRIVATE_FOLDER_MODE, fsync_path, private_folder
from pipelines.errors import ArtefactCorrupt, ArtefactStoreUnavailable
from pipelines.manifests import (
    MANIFEST,
    content_of,
    corrupt_file,
    hash_file,
    hash_json,
    read_manifest,
    remedy_here,
    require_files,
    sync_folder,
)

if TYPE_CHECKING:
    from pipelines.remote_artefacts import RemoteArtefacts

log = logging.getLogger(__name__)

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


class ArtefactStore:
    """A folder of artefacts, ``<root>/<stage>/<hash>/``, which its owner alone may enter.

    Args:
        shared: the store that other machines read and write too. Then ``make`` returns only what
            it holds, and what is missing in the folder is fetched from it.

    With a shared store every method may raise ArtefactStoreUnavailable.
    """

    def __init__(self, root: Path, shared: "RemoteArtefacts | None" = None) -> None:
        self.root, self.shared = root, shared

    def path(self, key: str) -> Path:
        """Where ``key`` lies on this machine, or would."""
        return self.root / key

    def has(self, key: str) -> bool:
        """Whether the artefact is here or in the shared store; nothing is verified."""
        if self.path(key).exists():
            return True
        return self.shared is not None and self.shared.manifest(key) is not None

    def keys(self, stage: str) -> list[str]:
        """The keys of all artefacts of a stage, here and in the shared store, in order.

        A folder whose manifest is gone counts: reading it says so, leaving it out would hide it.
        """
        here = {
            f"{stage}/{path.name}" for path in self.root.glob(f"{stage}/[!.]*") if path.is_dir()
        }
        return sorted(here.union(self.shared.keys(stage) if self.shared else ()))

    def open(self, key: str) -> Path:
        """The directory of ``key``, after every file's sha256 was compared with the manifest.

        Raises:
            ArtefactCorrupt: the artefact, its manifest or a file is missing or differs.
        """
        path = self.path(key)
        if not path.exists() and self._fetched(key):
            return path  # verified a moment ago
        require_files(path, self.manifest(key))
        return path

    def manifest(self, key: str) -> dict[str, Any]:
        """The manifest of ``key``: recipe, files with sha256 and bytes, counts, seconds.

        Raises:
            ArtefactCorrupt: it is missing, no manifest, or that of another key.
        """
        file = self.path(key) / MANIFEST
        if self.shared is not None and not file.parent.exists():
            there = self.shared.manifest(key)
            if there is not None:
                return there
        try:
            content = file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise corrupt_file(file, "is missing") from None
        return read_manifest(content, key, str(file), remedy_here(file))

    def content_sha256(self, key: str) -> str:
        """One hash over the names and hashes of an artefact's files, logs of timings left out.

        The same bytes made twice, on another day, are the same content.
        """
        return content_of(self.manifest(key))

    def make(self, recipe: Recipe, write: Callable[[Path], Counts]) -> Artefact:
        """Reuse the artefact of ``recipe``, or let ``write`` fill a draft and rename it into place.

        A process killed at any moment leaves a draft, never half an artefact; two processes that
        make the same artefact at once both succeed, and the first rename wins. On machines that
        share a store the first upload wins, and the other maker takes that one over.

        Raises:
            ArtefactCorrupt: the artefact is there, here or in the shared store, and not as written.
        """
        started, made = time.monotonic(), False
        key, final = recipe.key, self.path(recipe.key)
        if final.exists():
            _sweep_drafts(final.parent)
            self.open(key)
            self._require_shared(key)
        elif not self._fetched(key):  # verified while it was fetched
            self._keep(key, self._claimed(key) or self._written(recipe, write))
            made = True
        counts = self.manifest(key)["counts"]
        return Artefact(key, final, made, time.monotonic() - started, counts)

    def sweep(self, stage: str) -> None:
        """Remove what killed processes left of a stage more than a day ago.

        ``make`` does so too: this is for a stage that has nothing to make.
        """
        _sweep_drafts(self.root / stage)

    def workspace(self, key: str) -> Path:
        """A folder that outlives a killed attempt at ``key``: checkpoints live here."""
        path = self.path(key)
        return path.parent / f".work-{path.name}"

    def _draft(self, key: str) -> Path:
        """A new place, beside the artefact's own, that only this call knows."""
        final = self.path(key)
        private_folder(self.root)
        private_folder(final.parent)
        _sweep_drafts(final.parent)
        return final.parent / f".draft-{final.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}"

    def _written(self, recipe: Recipe, write: Callable[[Path], Counts]) -> Path:
        started = time.monotonic()
        draft = self._draft(recipe.key)
        draft.mkdir(mode=PRIVATE_FOLDER_MODE)
        draft.chmod(PRIVATE_FOLDER_MODE)  # whatever the umask took away
        try:
            counts = write(draft)
            _write_manifest(draft, recipe, counts, time.monotonic() - started)
        except BaseException:
            # What filled the disk must not fill it for the next attempt; and it may name people.
            shutil.rmtree(draft, ignore_errors=True)
            raise
        return draft

    def _keep(self, key: str, draft: Path) -> None:
        """Share a whole draft and put it in its place, or take over what was shared before it."""
        try:
            counts = self.shared is None or self.shared.push(key, draft)
        except ArtefactStoreUnavailable:
            # What took hours to make is there for the next attempt.
            _rename(draft, self._unshared(key))
            raise
        if counts:
            _rename(draft, self.path(key))
        else:
            shutil.rmtree(draft)
            self._fetched(key)

    def _unshared(self, key: str) -> Path:
        """Where a whole artefact waits that could not be shared."""
        path = self.path(key)
        return path.parent / f".unshared-{path.name}"

    def _claimed(self, key: str) -> Path | None:
        """The whole artefact that an earlier attempt could not share, as this one's draft."""
        if not self._unshared(key).exists():
            return None
        draft = self._draft(key)
        try:
            self._unshared(key).rename(draft)
            content = (draft / MANIFEST).read_bytes()
            require_files(draft, read_manifest(content, key, str(draft), remedy_here(draft)))
        except (FileNotFoundError, ArtefactCorrupt) as error:
            log.info("%s is made anew: what was kept is gone (%s)", key, type(error).__name__)
            return None
        return draft

    def _fetched(self, key: str) -> bool:
        """Copy the artefact from the shared store, verified; whether it is there."""
        if self.shared is None or self.shared.manifest(key) is None:
            return False
        draft = self._draft(key)
        draft.mkdir(mode=PRIVATE_FOLDER_MODE)
        try:
            if not self.shared.fetch(key, draft):
                return False
            _rename(draft, self.path(key))
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return True

    def _require_shared(self, key: str) -> None:
        """What is here is in the shared store too, and the same.

        Raises:
            ArtefactCorrupt: the shared store has other bytes of the same recipe.
        """
        if self.shared is None or self.shared.push(key, self.path(key)):
            return
        there = self.shared.manifest(key)
        if there is not None and content_of(there) != self.content_sha256(key):
            raise corrupt_file(
                self.path(key) / MANIFEST, "is of other bytes than in the shared store"
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
    sync_folder(draft)


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
    """Remove drafts that a killed process left, or could not share, more than a day ago."""
    for draft in [*folder.glob(".draft-*"), *folder.glob(".unshared-*")]:
        try:
            if time.time() - draft.stat().st_mtime > DRAFT_LIFETIME_SECONDS:
                shutil.rmtree(draft)
        except FileNotFoundError:
            log.info("a draft of %s was removed by another process", folder.name)

"""What an artefact is told by: its manifest, the hashes in it, and the error where they differ."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.durable import fsync_path
from pipelines.errors import ArtefactCorrupt

MANIFEST = "manifest.json"
LOG_ENDING = "_log.json"


def hash_json(value: Any) -> str:
    """The sha256 of the canonical JSON of a value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_file(path: Path) -> str:
    """The sha256 of a file's bytes, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_manifest(content: bytes, key: str, where: str, remedy: str) -> dict[str, Any]:
    """The manifest of ``key`` from its bytes.

    Raises:
        ArtefactCorrupt: they are no manifest, or that of another key.
    """
    try:
        manifest: dict[str, Any] = json.loads(content)
        belongs = hash_json(manifest["recipe"])[:16] == Path(key).name
    except (ValueError, KeyError, TypeError):
        raise corrupt(f"{MANIFEST} cannot be read as JSON", where, remedy) from None
    if not belongs:
        raise corrupt(f"{MANIFEST} does not belong to this key", where, remedy)
    return manifest


def require_files(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Compare every file with the manifest.

    Raises:
        ArtefactCorrupt: one is missing or is not the one that was written.
    """
    for name, expected in manifest["files"].items():
        file = folder / name
        if not file.is_file():
            raise corrupt_file(file, "is missing")
        if hash_file(file) != expected["sha256"]:
            raise corrupt_file(file, "is not the file that was written (its sha256 differs)")


def corrupt(found: str, where: str, remedy: str) -> ArtefactCorrupt:
    """The error for an artefact, here or in the shared store, that is not as it was written."""
    return ArtefactCorrupt(f"An artefact cannot be trusted: {found}.", where=where, remedy=remedy)


def corrupt_file(file: Path, found: str) -> ArtefactCorrupt:
    """The error for a file of this machine's own folder."""
    return corrupt(f"{file.name} {found}", str(file), remedy_here(file))


def remedy_here(file: Path) -> str:
    """What to do about an artefact of this machine's own folder."""
    return f"Delete {file.parent} and run again: it is fetched, or made anew from its inputs."


def content_of(manifest: Mapping[str, Any]) -> str:
    """One hash over the names and hashes of the files, logs of timings left out."""
    files = manifest["files"]
    return hash_json(
        {name: file["sha256"] for name, file in files.items() if not name.endswith(LOG_ENDING)}
    )


def sync_folder(folder: Path) -> None:
    """Force all that is below a folder onto the disk."""
    for path in [*folder.rglob("*"), folder]:
        fsync_path(path)

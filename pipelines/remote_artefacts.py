"""Artefacts that machines share: ``<key>.json`` is the manifest, ``<key>/<sha256>/<file>`` a file.

A file's address holds its hash, so two makers whose bytes differ never overwrite one another, and
an upload that was killed is no artefact: one exists exactly when its manifest does, which is
written last and never replaced. Of two makers the first manifest counts, and the other takes over
what it names. Nothing is believed that does not have the sha256 of the manifest.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from pipelines.durable import new_private_file, private_folder
from pipelines.manifests import MANIFEST, corrupt, hash_file, read_manifest, sync_folder
from pipelines.remote_files import RemoteFiles, unavailable
from pipelines.remote_places import remote_files

ENDING = ".json"


class RemoteArtefacts:
    """The artefacts below one URL.

    Every method raises ArtefactStoreUnavailable where the store cannot be reached or used.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.files: RemoteFiles = remote_files(url)

    def manifest(self, key: str) -> dict[str, Any] | None:
        """The manifest of ``key``; None where the store has no such artefact.

        Raises:
            ArtefactCorrupt: it is no manifest, or that of another key.
        """
        content = self.files.read(f"{key}{ENDING}")
        return None if content is None else self._checked(content, key)

    def fetch(self, key: str, draft: Path) -> bool:
        """Fill an empty folder with the artefact; False, and nothing is written, if there is none.

        Raises:
            ArtefactCorrupt: a file is missing or is not the one that was written.
        """
        content = self.files.read(f"{key}{ENDING}")
        if content is None:
            return False
        for name, expected in self._checked(content, key)["files"].items():
            self.fetch_file(key, name, expected["sha256"], draft)
        with new_private_file(draft / MANIFEST) as manifest:
            manifest.write(content)
        sync_folder(draft)
        return True

    def push(self, key: str, folder: Path) -> bool:
        """Share a whole artefact; False where another maker's bytes were there first, and count."""
        content = (folder / MANIFEST).read_bytes()
        if (there := self.files.read(f"{key}{ENDING}")) is not None:
            return there == content
        files = self._checked(content, key)["files"]
        for name, file in files.items():
            self.files.put(_address(key, name, file["sha256"]), folder / name)
        self._require_all(key, files)
        self.files.put_new(f"{key}{ENDING}", content)
        return self.files.read(f"{key}{ENDING}") == content

    def keys(self, stage: str) -> list[str]:
        """The keys of a stage's artefacts."""
        found = self.files.children(stage)
        names = [name for name in found if name.endswith(ENDING) and not name.startswith(".")]
        return [f"{stage}/{name.removesuffix(ENDING)}" for name in names]

    def stages(self) -> list[str]:
        """The stages that the store may hold artefacts of."""
        return self.files.children("")

    def remove(self, key: str) -> None:
        """Remove an artefact: first its manifest, so that it is gone before it is incomplete."""
        self.files.remove([f"{key}{ENDING}"])
        self.files.remove([f"{key}/{name}" for name in self.files.sizes(key)])

    def unfinished(self, silent_since: datetime) -> dict[str, int]:
        """File -> bytes of uploads, and of attempts at a training, that wrote nothing since.

        What wrote nothing for a day was killed; ``self.files.remove`` takes these names.
        """
        return {
            f"{stage}/{name}": size
            for stage in self.stages()
            for name, size in self._unfinished(stage, silent_since).items()
        }

    def _unfinished(self, stage: str, limit: datetime) -> dict[str, int]:
        found, named = self.files.sizes(stage), set[str]()
        for key in self.keys(stage):
            named.add(f"{key}{ENDING}")
            files = (self.manifest(key) or {"files": {}})["files"]
            named |= {_address(key, name, file["sha256"]) for name, file in files.items()}
        left = {name: size for name, size in found.items() if f"{stage}/{name}" not in named}
        # An upload and an attempt are one each: what is old of one under way stays.
        newest: dict[str, datetime] = {}
        for name in left:
            at = self.files.written_at(f"{stage}/{name}") or datetime.now(UTC)
            newest[_work_of(name)] = max(at, newest.get(_work_of(name), at))
        return {name: size for name, size in left.items() if newest[_work_of(name)] < limit}

    def _checked(self, content: bytes, key: str) -> dict[str, Any]:
        manifest = read_manifest(content, key, f"{self.url}/{key}{ENDING}", self._remedy(key))
        for name in manifest["files"]:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts:
                raise self._corrupt(key, "the manifest names a file outside of its folder")
        return manifest

    def fetch_file(self, key: str, name: str, sha256: str, draft: Path) -> None:
        """One file of an artefact, by its manifest; raises as ``fetch`` does."""
        target = draft / name
        for folder in reversed(target.relative_to(draft).parents[:-1]):
            private_folder(draft / folder)
        if not self.files.get(_address(key, name, sha256), target):
            raise self._corrupt(key, f"{name} is missing")
        if hash_file(target) != sha256:
            raise self._corrupt(key, f"{name} is not the file that was written (sha256 differs)")

    def _require_all(self, key: str, files: Mapping[str, Mapping[str, Any]]) -> None:
        """Before the manifest is written: each file is there, and as long as it is here."""
        found = self.files.sizes(key)
        expected = {f"{file['sha256']}/{name}": file["bytes"] for name, file in files.items()}
        if any(found.get(name) != size for name, size in expected.items()):
            raise unavailable(self.url, "a file that was uploaded is not there whole")

    def _corrupt(self, key: str, found: str) -> Exception:
        return corrupt(found, f"{self.url}/{key}", self._remedy(key))

    def _remedy(self, key: str) -> str:
        return (
            f"Remove {self.url}/{key}{ENDING} and the folder {self.url}/{key}, and run again: the "
            "stage makes it anew from its inputs. Then ask who can write there."
        )


def _work_of(name: str) -> str:
    """Whose a file is: ``.work-<hash>/<attempt>``, or ``<hash>`` of the artefact of an upload."""
    parts = name.split("/")
    return "/".join(parts[: 2 if name.startswith(".work-") else 1])


def _address(key: str, name: str, sha256: str) -> str:
    return f"{key}/{sha256}/{name}"

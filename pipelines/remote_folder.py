"""A second local folder in the place of an object store: a mounted drive that machines share."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from pipelines.durable import fsync_path, new_private_file, private_folder
from pipelines.remote_files import OWN_TROUBLE, unavailable

DRAFT = ".draft-"


class RemoteFolder:
    """Files below a folder, which its owner alone may enter; see ``RemoteFiles``."""

    def __init__(self, root: Path, url: str) -> None:
        self._root, self._url = root, url

    def read(self, name: str) -> bytes | None:
        with self._reaching():
            try:
                return (self._root / name).read_bytes()
            except FileNotFoundError:
                return None

    def get(self, name: str, target: Path) -> bool:
        with self._reaching():
            if not (self._root / name).is_file():
                return False
            _copy(self._root / name, target)
            return True

    def put(self, name: str, source: Path) -> None:
        with self._drafted(name, lambda draft: _copy(source, draft)) as draft:
            draft.replace(self._root / name)

    def put_new(self, name: str, content: bytes) -> None:
        # A link, unlike a rename, refuses to take the place of another.
        with (
            self._drafted(name, lambda draft: _write(content, draft)) as draft,
            suppress(FileExistsError),
        ):
            os.link(draft, self._root / name)

    def children(self, folder: str) -> list[str]:
        with self._reaching():
            if not (self._root / folder).is_dir():
                return []
            found = (path.name for path in (self._root / folder).iterdir())
            return sorted(name for name in found if not name.startswith(DRAFT))

    def sizes(self, folder: str) -> dict[str, int]:
        root = self._root / folder
        with self._reaching():
            return {
                str(file.relative_to(root)): file.stat().st_size
                for file in sorted(root.rglob("*"))
                if file.is_file()
            }

    def written_at(self, name: str) -> datetime | None:
        with self._reaching():
            try:
                return datetime.fromtimestamp((self._root / name).stat().st_mtime, UTC)
            except FileNotFoundError:
                return None

    def remove(self, names: Iterable[str]) -> None:
        with self._reaching():
            for name in names:
                (self._root / name).unlink(missing_ok=True)

    @contextmanager
    def _drafted(self, name: str, fill: Callable[[Path], None]) -> Iterator[Path]:
        """A synced draft beside the file that it becomes."""
        target = self._root / name
        draft = target.with_name(f"{DRAFT}{uuid.uuid4().hex}")
        with self._reaching():
            private_folder(target.parent)
            try:
                fill(draft)
                fsync_path(draft)
                yield draft
            finally:
                draft.unlink(missing_ok=True)
            fsync_path(target.parent)

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in OWN_TROUBLE:
                raise
            raise unavailable(self._url, type(error).__name__) from None


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as read, new_private_file(target) as written:
        shutil.copyfileobj(read, written, 2**20)


def _write(content: bytes, target: Path) -> None:
    with new_private_file(target) as written:
        written.write(content)

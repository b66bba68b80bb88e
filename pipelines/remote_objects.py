"""Objects of a store that fsspec reaches, S3 above all."""

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.durable import new_private_file
from pipelines.errors import ArtefactStoreUnavailable
from pipelines.remote_files import OWN_TROUBLE, unavailable

# A part of an upload is held in memory whole.
PART_BYTES = 16 * 2**20


class ObjectFiles:
    """Objects of a store that fsspec reaches: each is put whole by the protocol itself."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        with self._reaching():
            self._files, self._root = _connect(self._url)

    def read(self, name: str) -> bytes | None:
        with self._reaching():
            try:
                content: bytes = self._files.cat_file(self._path(name))
            except FileNotFoundError:
                return None
            return content

    def get(self, name: str, target: Path) -> bool:
        # The client truncates a file that is there and leaves its mode alone.
        new_private_file(target).close()
        with self._reaching():
            try:
                self._files.get_file(self._path(name), str(target))
            except FileNotFoundError:
                target.unlink()
                return False
            return True

    def put(self, name: str, source: Path) -> None:
        part = {"chunksize": PART_BYTES} if _is_s3(self._url) else {}
        with self._reaching():
            self._files.put_file(str(source), self._path(name), **part)

    def put_new(self, name: str, content: bytes) -> None:
        with self._reaching():
            try:
                self._files.pipe_file(self._path(name), content, mode="create")
            except FileExistsError:
                return
            except OSError as error:
                # A refusal has many codes; and where an answer was lost, what we see is our own.
                if self.read(name) is not None:
                    return
                if error.errno != errno.ENOSYS:
                    raise
                self._files.pipe_file(self._path(name), content)

    def children(self, folder: str) -> list[str]:
        with self._reaching():
            try:
                found = self._files.ls(self._path(folder), detail=False)
            except FileNotFoundError:
                return []
            return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in found)

    def sizes(self, folder: str) -> dict[str, int]:
        root = self._path(folder) + "/"
        with self._reaching():
            try:
                found = self._files.find(self._path(folder), detail=True)
            except FileNotFoundError:
                return {}
            return {path.removeprefix(root): info["size"] for path, info in found.items()}

    def written_at(self, name: str) -> datetime | None:
        with self._reaching():
            try:
                written: datetime = self._files.modified(self._path(name))
            except FileNotFoundError:
                return None
            return written

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            with self._reaching():
                try:
                    self._files.rm_file(self._path(name))
                except FileNotFoundError:
                    continue

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except ArtefactStoreUnavailable:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in OWN_TROUBLE:
                raise
            raise unavailable(self._url, type(error).__name__) from None


def _is_s3(url: str) -> bool:
    return url.split("://")[0] in ("s3", "s3a")


def _connect(url: str) -> tuple[Any, str]:
    """The client and the path of the URL's root in its words."""
    from fsspec.core import url_to_fs

    # What others wrote a moment ago must be seen, and a transfer holds one part at a time.
    options: dict[str, Any] = {"use_listings_cache": False}
    if _is_s3(url):
        options["max_concurrency"] = 1
    files, root = url_to_fs(url, **options)
    return files, str(root).rstrip("/")

"""Files below a URL, in an object store or a second folder: put whole, read whole, listed fresh.

Credentials and the endpoint are read by the store's own client from its own variables and files
(``AWS_*``); none of them is ever ours to say. What a client raises is told by its class alone: its
words may quote a header or an address.
"""

import errno
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pipelines.errors import ArtefactStoreUnavailable

# Trouble of the disk here: not the store's.
OWN_TROUBLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


class RemoteFiles(Protocol):
    """Files by their names below one place; a name has slashes and no leading one.

    Every method raises ArtefactStoreUnavailable where the place cannot be reached or used.
    """

    def read(self, name: str) -> bytes | None:
        """A small file's bytes; None where there is none."""

    def get(self, name: str, target: Path) -> bool:
        """Copy into a new local file that only its owner opens; whether it was there."""

    def put(self, name: str, source: Path) -> None:
        """Copy a local file there: others see all of it or none."""

    def put_new(self, name: str, content: bytes) -> None:
        """Write a small file unless there is one; of two who do so at once one writes it."""

    def children(self, folder: str) -> list[str]:
        """Names of the files and folders right below a folder, without the folder's own."""

    def sizes(self, folder: str) -> dict[str, int]:
        """All files below a folder, by their name in it, with their bytes."""

    def written_at(self, name: str) -> datetime | None:
        """When a file was written, by the place's own clock; None where there is none."""

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; one that is gone already is no error."""


def unavailable(url: str, what: str) -> ArtefactStoreUnavailable:
    """The error for a store that cannot be reached or used. what: a class of error, no words."""
    return ArtefactStoreUnavailable(
        f"The shared store of artefacts cannot be used ({what}).",
        where=url,
        remedy="Check that the store is up, that the bucket is there, and that its client finds "
        "endpoint and credentials (AWS_ENDPOINT_URL, AWS_SHARED_CREDENTIALS_FILE and the like) "
        "with the rights to list, read, write and delete. Nothing is lost: run again.",
    )

"""A folder of numbered JSON files that are only ever added, each naming the one before it."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.durable import READ_ONLY_MODE, only_writer, rename_into_place
from pipelines.errors import ArtefactCorrupt

BEFORE_THE_FIRST = "0" * 64
LOCK_WAIT_SECONDS = 10.0

Content = dict[str, Any]


class Ledger:
    """Entries in the order of their writing; an edit or a gap is found at the next read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entries(self) -> list[Content]:
        """All entries, oldest first.

        Raises:
            ArtefactCorrupt: a file is missing, was edited or cannot be read.
        """
        entries: list[Content] = []
        expected = BEFORE_THE_FIRST
        for number, file in enumerate(self._files(), start=1):
            text = file.read_bytes()
            entry = _parsed(file, text)
            if file.stem != _stem(number) or entry["previous_sha256"] != expected:
                raise corrupt(file, "does not follow the entry before it")
            expected = _sha256(text)
            entries.append(entry["content"])
        return entries

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Deciding and adding are one step: nobody adds an entry in between.

        Raises:
            StoreLocked: another process kept the ledger for ten seconds.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with only_writer(self.folder / ".lock", LOCK_WAIT_SECONDS):
            yield

    def add(self, content: Content) -> None:
        """Add one entry, whole or not at all; call it inside ``writing``."""
        files = self._files()
        previous = _sha256(files[-1].read_bytes()) if files else BEFORE_THE_FIRST
        draft = self.folder / ".draft"
        draft.unlink(missing_ok=True)
        draft.write_text(json.dumps({"previous_sha256": previous, "content": content}, indent=1))
        rename_into_place(draft, self.folder / f"{_stem(len(files) + 1)}.json", READ_ONLY_MODE)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]" * 6 + ".json"))


def corrupt(file: Path, found: str) -> ArtefactCorrupt:
    """The error for an entry that is not the one that was written."""
    return ArtefactCorrupt(
        f"The record cannot be trusted: {file.name} {found}.",
        where=str(file),
        remedy="Restore the folder from the backup: entries are only ever added, never edited.",
    )


def _parsed(file: Path, text: bytes) -> Content:
    try:
        entry = json.loads(text)
    except ValueError:
        raise corrupt(file, "cannot be read as JSON") from None
    if not isinstance(entry, dict) or set(entry) != {"previous_sha256", "content"}:
        raise corrupt(file, "is not an entry")
    return entry


def _stem(number: int) -> str:
    return f"{number:06d}"


def _sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()

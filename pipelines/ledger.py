"""A folder of numbered JSON files that are only ever added, each naming the one before it.

Nothing names the newest entry but the head: a small file with the number of entries and the sha256
of the last. It is written after each entry under the same lock, so a process killed between the
two leaves one entry more than the head says, never more and never fewer.

Out of scope: who can write the folder can rewrite all entries and the head, or remove the folder.
The hashes find accidents and partial edits; against that person only the folder's permissions
and a backup elsewhere help.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipelines.durable import READ_ONLY_MODE, only_writer, rename_into_place
from pipelines.errors import ArtefactCorrupt

BEFORE_THE_FIRST = "0" * 64
LOCK_WAIT_SECONDS = 10.0

Content = dict[str, Any]


@dataclass(frozen=True)
class Head:
    """How many entries there are, and the sha256 of the last."""

    count: int
    sha256: str


NO_ENTRY = Head(0, BEFORE_THE_FIRST)


class Ledger:
    """Entries in the order of their writing; an edit or a gap is found at the next read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entries(self) -> list[Content]:
        """All entries, oldest first.

        Raises:
            ArtefactCorrupt: a file is missing, was edited or cannot be read, the newest included.
        """
        return self.read()[0]

    def read(self) -> tuple[list[Content], Head]:
        """All entries, oldest first, and the head that belongs to them, of one moment.

        Raises:
            ArtefactCorrupt: as ``entries``.
        """
        while True:
            head = self._head()
            entries, heads = self._chain()
            # A writer may have added entries in between; its head only ever grows.
            if self._head() == head:
                break
        self._require_agreement(head, heads)
        return entries, heads[-1]

    @contextmanager
    def writing(self, wait_seconds: float = LOCK_WAIT_SECONDS) -> Iterator[list[Content]]:
        """Deciding and adding are one step: nobody adds an entry in between.

        Yields all entries, read once and whole, so that the writer need not read them again.

        Raises:
            ArtefactCorrupt: as ``entries``.
            StoreLocked: another process kept the ledger for all of ``wait_seconds``.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with only_writer(self.folder / ".lock", wait_seconds):
            yield self._settled()

    def add(self, content: Content) -> None:
        """Add one entry, whole or not at all; call it inside ``writing``."""
        last = self._head() or NO_ENTRY
        text = json.dumps({"previous_sha256": last.sha256, "content": content}, indent=1)
        self._place(f"{_stem(last.count + 1)}.json", text)
        self._write_head(Head(last.count + 1, _sha256(text.encode())))

    def _chain(self) -> tuple[list[Content], list[Head]]:
        """The entries, and the head that belongs to the first 0, 1, 2 … of them."""
        entries: list[Content] = []
        heads = [NO_ENTRY]
        for number, file in enumerate(self._files(), start=1):
            text = file.read_bytes()
            entry = _parsed(file, text)
            if file.stem != _stem(number) or entry["previous_sha256"] != heads[-1].sha256:
                raise corrupt(file, "does not follow the entry before it")
            heads.append(Head(number, _sha256(text)))
            entries.append(entry["content"])
        return entries, heads

    def _require_agreement(self, head: Head | None, heads: list[Head]) -> None:
        """The head is that of all entries, or of all but the last: its writer was killed."""
        if head is None and len(heads) > 1:
            raise corrupt(self._head_file, "is missing, though there are entries")
        if head is not None and head not in heads[-2:]:
            raise corrupt(self._head_file, "does not agree with the last entry")

    def _settled(self) -> list[Content]:
        """All entries; the head gets what a killed writer left out, the first before any entry."""
        entries, newest = self.read()
        if self._head() != newest:
            self._write_head(newest)
        return entries

    @property
    def _head_file(self) -> Path:
        return self.folder / "head.json"

    def _head(self) -> Head | None:
        try:
            text = self._head_file.read_bytes()
        except FileNotFoundError:
            return None
        try:
            return Head(**json.loads(text))
        except (ValueError, TypeError):
            raise corrupt(self._head_file, "cannot be read as a head") from None

    def _write_head(self, head: Head) -> None:
        self._place(self._head_file.name, json.dumps(asdict(head)))

    def _place(self, name: str, text: str) -> None:
        draft = self.folder / ".draft"
        draft.unlink(missing_ok=True)
        draft.write_bytes(text.encode())
        rename_into_place(draft, self.folder / name, READ_ONLY_MODE)

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

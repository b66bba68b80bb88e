"""The head of the event log, written down outside of the database after each commit.

One line of JSON per head, only ever added to. A log whose end was cut off, or that was written anew
from some event on, no longer holds a head that stands here. Whoever can write both can change both:
copy the file to a place that the publisher cannot write.
"""

import json
import os
from pathlib import Path

from pipelines.durable import PRIVATE_FILE_MODE, private_folder
from pipelines.errors import ArtefactCorrupt
from pipelines.publication.chain import Head
from pipelines.settings import Settings


def anchor_file(settings: Settings) -> Path:
    """Beside the records of releases, not beside the database."""
    return settings.home / "anchors" / "event_log.jsonl"


def write_anchor(head: Head, settings: Settings) -> None:
    """Add the head, if it is not the newest there already."""
    path = anchor_file(settings)
    private_folder(path.parent)
    if head.event_number == 0 or (path.exists() and read_anchors(settings)[-1:] == (head,)):
        return
    _cut_half_a_line(path)
    line = json.dumps(head._asdict()) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, PRIVATE_FILE_MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(line)
        stream.flush()
        os.fsync(descriptor)


def _cut_half_a_line(path: Path) -> None:
    """Remove what a process left that was killed while it wrote."""
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)


def read_anchors(settings: Settings) -> tuple[Head, ...]:
    """Every head that was written down, oldest first; a line cut short by a kill is left out.

    Raises:
        ArtefactCorrupt: a line is no head.
    """
    path = anchor_file(settings)
    if not path.exists():
        return ()
    whole = path.read_text(encoding="utf-8").rpartition("\n")[0]
    try:
        return tuple(Head(**json.loads(line)) for line in whole.splitlines())
    except (TypeError, ValueError):
        raise ArtefactCorrupt(
            "A line of the heads of the event log is no head.",
            where=str(path),
            remedy="Restore the file from the backup.",
        ) from None

"""Files of one JSON object per line: a line torn by a power cut costs itself and no other."""

import fcntl
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


def append_line(file: Path, values: Mapping[str, Any]) -> None:
    """Append one line in one write, so that two processes never mix their lines.

    Under a lock: on a drive that machines share, an append alone may land on another's line.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(values, sort_keys=True).encode() + b"\n"
    descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # A torn last line is closed first: it would swallow this one.
        os.write(descriptor, line if _ends_whole(descriptor) else b"\n" + line)
    finally:
        os.close(descriptor)


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The objects of a file, oldest first; lines that are none are skipped and counted in the log.

    A file that is not there has no lines.
    """
    if not file.exists():
        return []
    lines = [line for line in file.read_bytes().split(b"\n") if line.strip()]
    objects = [found for line in lines if (found := _object(line)) is not None]
    if len(objects) < len(lines):
        log.warning("%s: %d lines cannot be read", file.name, len(lines) - len(objects))
    return objects


def _ends_whole(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None

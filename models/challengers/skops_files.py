"""Models stored by skops so that the same model is the same bytes, on any day and machine.

skops names every object by its place in memory, files of arrays too, and its archive tells the time
at which each was written. Here they are numbered in the order of the schema, and tell no time.
"""

import json
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import skops.io

SCHEMA = "schema.json"
# The earliest that an archive can say.
NO_TIME = (1980, 1, 1, 0, 0, 0)


def write_skops(model: object, file: Path) -> None:
    """Store a model; ``skops.io.load`` reads it as it reads its own files."""
    with ZipFile(BytesIO(skops.io.dumps(model))) as made, ZipFile(file, "w") as archive:
        order = _Order(frozenset(made.namelist()))
        schema = order.numbered(json.loads(made.read(SCHEMA)))
        for old, new in order.files.items():
            archive.writestr(ZipInfo(new, NO_TIME), made.read(old))
        archive.writestr(ZipInfo(SCHEMA, NO_TIME), json.dumps(schema, indent=2))


class _Order:
    """Objects and files by when the schema first names them."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._objects: dict[int, int] = {}
        self.files: dict[str, str] = {}

    def numbered(self, node: Any) -> Any:
        if isinstance(node, dict):
            return {key: self._named(key, value) for key, value in node.items()}
        return [self.numbered(each) for each in node] if isinstance(node, list) else node

    def _named(self, key: str, value: Any) -> Any:
        if key == "__id__":
            return self._objects.setdefault(value, len(self._objects))
        if key == "file" and value in self._names:
            return self.files.setdefault(value, f"{len(self.files)}{Path(value).suffix}")
        return self.numbered(value)

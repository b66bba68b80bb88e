"""Search the bytes of files for planted texts, however they were written down.

Every file is read as it lies and as its format decodes it: Parquet by column, SQLite and DuckDB by
cell, archives and the streams of a PDF unpacked, and its pages as they are printed.
"""

import base64
import html
import json
import re
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import quote, quote_plus

import duckdb
import polars as pl
import pypdfium2 as pdfium

# Of a shorter one the middle, of which all three ways to write it in base64 agree, is too short.
LEAST_CHARACTERS = 10
STREAM = re.compile(rb"stream\r?\n(.*?)endstream", re.DOTALL)


class Search:
    """Finds any of ``planted`` in any of its written forms; counts what it looked at."""

    def __init__(self, planted: Iterable[str]) -> None:
        self._of = {_lower(form): text for text in planted for form in _forms(text)}
        self._forms = list(self._of)
        self.bytes_read = 0
        self.files_read = 0

    def in_texts(self, named: Mapping[str, bytes]) -> dict[str, set[str]]:
        """Name -> the planted texts that are in its bytes, of those where there are any."""
        texts = pl.Series(
            [content.decode("latin-1") for content in named.values()], dtype=pl.String
        )
        hits = texts.str.extract_many(self._forms, ascii_case_insensitive=True).to_list()
        self.bytes_read += sum(map(len, named.values()))
        found = {
            name: {self._of[_lower(form)] for form in forms}
            for name, forms in zip(named, hits, strict=True)
        }
        return {name: of for name, of in found.items() if of}

    def in_folder(self, folder: Path, *, but: Iterable[str] = ()) -> dict[str, set[str]]:
        """File, from the folder -> what is in it; ``but``: patterns of files that are not read."""
        named = {}
        for file in sorted(folder.rglob("*")):
            name = str(file.relative_to(folder))
            if file.is_file() and not any(fnmatch(name, pattern) for pattern in but):
                content = file.read_bytes()
                named[name] = b"\n".join([name.encode(), content, *_decoded(file, content)])
        self.files_read += len(named)
        return self.in_texts(named)


def _forms(text: str) -> Iterator[str]:
    """How a text may be written: latin-1 stands for the bytes."""
    raw = text.encode()
    assert len(raw) >= LEAST_CHARACTERS, text
    escaped = json.dumps(text)[1:-1]
    written = (
        *(text, raw.hex(), quote(text, safe=""), quote(text), quote_plus(text)),
        *(html.escape(text), html.escape(text, quote=False), escaped, escaped.replace("/", "\\/")),
    )
    yield from (form.encode().decode("latin-1") for form in written)
    # Where lines are broken, blanks cannot be told from breaks: all are left out.
    yield "".join(text.split()).encode().decode("latin-1")
    yield text.encode("utf-16-le").decode("latin-1")
    yield text.encode("utf-32-le").decode("latin-1")
    for shift in range(3):
        yield from _base64(raw, shift)


def _lower(form: str) -> str:
    """As bytes are lowered: letters beyond ASCII stay."""
    return form.encode("latin-1").lower().decode("latin-1")


def _base64(raw: bytes, shift: int) -> Iterator[str]:
    """What is the same of every base64 in which the text begins ``shift`` bytes after a group."""
    written = base64.b64encode(bytes(shift) + raw).decode()
    first = -(-shift * 8 // 6)
    last = (shift + len(raw)) * 8 // 6
    middle = written[first:last]
    yield middle
    yield middle.replace("+", "-").replace("/", "_")


def _decoded(file: Path, content: bytes) -> Iterator[bytes]:
    if content.startswith(b"PAR1"):
        yield _table(pl.read_parquet(content))
    elif content.startswith(b"SQLite format 3"):
        yield from _sqlite(file)
    elif content[8:12] == b"DUCK":
        yield from _duckdb(file)
    elif content.startswith(b"\x1f\x8b"):
        yield zlib.decompress(content, wbits=31)
    elif content.startswith(b"PK\x03\x04"):
        yield from _zipped(file)
    elif content.startswith(b"%PDF"):
        yield from filter(None, map(_inflated, STREAM.findall(content)))
        yield from _printed(content)


def _printed(content: bytes) -> Iterator[bytes]:
    """What a reader sees: the streams hold glyphs' numbers. A text may go on in the next line."""
    try:
        with closing(pdfium.PdfDocument(content)) as document:
            pages = [page.get_textpage().get_text_bounded() for page in document]
    except pdfium.PdfiumError:
        return  # broken: its streams were looked at
    for page in pages:
        yield page.encode()
        yield "".join(page.replace("\ufffe", "").split()).encode()


def _table(frame: pl.DataFrame) -> bytes:
    cells = (cell for column in frame for cell in column.to_list() if cell is not None)
    return b"\n".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells)


def _sqlite(file: Path) -> Iterator[bytes]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True)) as database:
        database.text_factory = bytes
        names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in names:
            rows = database.execute(f'SELECT * FROM "{name.decode()}"')  # noqa: S608 - own names
            for row in rows:
                for cell in row:
                    yield cell if isinstance(cell, bytes) else str(cell).encode()
                    if isinstance(cell, bytes):
                        yield _inflated(cell)


def _duckdb(file: Path) -> Iterator[bytes]:
    with duckdb.connect(str(file), read_only=True) as database:
        names = database.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT internal"
        ).fetchall()
        for schema, name in names:
            asked = f'SELECT * FROM "{schema}"."{name}"'  # noqa: S608 - own names
            rows = database.execute(asked).fetchall()
            yield b"\n".join(str(cell).encode() for row in rows for cell in row)


def _zipped(file: Path) -> Iterator[bytes]:
    from zipfile import ZipFile

    with ZipFile(file) as archive:
        yield from (archive.read(name) for name in archive.namelist())


def _inflated(content: bytes) -> bytes:
    try:
        return zlib.decompress(content)
    except zlib.error:
        return b""


def files_of_a_server(folder: Path) -> dict[str, bytes]:
    """Path in the server -> what it holds. The server runs: its own temporary files come and go."""
    found = dict[str, bytes]()
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if file.is_file():
                found[f"server/{file.relative_to(folder)}"] = file.read_bytes()
    return found

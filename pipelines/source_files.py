"""Read a source's file as text: delimited or Parquet, whole or refused.

Every cell stays what the source wrote, so that a rule can judge it and the quarantine can show it.
"""

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from pipelines.errors import SourceInvalid

SEPARATORS = {"csv": ",", "tsv": "\t"}
BATCH_ROWS = 2**18


def read_text(kind: str, shown: str, file: Path) -> pl.DataFrame:
    """A file as text, with ``source_row`` counted from 1; an empty cell is null.

    Args:
        kind: csv, tsv (either may be .gz) or parquet.
        shown: what the file is called in messages and accounts.

    Raises:
        SourceInvalid: the file is cut, or is no file of its format.
    """
    if kind == "parquet":
        with _readable_parquet(shown):
            frame = pl.read_parquet(file)
            frame = frame.select(_as_text(name, kind) for name, kind in frame.schema.items())
    else:
        frame = pl.concat(_delimited(shown, file, SEPARATORS[kind]))
    rows = pl.int_range(1, frame.height + 1, dtype=pl.Int64, eager=True)
    return frame.select(stripped()).insert_column(0, rows.alias("source_row"))


def scan_text(kind: str, shown: str, file: Path, copies: Path) -> pl.LazyFrame:
    """A file of any size as ``read_text`` reads it, unread.

    Delimited text is read once, checked to its last line, and copied to Parquet batch by batch.

    Args:
        copies: a folder of this file's own for the copy; it must outlive the frame.

    Raises:
        SourceInvalid: as ``read_text``. Pages of a Parquet file are read later: by whoever collects
            it under ``readable``.
    """
    if kind == "parquet":
        with _readable_parquet(shown):
            table = pl.scan_parquet(file, row_index_name="source_row", row_index_offset=1)
            kinds = table.collect_schema()
        texts = [_as_text(name, kind) for name, kind in kinds.items() if name != "source_row"]
    else:
        copies.mkdir(parents=True)
        for number, batch in enumerate(_delimited(shown, file, SEPARATORS[kind])):
            batch.write_parquet(copies / f"{number:06d}.parquet")
        table = pl.scan_parquet(
            sorted(copies.iterdir()), row_index_name="source_row", row_index_offset=1
        )
        texts = [pl.exclude("source_row")]
    row = pl.col("source_row").cast(pl.Int64)
    return table.select(row, *texts).with_columns(stripped(pl.exclude("source_row")))


@contextmanager
def readable(shown: str, expected: str = "a file that can be read to its end") -> Iterator[None]:
    """Whatever Polars says of a source's file that is unread becomes words without its values."""
    try:
        yield
    except pl.exceptions.PolarsError as error:
        raise _unreadable(shown, expected, "another one") from error


def stripped(texts: pl.Expr | None = None) -> pl.Expr:
    """Texts without blanks around them; one of blanks alone is null."""
    return (pl.all() if texts is None else texts).str.strip_chars().replace("", None)


def require_columns(shown: str, frame: pl.DataFrame, columns: list[str]) -> None:
    """Refuse a file that lacks a column the study names.

    Raises:
        SourceInvalid: it says which, and how many there are. What a file without a header has in
            the header's place are values, so the columns that are there are not named.
    """
    require_named(shown, frame.columns[1:], columns)


def require_named(shown: str, present: list[str], columns: list[str]) -> None:
    """Refuse a file with the columns ``present`` that lacks one of ``columns``.

    Raises:
        SourceInvalid: as ``require_columns``.
    """
    missing = sorted(set(columns) - set(present))
    if missing:
        raise SourceInvalid(
            f"The file has no column {', '.join(missing)}; it has {len(present):,} others.",
            where=shown,
            remedy="Correct the column's name in the study, or give the file with its header.",
        )


@contextmanager
def _readable_parquet(shown: str) -> Iterator[None]:
    expected = "a Parquet file of plain columns"
    try:
        with readable(shown, expected):
            yield
    except OSError as error:
        raise _unreadable(shown, expected, "another one") from error


def _as_text(name: str, kind: pl.DataType) -> pl.Expr:
    """A typed column as a delimited file would write it; a moment with a zone is said in UTC."""
    column = pl.col(name)
    if isinstance(kind, pl.Datetime):
        if kind.time_zone is None:
            return column.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f")
        return column.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    return column.cast(pl.String)


class _Lines:
    """The lines of a text as they are read; ``taken`` gives those since it was last asked."""

    def __init__(self, text: Iterable[str]) -> None:
        self._text, self._kept, self.last = text, list[str](), ""

    def __iter__(self) -> Iterator[str]:
        for line in self._text:
            self._kept.append(line)
            self.last = line
            yield line

    def taken(self) -> str:
        kept, self._kept = self._kept, []
        return "".join(kept)


def _delimited(shown: str, file: Path, separator: str) -> Iterator[pl.DataFrame]:
    """The rows of a file in batches, at least one."""
    expected = "delimited text in UTF-8, whole"
    try:
        opened = gzip.open if file.suffix == ".gz" else open
        with opened(file, "rt", encoding="utf-8-sig", newline="") as text:
            yield from _batches(shown, text, separator)
    except (EOFError, OSError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(shown, expected, "an end too soon, or other bytes") from error
    except pl.exceptions.PolarsError as error:
        raise _unreadable(shown, expected, "quotes or lines that do not match") from error


def _batches(shown: str, text: Iterable[str], separator: str) -> Iterator[pl.DataFrame]:
    """Every line has as many cells as the header, and the last one ends: else the file was cut.

    Polars would fill a short line with nulls in silence.
    """
    lines = _Lines(text)
    rows = csv.reader(lines, delimiter=separator, strict=True)
    header = next(rows, [])
    if len(set(header)) != len(header) or not header:
        raise _unreadable(shown, "a header that names every column once", "another header")
    head, row_number = lines.taken(), 0
    for row_number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            expected = f"{len(header)} cells in line {rows.line_num:,}"
            raise _unreadable(shown, expected, f"{len(row)}")
        if row_number % BATCH_ROWS == 0:
            yield _parsed(head + lines.taken(), separator)
    rest = lines.taken()
    if not lines.last.endswith("\n"):
        raise _unreadable(shown, "a line break after the last line", "none: the file may be cut")
    if rest or row_number == 0:
        yield _parsed(head + rest, separator)


def _parsed(content: str, separator: str) -> pl.DataFrame:
    return pl.read_csv(content.encode(), separator=separator, infer_schema=False)


def _unreadable(shown: str, expected: str, found: str) -> SourceInvalid:
    return SourceInvalid(
        f"The file cannot be read as the study describes it: expected {expected}; found {found}.",
        where=shown,
        remedy="Fetch the file again, or correct its `format` in the study.",
    )

"""Read a source's file as text: delimited or Parquet, whole or refused.

Every cell stays what the source wrote, so that a rule can judge it and the quarantine can show it.
"""

import csv
import gzip
import io
import zlib
from pathlib import Path

import polars as pl

from pipelines.errors import SourceInvalid

SEPARATORS = {"csv": ",", "tsv": "\t"}


def read_text(kind: str, shown: str, file: Path) -> pl.DataFrame:
    """A file as text, with ``source_row`` counted from 1; an empty cell is null.

    Args:
        kind: csv, tsv (either may be .gz) or parquet.
        shown: what the file is called in messages and accounts.

    Raises:
        SourceInvalid: the file is cut, or is no file of its format.
    """
    if kind == "parquet":
        frame = _parquet(shown, file)
    else:
        frame = _delimited(shown, file, SEPARATORS[kind])
    stripped = frame.select(pl.all().str.strip_chars().replace("", None))
    return stripped.insert_column(
        0, pl.int_range(1, stripped.height + 1, dtype=pl.Int64, eager=True).alias("source_row")
    )


def require_columns(shown: str, frame: pl.DataFrame, columns: list[str]) -> None:
    """Refuse a file that lacks a column the study names.

    Raises:
        SourceInvalid: it says which, and how many there are. What a file without a header has in
            the header's place are values, so the columns that are there are not named.
    """
    missing = sorted(set(columns) - set(frame.columns[1:]))
    if missing:
        raise SourceInvalid(
            f"The file has no column {', '.join(missing)}; it has {frame.width - 1:,} others.",
            where=shown,
            remedy="Correct the column's name in the study, or give the file with its header.",
        )


def _parquet(shown: str, file: Path) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(file)
        return frame.select(_as_text(name, kind) for name, kind in frame.schema.items())
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(shown, "a Parquet file of plain columns", "another one") from error


def _as_text(name: str, kind: pl.DataType) -> pl.Expr:
    """A typed column as a delimited file would write it; a moment with a zone is said in UTC."""
    column = pl.col(name)
    if isinstance(kind, pl.Datetime):
        if kind.time_zone is None:
            return column.dt.strftime("%Y-%m-%dT%H:%M:%S%.6f")
        return column.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    return column.cast(pl.String)


def _delimited(shown: str, file: Path, separator: str) -> pl.DataFrame:
    expected = "delimited text in UTF-8, whole"
    try:
        opened = gzip.open if file.suffix == ".gz" else open
        with opened(file, "rb") as stream:
            content = stream.read()
        _require_whole(shown, content.decode("utf-8-sig"), separator)
        return pl.read_csv(content, separator=separator, infer_schema=False)
    except (EOFError, OSError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(shown, expected, "an end too soon, or other bytes") from error
    except pl.exceptions.PolarsError as error:
        raise _unreadable(shown, expected, "quotes or lines that do not match") from error


def _require_whole(shown: str, text: str, separator: str) -> None:
    """Every line has as many cells as the header, and the last one ends: else the file was cut.

    Polars would fill a short line with nulls in silence.
    """
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    header = next(rows, [])
    if len(set(header)) != len(header) or not header:
        raise _unreadable(shown, "a header that names every column once", "another header")
    for row in rows:
        if len(row) != len(header):
            raise _unreadable(
                shown, f"{len(header)} cells in line {rows.line_num:,}", f"{len(row)}"
            )
    if not text.endswith("\n"):
        raise _unreadable(shown, "a line break after the last line", "none: the file may be cut")


def _unreadable(shown: str, expected: str, found: str) -> SourceInvalid:
    return SourceInvalid(
        f"The file cannot be read as the study describes it: expected {expected}; found {found}.",
        where=shown,
        remedy="Fetch the file again, or correct its `format` in the study.",
    )

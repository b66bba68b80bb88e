"""Read a source's tables as text: one file, a folder of them, or what a package ships.

Every cell stays what the source wrote, so that a rule can judge it and the quarantine can show it.
"""

import csv
import gzip
import importlib.util
import io
import zlib
from pathlib import Path

import polars as pl

from pipelines.artefacts import hash_file
from pipelines.errors import SourceInvalid, SourceMissing
from pipelines.market.config import TableFile
from pipelines.settings import settings

SUFFIXES = {"csv": (".csv", ".csv.gz"), "tsv": (".tsv", ".tsv.gz"), "parquet": (".parquet",)}
SEPARATORS = {"csv": ",", "tsv": "\t"}


def source_files(table: TableFile) -> dict[str, Path]:
    """The files of a table by the name that accounts and the quarantine give them, in order.

    Raises:
        SourceMissing: no such package, file or folder, or a folder without a file of the format.
    """
    path = _folder(table) / table.path
    shown = Path(table.package or "") / table.path
    if path.is_file():
        return {str(shown): path}
    found = sorted(path.parent.glob(path.name) if "*" in path.name else path.glob("*"))
    folder = shown.parent if "*" in path.name else shown
    files = {
        str(folder / file.name): file
        for file in found
        if file.is_file() and file.name.endswith(SUFFIXES[table.format])
    }
    if not files:
        raise SourceMissing(
            f"There is no {table.format} file {shown}, nor a folder of that name that holds one.",
            where=str(path),
            remedy="Put the file there, or correct `path` and `format` in the study.",
        )
    return files


def file_hashes(table: TableFile) -> dict[str, str]:
    """File -> sha256 of its bytes."""
    return {shown: hash_file(file) for shown, file in source_files(table).items()}


def read_table(table: TableFile, shown: str, file: Path) -> pl.DataFrame:
    """One file as text, with ``source_row`` counted from 1; an empty cell is null.

    Raises:
        SourceInvalid: the file is cut, or is no file of its format.
    """
    if table.format == "parquet":
        frame = _parquet(shown, file)
    else:
        frame = _delimited(shown, file, SEPARATORS[table.format])
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


def instrument_of(file: Path) -> str:
    """The instrument that a file is named after: its name without the format's suffix."""
    return file.name.removesuffix(".gz").rpartition(".")[0]


def _folder(table: TableFile) -> Path:
    if table.package is None:
        return settings().studies_dir
    spec = importlib.util.find_spec(table.package)
    if spec is None or spec.origin is None:
        raise SourceMissing(
            f"The package {table.package} is not installed.",
            where=f"source, package {table.package}",
            remedy="Install the demonstration's data: uv sync --group demo.",
        )
    return Path(spec.origin).parent


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

"""Find a market source's tables: one file, a folder of them, or what a package ships."""

import importlib.util
from pathlib import Path

import polars as pl

from pipelines.errors import SourceMissing
from pipelines.manifests import hash_file
from pipelines.market.config import TableFile
from pipelines.settings import settings
from pipelines.source_files import read_text

SUFFIXES = {"csv": (".csv", ".csv.gz"), "tsv": (".tsv", ".tsv.gz"), "parquet": (".parquet",)}


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
    return read_text(table.format, shown, file)


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

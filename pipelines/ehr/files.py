"""Read a folder of Parquet or CSV files.

For records that an installation keeps itself: long tables of events in named columns, a table of
subjects, a table of outcomes.
"""

from pathlib import Path

import polars as pl

from pipelines.ehr.config import FilesSource
from pipelines.errors import SourceMissing
from pipelines.manifests import hash_file
from pipelines.settings import settings
from pipelines.source_files import scan_text


def fingerprint(source: FilesSource) -> dict[str, str]:
    """Table -> sha256 of its file."""
    return {table: hash_file(_file(source, table)) for table in source.tables}


def tables(source: FilesSource, work: Path) -> dict[str, pl.LazyFrame]:
    """Each table of the source as text, unread; ``source_row`` is counted from 1.

    Args:
        work: a folder for copies of delimited text; it must outlive the tables.

    Raises:
        SourceMissing: a file is not there.
        SourceInvalid: a file is cut or of another format.
    """
    return {
        table: scan_text(
            source.format,
            f"{source.folder.name}/{table}",
            _file(source, table),
            work / f"copy_{number}",
        )
        for number, table in enumerate(source.tables)
    }


def _file(source: FilesSource, table: str) -> Path:
    file = settings().data_dir / source.folder / table
    if not file.is_file():
        raise SourceMissing(
            f"There is no file {source.folder.name}/{table}.",
            where=str(file),
            remedy="Put the file there, name its folder by EQUIPOISE_DATA, or correct the study.",
        )
    return file

"""Read a folder of Parquet or CSV files as source rows.

For records that an installation keeps itself: long tables of events in named columns, a table of
subjects, a table of outcomes.
"""

from pathlib import Path

from pipelines.artefacts import hash_file
from pipelines.ehr.config import EhrConfig, FilesSource
from pipelines.ehr.source_rows import records_of
from pipelines.errors import SourceMissing
from pipelines.events import Records
from pipelines.settings import settings
from pipelines.source_files import read_text


def fingerprint(source: FilesSource) -> dict[str, str]:
    """Table -> sha256 of its file."""
    return {table: hash_file(_file(source, table)) for table in source.tables}


def read_records(config: EhrConfig, source: FilesSource) -> Records:
    """All source rows of the study, as text beside what they were parsed to.

    Raises:
        SourceMissing: a file is not there.
        SourceInvalid: a file is cut or of another format, or lacks a column that the study names.
    """
    frames = {
        table: read_text(source.format, f"{source.folder.name}/{table}", _file(source, table))
        for table in source.tables
    }
    return records_of(config, frames, source.folder.name)


def _file(source: FilesSource, table: str) -> Path:
    file = settings().data_dir / source.folder / table
    if not file.is_file():
        raise SourceMissing(
            f"There is no file {source.folder.name}/{table}.",
            where=str(file),
            remedy="Put the file there, name its folder by EQUIPOISE_DATA, or correct the study.",
        )
    return file

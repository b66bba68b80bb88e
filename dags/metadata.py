"""Airflow's metadata for one run in this process: an SQLite file of its own, removed afterwards.

A scheduler that shares the file would run the same tasks a second time, and two runs at once
would wait for each other's locks. What is worth keeping of a run is in the journal.
"""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path

from pipelines.settings import settings

LIFETIME_SECONDS = 2 * 24 * 3600


@contextmanager
def metadata_file(run: str) -> Iterator[Path]:
    """The path of the run's own file: a copy of the migrated one, if there is one yet."""
    file = settings().airflow_home / "runs" / f"{run}.db"
    file.parent.mkdir(parents=True, exist_ok=True)
    _sweep(file.parent)
    if _template().exists():
        shutil.copyfile(_template(), file)
    try:
        yield file
    finally:
        for leftover in file.parent.glob(f"{file.name}*"):
            leftover.unlink(missing_ok=True)


def migrate(file: Path) -> None:
    """Give ``file`` Airflow's tables, once per version of Airflow; imports airflow."""
    if _template().exists():
        return
    from airflow.utils.db import upgradedb

    upgradedb()
    draft = _template().with_suffix(f".{os.getpid()}")
    # Not a copy of the file: part of the tables still stands in its write-ahead log.
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(draft)) as target:
        source.backup(target)
    draft.replace(_template())


def _sweep(folder: Path) -> None:
    """Remove what killed runs left more than two days ago."""
    for file in folder.iterdir():
        if time.time() - file.stat().st_mtime > LIFETIME_SECONDS:
            file.unlink(missing_ok=True)


def _template() -> Path:
    return settings().airflow_home / f"empty-{version('apache-airflow')}.db"

"""The journal: one line per stage call, so that a run can be told afterwards."""

import logging
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from pipelines.json_lines import append_line, read_lines
from pipelines.settings import settings

log = logging.getLogger(__name__)


def run_id() -> str:
    """The run this process works for: ``EQUIPOISE_RUN``, else Airflow's own run id."""
    variables = ("EQUIPOISE_RUN", "AIRFLOW_CTX_DAG_RUN_ID")
    return next((os.environ[name] for name in variables if os.environ.get(name)), "by-hand")


def flow() -> str:
    """The flow this process works for, from the DAG's id (``train__<study>``)."""
    return os.environ.get("AIRFLOW_CTX_DAG_ID", "by-hand").split("__")[0]


@dataclass(frozen=True)
class JournalEntry:
    """What one stage did in one run. Counts and names only, never a value of a record."""

    study: str
    stage: str
    key: str
    made: bool
    seconds: float
    counts: dict[str, int]
    flow: str = field(default_factory=flow)
    run_id: str = field(default_factory=run_id)
    at_unix: float = field(default_factory=time.time)


def append_entry(entry: JournalEntry) -> None:
    """Append one line for one call of a stage."""
    append_line(_file(), asdict(entry))


def read_entries(study: str, run: str | None = None) -> Iterator[JournalEntry]:
    """The entries of a study, oldest first; of one run if it is given."""
    for entry in read_all_entries():
        if entry.study == study and run in (None, entry.run_id):
            yield entry


def read_all_entries() -> Iterator[JournalEntry]:
    """The entries of every study, oldest first.

    Lines that are no entries (torn, or of another version) are skipped and counted in the log.
    """
    names = {field.name for field in fields(JournalEntry)}
    lines = read_lines(_file())
    whole = [line for line in lines if line.keys() == names]
    if len(whole) < len(lines):
        log.warning("%s: %d lines are no entries", _file().name, len(lines) - len(whole))
    return (JournalEntry(**line) for line in whole)


def _file() -> Path:
    return settings().journal_dir / "stages.jsonl"

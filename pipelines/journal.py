"""The journal: one line per stage call, so that a run can be told afterwards."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pipelines.settings import settings


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
    """Append one JSON line in one write, so that two processes never mix their lines."""
    folder = settings().journal_dir
    folder.mkdir(parents=True, exist_ok=True)
    line = json.dumps(asdict(entry), sort_keys=True) + "\n"
    descriptor = os.open(_file(folder), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read_entries(study: str, run: str | None = None) -> Iterator[JournalEntry]:
    """The entries of a study, oldest first; of one run if it is given."""
    file = _file(settings().journal_dir)
    if not file.exists():
        return
    for line in file.read_text().splitlines():
        entry = JournalEntry(**json.loads(line))
        if entry.study == study and run in (None, entry.run_id):
            yield entry


def _file(folder: Path) -> Path:
    return folder / "stages.jsonl"

"""What a run did, stage by stage, from the journal, and where its results lie."""

from collections.abc import Iterable
from pathlib import Path

from pipelines.journal import JournalEntry
from pipelines.publication.folders import PublicationFolders
from pipelines.settings import settings
from pipelines.stage import store

COLUMNS = ("flow", "stage", "rows in", "accepted", "quarantined", "seconds", "", "counts")
OF_ROWS = ("rows_in", "accepted", "quarantined")


def stage_rows(entries: Iterable[JournalEntry]) -> list[tuple[str, ...]]:
    """One row of text per stage call, in the columns of ``COLUMNS``."""
    return [_row(entry) for entry in entries]


def paths_of(entries: Iterable[JournalEntry]) -> dict[str, Path]:
    """Where the reports of these stage calls are, and the tables; only what exists."""
    published = PublicationFolders(settings().publication_dir)
    wanted = {
        f"report of {entry.stage}": store().path(entry.key) / "report.html" for entry in entries
    }
    wanted |= {"table (DuckDB)": published.snapshot, "table (Parquet)": published.parquet}
    return {name: path for name, path in wanted.items() if path.exists()}


def _row(entry: JournalEntry) -> tuple[str, ...]:
    others = {name: n for name, n in entry.counts.items() if name not in OF_ROWS}
    return (
        entry.flow,
        entry.stage,
        *(f"{entry.counts[name]:,}" if name in entry.counts else "" for name in OF_ROWS),
        f"{entry.seconds:.1f}",
        "made" if entry.made else "reused",
        ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in others.items()),
    )

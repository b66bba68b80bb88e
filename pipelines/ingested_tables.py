"""What lies beside the events of an ingestion: subjects, quarantine, accounts, rows of source."""

import json
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from pipelines.artefacts import Counts
from pipelines.durable import new_private_file
from pipelines.event_store import SUBJECTS, count_events
from pipelines.row_accounts import FileAccount, Place, account_table

QUARANTINE = "quarantine.parquet"
ACCOUNTS = "accounts.json"
SOURCE_ROWS = "source_rows.json"


def write_tables(
    draft: Path, subjects: pl.DataFrame, quarantine: pl.DataFrame, accounts: list[FileAccount]
) -> Counts:
    """Write what lies beside the events, in an order that tells nothing of how it was made.

    Returns:
        The artefact's counts; events are those that were accepted.
    """
    subjects = subjects.sort("subject_id").rechunk()
    subjects.write_parquet(draft / SUBJECTS)
    account_table(accounts).write_parquet(draft / "accounts.parquet")
    # The cells of one row stay in the order in which they were judged.
    rows = quarantine.sort("source_file", "part", "source_row", maintain_order=True).rechunk()
    # Quarantined rows are the source's own words.
    with new_private_file(draft / QUARANTINE) as stream:
        rows.write_parquet(stream)
    told = [account.as_dict() for account in accounts]
    (draft / ACCOUNTS).write_text(json.dumps(told, indent=1))
    counted = ("rows_in", "accepted", "quarantined", "duplicates", "empty")
    return {name: sum(getattr(account, name) for account in accounts) for name in counted} | {
        "events": count_events(draft),
        "subjects": subjects.height,
    }


def read_accounts(folder: Path) -> list[FileAccount]:
    """What became of the rows of each part of each file."""
    return [FileAccount(**account) for account in json.loads((folder / ACCOUNTS).read_text())]


def write_source_rows(folder: Path, rows: Mapping[Place, int]) -> None:
    """Write how many rows each part of each file of the source has in all."""
    told = [[file, part, count] for (file, part), count in rows.items()]
    (folder / SOURCE_ROWS).write_text(json.dumps(told, indent=1))


def read_source_rows(folder: Path) -> dict[Place, int]:
    """What ``write_source_rows`` wrote."""
    told = json.loads((folder / SOURCE_ROWS).read_text())
    return {(file, part): count for file, part, count in told}

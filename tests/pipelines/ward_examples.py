"""A ward of four stays in files of one's own, and the tables that are taken from it."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from pydantic import TypeAdapter

from pipelines.ehr import domain
from pipelines.ehr.config import EhrConfig
from pipelines.events import Ingested, ingest
from pipelines.pseudonyms import PUBLISHED_KEY, pseudonyms
from pipelines.sequences import gather_sequences
from pipelines.shards import WHOLE

STAYS: dict[str, list[Any]] = {
    "stay": [1, 2, 3, 4],
    "died": [0, 1, 0, 0],
    "set": ["a", "a", "b", "b"],
}
# (stay, minute, what, value); -1 of a weight or a sex says that nobody knows.
CHART: list[tuple[int, int, str, float]] = [
    (1, 0, "age", 70.0),
    (1, 0, "sex", 1.0),
    (1, 0, "unit", 2.0),
    (1, 0, "weight", 80.0),
    (1, 7, "hr", 80.0),
    (1, 50, "hr", 100.0),
    (1, 61, "hr", 110.0),
    (1, 2880, "hr", 90.0),
    (2, 0, "age", 30.0),
    (2, 0, "sex", 0.0),
    (2, 0, "unit", 1.0),
    (2, 0, "weight", -1.0),
    (2, 120, "hr", -1.0),
    (2, 121, "hr", 900.0),
    (3, 0, "age", 55.0),
    (3, 0, "sex", -1.0),
    (3, 0, "unit", 9.0),
    (3, 30, "hr", 70.0),
    (4, 0, "age", 41.0),
    (4, 1, "age", 42.0),
    (4, 0, "sex", 1.0),
]
EHR: dict[str, Any] = {
    "source": {
        "format": "parquet",
        "folder": "ward",
        "day_zero": "2000-01-01",
        "records_are_public": True,
        "subjects": {
            "table": "stays",
            "subject": "stay",
            "described_by": {
                "table": "chart",
                "subject": "stay",
                "code": "what",
                "value": "value",
            },
            "age_years": "age",
            "sex": "sex",
            "sex_values": {"0.0": "female", "1.0": "male", "-1.0": "unknown"},
            "attributes": {
                "unit": {
                    "column": "unit",
                    "values": {"1.0": "medical", "2.0": "heart surgery"},
                    "is_feature": True,
                },
                "ward_part": {"column": "set", "values": {"a": "a", "b": "b"}},
            },
        },
        "events": [
            {
                "shape": "long",
                "table": "stays",
                "subject": "stay",
                "day": 2,
                "constant_code": "hour_48",
            },
            {
                "shape": "long",
                "table": "stays",
                "subject": "stay",
                "day": 3,
                "code": "died",
                "code_values": {"0": "left", "1": "death"},
            },
            {
                "shape": "long",
                "table": "chart",
                "subject": "stay",
                "day": "minute",
                "time_unit": "minutes",
                "code": "what",
                "value": "value",
                "missing_values": {"weight": -1, "sex": -1},
            },
        ],
    },
    "codes": {
        **{code: {"role": "marker"} for code in ("hour_48", "left", "death", "age", "sex", "unit")},
        "hr": {"role": "measurement", "plausible": [1, 300]},
        "weight": {"role": "measurement", "plausible": [20, 300]},
    },
    "cohort": {"index": "hour_48"},
    "outcome": {
        "title": "death",
        "codes": ["death"],
        "horizon_days": 1,
        "end_of_follow_up": ["left", "death"],
    },
    "age_bands_from_years": [18, 65],
}


def study(kind: str, **changes: Any) -> EhrConfig:
    """The ward's study by files of a kind: a table is named by its file."""
    words = EHR | changes
    named = {"stays": f"stays.{kind}", "chart": f"chart.{kind}"}
    text = TypeAdapter(dict[str, Any]).dump_json(words).decode()
    for table, file in named.items():
        text = text.replace(f'"table":"{table}"', f'"table":"{file}"')
    return EhrConfig.model_validate_json(text.replace('"format":"parquet"', f'"format":"{kind}"'))


def by_published_key(ids: pl.Series) -> pl.Series:
    return pseudonyms(ids, PUBLISHED_KEY)


def tables_of(config: EhrConfig) -> Ingested:
    with TemporaryDirectory() as work:
        [records] = domain.record_parts(config, WHOLE, by_published_key, Path(work))
        return ingest(records, by_published_key)


def named(tables: Ingested, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the source's own names, in their order."""
    return frame.join(tables.crosswalk, on="subject_id").sort("source_id")


def steps(config: EhrConfig, tables: Ingested, channel: str) -> list[tuple[float, float]]:
    """(hours before the index time, value) of the first stay's steps."""
    examples = domain.training_examples(config, tables.events, tables.subjects)
    first = named(tables, examples.frame).head(1).select("subject_id", "index_time")
    features = domain.feature_events(config, tables.events, tables.subjects)
    found = gather_sequences(features, first, [channel])
    return [
        (round(float(-day) * 24, 3), float(value))
        for day, value in zip(found.step_days, found.observation_value, strict=True)
    ]

"""A clinic's records with all that can be odd in them, and a study that reads them in shards."""

from pathlib import Path
from typing import Any

import polars as pl
import yaml

from pipelines.strict_yaml import strict_yaml

STUDY = "clinic"
BASE = Path(__file__).parents[2] / "studies" / "nafld_diabetes.yaml"
LABS = {"who": pl.String, "day": pl.String, "what": pl.String, "value": pl.String}
VISITS = {"id": pl.String, "at": pl.String, "bmi": pl.String, "sbp": pl.String}
Row = tuple[str | None, ...]


def ehr(kind: str) -> dict[str, Any]:
    """A subject table with ages told elsewhere, a long table and a wide one, in files of a kind."""
    people, facts, labs, visits = (
        f"{name}.{kind}" for name in ("people", "facts", "labs", "visits")
    )
    return {
        "source": {
            "format": kind,
            "folder": "clinic",
            "day_zero": "2000-01-01",
            "records_are_public": False,
            "subjects": {
                "table": people,
                "subject": "id",
                "described_by": {"table": facts, "subject": "id", "code": "what", "value": "value"},
                "age_years": "age",
                "sex": "sex",
                "sex_values": {"f": "female", "m": "male"},
            },
            "events": [
                {
                    "shape": "long",
                    "table": people,
                    "subject": "id",
                    "day": 0,
                    "constant_code": "enrolled",
                },
                {
                    "shape": "long",
                    "table": labs,
                    "subject": "who",
                    "day": "day",
                    "code": "what",
                    "value": "value",
                    "missing_values": {"hdl": -1},
                },
                {
                    "shape": "wide",
                    "table": visits,
                    "subject": "id",
                    "day": "at",
                    "columns": ["bmi", "sbp"],
                },
            ],
        },
        "codes": {
            "enrolled": {"role": "marker"},
            "stroke": {"role": "diagnosis"},
            **{
                code: {"role": "measurement", "plausible": [1, 300]}
                for code in ("hdl", "bmi", "sbp")
            },
        },
        "cohort": {"index": "enrolled"},
        "outcome": {
            "title": "stroke",
            "codes": ["stroke"],
            "horizon_days": 365,
            "end_of_follow_up": ["stroke"],
        },
        "age_bands_from_years": [18, 65],
    }


def write_source(folder: Path, kind: str, labs: list[Row], visits: list[Row], people: int) -> None:
    """The clinic's four files; of every seventh person the age is told twice and differently."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = [f"p{number:02d}" for number in range(people)]
    facts = [(who, "age", "50") for who in ids]
    facts += [(who, "age", "51") for who in ids[::7]]
    tables = {
        "people": pl.DataFrame({"id": [*ids, *ids[:1], None]}, schema={"id": pl.String}).select(
            "id", sex=pl.lit("f")
        ),
        "facts": pl.DataFrame(
            facts, schema=dict.fromkeys(("id", "what", "value"), pl.String), orient="row"
        ),
        "labs": pl.DataFrame(labs, schema=LABS, orient="row"),
        "visits": pl.DataFrame(visits, schema=VISITS, orient="row"),
    }
    for name, table in tables.items():
        file = folder / f"{name}.{kind}"
        table.write_parquet(file) if kind == "parquet" else table.write_csv(file)


def write_study(folder: Path, kind: str) -> str:
    """The study of the clinic; what is not of its records is as in the demonstration."""
    folder.mkdir(parents=True, exist_ok=True)
    words = strict_yaml(BASE.read_text()) | {"ehr": ehr(kind)}
    (folder / f"{STUDY}.yaml").write_text(yaml.safe_dump(words))
    return STUDY


def many_rows(people: int, rows: int) -> tuple[list[Row], list[Row]]:
    """Rows of labs and visits of everybody in turn: sound ones, repeats, and broken ones."""
    names = [f"p{number:02d}" for number in range(people)] + ["unknown", " ", None]
    days, values = ["1", "2", "soon", None], ["50", "60", "-1", "900", "high", None]
    codes = ["hdl", "hdl", "stroke", "?"]
    labs: list[Row] = [
        (names[n % len(names)], days[n // 3 % 4], codes[n // 5 % 4], values[n // 7 % 6])
        for n in range(rows)
    ]
    visits: list[Row] = [
        (names[n * 5 % len(names)], days[n % 4], values[n % 6], values[n // 2 % 6])
        for n in range(rows // 2)
    ]
    return labs + labs[:20], visits

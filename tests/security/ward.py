"""A ward whose files carry planted identifiers wherever a file can, and its study."""

import random
from collections.abc import Iterator
from itertools import chain, cycle
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from tests.security.canaries import identifiers

STUDY = "planted"
PATIENTS = 1100
SITES = ("north", "south")


def write_ward(folder: Path) -> None:
    """Two CSV files of 1,100 patients; each of the 1,008 identifiers stands in one at least."""
    planted = identifiers()
    folder.mkdir(parents=True)
    people = _people(planted)
    pl.DataFrame(people).write_csv(folder / "patients.csv")
    rows = [*_events(people), *_broken(planted, people)]
    pl.DataFrame(rows, schema=["patient", "at", "what", "result", "unit", "note"], orient="row")\
        .write_csv(folder / "events.csv")  # fmt: skip
    written = "".join(file.read_text() for file in folder.iterdir())
    missing = [text for text in chain(*planted.values()) if text not in written]
    assert not missing, missing


def study_text(**sections: Any) -> str:
    """The study: a small network, a gate ajar; a section that is given replaces its own."""
    return yaml.safe_dump({**_STUDY, **sections}, sort_keys=False)


def _people(planted: dict[str, list[str]]) -> list[dict[str, str]]:
    """Ids, a set, a site and columns that the study does not name hold identifiers."""
    ids = cycle(planted["record_number"] + planted["plan_number"] + planted["account"])
    others = [kind for kind in planted if kind not in ("record_number", "plan_number", "account")]
    draw = random.Random(7)  # noqa: S311 - planted records
    people = []
    for number in range(PATIENTS):
        name = next(ids)
        texts = {kind: planted[kind][number % len(planted[kind])] for kind in others}
        people.append(
            {
                "patient": name if number < 168 else f"{name}/{number}",
                "age": str(20 + number % 60),
                "gender": ("F", "M")[number % 2],
                # A quarter of a column whose entries are groups holds what belongs elsewhere.
                "site": texts["name"] if number % 4 == 3 else draw.choice(SITES),
                "family": f"{texts['address']}" if number % 3 else "",
                "left_on": str(1500 + number),
                **{f"extra_{kind}": text for kind, text in texts.items()},
            }
        )
    # Rows that break the rules of patients.
    for number, kind in enumerate(others):
        broken = people[number] | {"patient": f"{planted[kind][-1]}", "age": planted[kind][-2]}
        people.append(broken | {"gender": planted[kind][-3]})
    return people


def _events(people: list[dict[str, str]]) -> Iterator[tuple[str, ...]]:
    draw = random.Random(11)  # noqa: S311 - planted records
    for number, person in enumerate(people[:PATIENTS]):
        ill = draw.random() < 0.3
        for day in range(-4, 1):
            level = 130 + draw.gauss(0, 9)
            yield (person["patient"], str(day), "pressure", f"{level:.1f}", "mmHg", "")
        if ill:
            yield (person["patient"], str(100 + number), "stroke", "", "", person["extra_mail"])


def _broken(
    planted: dict[str, list[str]], people: list[dict[str, str]]
) -> Iterator[tuple[str, ...]]:
    """Each identifier once as a code, once as a value, as a time, as a unit, as an unknown id."""
    for number, text in enumerate(chain(*planted.values())):
        who = people[number % PATIENTS]["patient"]
        cells = [who, "-1", "pressure", "120", "mmHg", "noted"]
        cells[number % 6] = text
        yield tuple(cells)
        digits = "".join(character for character in text if character.isdigit())
        yield (who, "-2", "pressure", digits or "9e9", text, text)


CONTRACT: dict[str, Any] = {
    "earliest": "1920-01-01",
    "latest": "2025-12-31",
    "minimum_events": 100,
    "minimum_subjects": 100,
    "max_quarantined_share": 0.9,
}
_STUDY: dict[str, Any] = {
    "title": "A stroke within two years",
    "domain": "ehr",
    "owner": "the tests",
    "purpose": "Looks for planted identifiers.",
    "not_for": "Anybody.",
    "limits_of_the_data": ["Made up."],
    "ehr": {
        "source": {
            "format": "csv",
            "folder": "ward",
            "day_zero": "2000-01-01",
            "subjects": {
                "table": "patients.csv",
                "subject": "patient",
                "age_years": "age",
                "sex": "gender",
                "sex_values": {"F": "female", "M": "male"},
                "matched_set": "family",
                "attributes": {
                    "site": {"column": "site", "values": {site: site for site in SITES}}
                },
            },
            "events": [
                {
                    "shape": "long",
                    "table": "patients.csv",
                    "subject": "patient",
                    "day": 0,
                    "constant_code": "entry",
                },
                {
                    "shape": "long",
                    "table": "patients.csv",
                    "subject": "patient",
                    "day": "left_on",
                    "constant_code": "left",
                },
                {
                    "shape": "long",
                    "table": "events.csv",
                    "subject": "patient",
                    "day": "at",
                    "code": "what",
                    "value": "result",
                },
            ],
        },
        "codes": {
            "entry": {"role": "marker"},
            "left": {"role": "marker"},
            "pressure": {"role": "measurement", "unit": "mmHg", "plausible": [40, 300]},
            "stroke": {"role": "diagnosis"},
        },
        "cohort": {"index": "entry", "minimum_age_years": 18, "exclude_prior": ["stroke"]},
        "outcome": {
            "title": "stroke",
            "codes": ["stroke"],
            "horizon_days": 730,
            "end_of_follow_up": ["left"],
        },
        "age_bands_from_years": [18, 50],
    },
    "split": {"train": 0.6, "validation": 0.15, "test": 0.25, "seed": 0, "cross_fit_folds": 0},
    "contract": CONTRACT,
    "model": {"hidden_size": 8, "seeds": [0], "max_epochs": 3},
    "audit": {
        "threshold": 0.2,
        "attributes": ["sex", "age_band", "site"],
        "crossings": [["sex", "site"]],
        "bootstrap_draws": 100,
        "minimum_positives": 12,
        "gating": [
            {
                "line": "Ranks at all",
                "metric": "auroc",
                "on": "holdout",
                "group": "overall",
                "at_least": 0.1,
            },
            {
                "line": "Beside others",
                "metric": "auroc",
                "on": "holdout",
                "group": "overall",
                "against": "best_challenger",
                "at_least": -0.9,
            },
        ],
        "predictions": {
            "minimum_rows": 10,
            # Who is held out hangs on a key that is drawn anew: no group is at the edge of it.
            "minimum_group_subjects": 20,
            "max_unknown_code_share": 0.9,
            "max_missing_share": 0.95,
            "max_score_shift_psi": 100.0,
            "max_selection_rate_change": 1.0,
        },
    },
}

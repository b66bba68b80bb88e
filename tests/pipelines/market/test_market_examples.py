"""Which bars become examples, in training and as of a moment; and the domain around them."""

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.errors import SourceInvalid
from pipelines.market import domain
from pipelines.market.examples import scoring_examples, training_examples
from tests.pipelines.market.market_examples import (
    CLOSES,
    FIRST,
    Row,
    closes,
    config,
    events,
    random_market,
    subjects,
)

PEOPLE = subjects(1, 2, 3, 4)
PRICES = [100.0 + place % 4 for place in range(60)]


def places(frame: pl.DataFrame, subject: int = 1) -> list[int]:
    ordinals = frame.filter(pl.col("subject_id") == subject)["index_session"]
    return [ordinal - FIRST for ordinal in ordinals]


def history(sessions: int, every: int = 1) -> dict[str, Any]:
    return {"index": {"minimum_history_sessions": sessions, "every_sessions": every}}


def test_every_bar_with_enough_sessions_before_it_is_an_example() -> None:
    examples = training_examples(config(**history(10)), events(closes(1, PRICES)), PEOPLE)
    assert places(examples.frame) == list(range(9, 60))
    assert [(step.step, step.excluded, step.remaining) for step in examples.flow] == [
        ("history", 9, 51)
    ]


def test_every_nth_session_is_counted_by_the_calendar_not_by_the_instrument() -> None:
    rows = [*closes(1, PRICES), *closes(2, PRICES[1:], first=1)]
    frame = training_examples(config(**history(2, every=7)), events(rows), PEOPLE).frame
    assert set(frame["index_session"] % 7) == {0}
    assert set(places(frame, 2)) <= set(places(frame, 1))


def test_a_bar_that_came_late_is_no_example_of_its_session() -> None:
    late: Row = (1, 30, "close", 105.0, 1.0)
    rows = [row for row in closes(1, PRICES) if row[1] != 30]
    frame = training_examples(config(), events([*rows, late]), PEOPLE).frame
    assert 30 not in places(frame)
    assert {29, 31} <= set(places(frame))


def test_a_source_that_is_always_later_than_the_study_says_is_refused_not_left_empty() -> None:
    table = events(closes(1, PRICES)).with_columns(pl.col("known_time") + pl.duration(minutes=30))
    with pytest.raises(SourceInvalid, match="0 minutes after the close"):
        training_examples(config(), table, PEOPLE)
    study = config(source={"known_delay_minutes": 30})
    assert training_examples(study, table, PEOPLE).frame.height == 59


def test_an_example_holds_what_the_store_and_the_audit_want() -> None:
    examples = training_examples(config(), random_market(3, length=120), PEOPLE)
    frame = examples.frame
    types = {
        "subject_id": pl.Int64,
        "index_time": pl.Datetime("us", "UTC"),
        "cluster": pl.Int64,
        "label": pl.Float32,
        "label_end_time": pl.Datetime("us", "UTC"),
        "scale": pl.Float32,
        "last_price": pl.Float64,
        "index_session": pl.Int64,
        "outcome": pl.String,
        **dict.fromkeys(examples.statics, pl.Float64),
        **dict.fromkeys(examples.groups, pl.String),
    }
    assert dict(frame.schema) == types
    assert frame["scale"].min() > 0  # type: ignore[operator]
    assert frame.select(examples.groups).null_count().sum_horizontal().item() == 0
    assert (frame["cluster"] == frame["index_session"] // 22).all()
    assert not frame.select("subject_id", "index_time").is_duplicated().any()


def test_the_scale_is_of_the_labels_horizon() -> None:
    table = events(closes(1, PRICES))
    annual = training_examples(config(), table, PEOPLE).frame["scale"].to_numpy()
    quantiles = training_examples(config("return_quantiles"), table, PEOPLE).frame["scale"]
    direction = training_examples(config("direction", 1), table, PEOPLE).frame["scale"]
    assert quantiles.to_numpy() == pytest.approx(annual * math.sqrt(5 / 252), rel=1e-6)
    assert set(direction) == {1.0}


def test_as_of_a_moment_each_instrument_is_predicted_from_its_last_bar() -> None:
    rows = [*closes(1, PRICES), *closes(2, PRICES[:50])]
    moment = CLOSES[55] + timedelta(hours=1)
    frame = scoring_examples(config(), events(rows), PEOPLE, moment).frame
    assert places(frame, 1) == [55]
    assert places(frame, 2) == [49]
    assert frame["is_current"].all()
    assert frame["label"].null_count() == 2


@pytest.mark.parametrize("silent", [19, 20])
def test_an_instrument_silent_for_as_long_as_counts_as_a_delisting_is_not_predicted(
    silent: int,
) -> None:
    rows = [*closes(1, PRICES), *closes(2, PRICES[: 60 - silent])]
    examples = scoring_examples(config(), events(rows), PEOPLE, CLOSES[59])
    assert places(examples.frame, 2) == ([40] if silent == 19 else [])
    assert (examples.flow[0].step, examples.flow[0].excluded) == ("silent", silent - 19)


@pytest.mark.parametrize(("day", "rows"), [(-1, 0), (0, 0), (1, 1)])
def test_a_delisted_instrument_is_not_predicted(day: int, rows: int) -> None:
    moment = CLOSES[40]
    people = subjects(1, delisted=[moment.date() + timedelta(days=day)])
    frame = scoring_examples(config(), events(closes(1, PRICES)), people, moment).frame
    assert frame.height == rows


def test_before_a_sessions_bar_could_be_known_the_session_before_counts() -> None:
    study = config(source={"known_delay_minutes": 30})
    table = events(closes(1, PRICES)).with_columns(pl.col("known_time") + pl.duration(minutes=30))
    for minutes, place in ((29, 39), (30, 40)):
        moment = CLOSES[40] + timedelta(minutes=minutes)
        assert places(scoring_examples(study, table, PEOPLE, moment).frame) == [place]


def test_before_anything_is_known_nobody_is_predicted() -> None:
    study = config("return_quantiles")
    moment = datetime(2014, 1, 1, tzinfo=UTC)
    assert scoring_examples(study, events(closes(1, PRICES)), PEOPLE, moment).frame.is_empty()


def test_only_quantiles_bring_the_past_whose_labels_were_known_by_then() -> None:
    study = config("return_quantiles", conformal_days=30)
    frame = scoring_examples(study, events(closes(1, PRICES)), PEOPLE, CLOSES[50]).frame
    past = frame.filter(~pl.col("is_current"))
    # The label of session 45 ends with session 50; session 46's is not known yet.
    assert places(past)[-1] == 45
    assert past["index_time"].min() > CLOSES[50] - timedelta(days=30)  # type: ignore[operator]
    assert past["label"].null_count() == 0
    assert places(frame.filter("is_current")) == [50]


@pytest.mark.parametrize("kind", ["realised_volatility", "return_quantiles", "direction"])
@pytest.mark.parametrize("place", [30, 99])
def test_what_is_scored_is_what_training_sees_of_the_same_bar(kind: str, place: int) -> None:
    table, study = random_market(11, length=130), config(kind)
    scored = scoring_examples(study, table, PEOPLE, CLOSES[place])
    trained = training_examples(study, table, PEOPLE)
    columns = ["subject_id", "index_time", "last_price", "cluster", "scale", *scored.statics]
    both = trained.frame.join(scored.frame, on=["subject_id", "index_time"], how="semi")
    assert_frame_equal(
        both.sort("subject_id", "index_time").select(columns),
        scored.frame.select(columns),
        check_exact=True,
    )
    past = scored.frame.filter(~pl.col("is_current")).select("subject_id", "index_time", "label")
    assert_frame_equal(
        past,
        trained.frame.join(past, on=["subject_id", "index_time"], how="semi")
        .sort("subject_id", "index_time")
        .select(past.columns),
        check_exact=True,
    )


def test_a_row_counts_if_its_label_is_known() -> None:
    frame = pl.DataFrame({"label": [0.1, None, 0.0]})
    assert domain.weights(frame, np.ones(3, np.bool_)).tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("kind", "sessions", "task", "horizon"),
    [
        ("realised_volatility", 5, ("volatility", ()), "5 sessions"),
        ("return_quantiles", 5, ("quantiles", (0.05, 0.25, 0.5, 0.75, 0.95)), "5 sessions"),
        ("direction", 1, ("direction", ()), "1 session"),
    ],
)
def test_a_domain_says_its_task_in_the_words_of_the_core(
    kind: str, sessions: int, task: object, horizon: str
) -> None:
    study = config(kind, sessions)
    assert domain.task(study) == task
    assert domain.horizon(study) == horizon
    assert domain.lookback_days(study) == 32
    assert not domain.is_point_in_time(study)


def test_quantiles_are_published_as_prices() -> None:
    levels = dict(zip(("05", "25", "50", "75", "95"), (-0.1, -0.02, 0.0, 0.02, 0.1), strict=True))
    scored = pl.DataFrame(
        {"last_price": [50.0], "score": [0.0], "seed_spread": [0.01]}
        | {f"score_q{level}": [value] for level, value in levels.items()}
    )
    row = domain.published(config("return_quantiles"), scored).row(0, named=True)
    for level, value in levels.items():
        assert row[f"quantile_{level}"] == pytest.approx(50 * math.exp(value))
    assert row["score_calibrated"] == 50
    assert (row["score_low"], row["score_high"]) == (row["quantile_05"], row["quantile_95"])


@pytest.mark.parametrize(
    ("kind", "score", "spread", "band"),
    [
        ("realised_volatility", 0.2, 0.05, (0.102, 0.298)),
        ("realised_volatility", 0.2, 0.5, (1e-9, 1.18)),
        ("direction", 0.9, 0.1, (0.704, 1.0)),
    ],
)
def test_a_band_of_seeds_stays_within_what_can_be(
    kind: str, score: float, spread: float, band: tuple[float, float]
) -> None:
    scored = pl.DataFrame({"score": [score], "seed_spread": [spread], "last_price": [7.0]})
    row = domain.published(config(kind), scored).row(0, named=True)
    assert (row["score_low"], row["score_high"]) == pytest.approx(band)
    assert row["score_calibrated"] == score
    assert row["last_price"] is None


def test_the_domain_takes_a_listing_date_of_the_universe() -> None:
    people = subjects(1, listed=[date(2014, 12, 1)], sector=["energy"])
    frame = domain.training_examples(config(), events(closes(1, PRICES)), people).frame
    assert set(frame["listing_age"]) == {"under 2 years"}

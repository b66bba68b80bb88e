"""Which bars become examples, in training and as of a moment; and the domain around them."""

import math
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from pipelines.errors import SourceInvalid
from pipelines.examples import Examples
from pipelines.market import domain
from pipelines.market.examples import scoring_examples, training_examples
from pipelines.market.features import STATICS
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


def steps(examples: Examples) -> list[tuple[str, int, int]]:
    return [(step.step, step.excluded, step.remaining) for step in examples.flow]


def history(sessions: int, every: int = 1) -> dict[str, Any]:
    return {"index": {"minimum_history_sessions": sessions, "every_sessions": every}}


def test_every_bar_with_enough_sessions_before_it_is_an_example() -> None:
    examples = training_examples(config(**history(10)), events(closes(1, PRICES)), PEOPLE)
    assert places(examples.frame) == list(range(9, 60))
    assert steps(examples) == [("no_session", 0, 60), ("late", 0, 60), ("history", 9, 51)]


def test_every_nth_session_is_counted_by_the_calendar_not_by_the_instrument() -> None:
    rows = [*closes(1, PRICES), *closes(2, PRICES[1:], first=1)]
    frame = training_examples(config(**history(2, every=7)), events(rows), PEOPLE).frame
    assert set(frame["index_session"] % 7) == {0}
    assert set(places(frame, 2)) <= set(places(frame, 1))


def test_a_bar_that_came_late_is_no_example_of_its_session() -> None:
    late: Row = (1, 30, "close", 105.0, 1.0)
    rows = [row for row in closes(1, PRICES) if row[1] != 30]
    examples = training_examples(config(), events([*rows, late]), PEOPLE)
    assert 30 not in places(examples.frame)
    assert {29, 31} <= set(places(examples.frame))
    assert steps(examples)[:2] == [("no_session", 0, 60), ("late", 1, 59)]


def test_a_name_whose_bars_all_come_late_is_counted_and_does_not_vanish() -> None:
    table = events(closes(1, PRICES))
    minutes = pl.duration(minutes=5)
    late = events(closes(2, PRICES)).with_columns(pl.col("known_time") + minutes)
    both, people = pl.concat([table, late]), subjects(1, 2, sector=["energy", "technology"])
    trained = training_examples(config(), both, people)
    scored = scoring_examples(config(), both, people, CLOSES[59] + timedelta(hours=1))
    assert steps(trained)[1] == ("late", 60, 60)
    assert ("sector", "technology", 60, 0) in trained.flow[1].groups
    assert steps(scored)[0] == ("late", 1, 1)
    assert places(scored.frame) == [59]


def test_a_bar_at_no_session_s_close_is_counted() -> None:
    table = events(closes(1, PRICES))
    at_five = (pl.col("time") == CLOSES[30]) & (pl.col("code") == "close")
    moved = table.with_columns(
        time=pl.when(at_five).then(pl.col("time") + pl.duration(hours=1)).otherwise("time")
    )
    examples = training_examples(config(), moved, PEOPLE)
    assert steps(examples)[:2] == [("no_session", 1, 59), ("late", 0, 59)]
    assert 30 not in places(examples.frame)


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


def test_a_bar_is_followed_until_its_label_is_decided() -> None:
    frame = training_examples(config("direction", 2), events(closes(1, PRICES)), PEOPLE).frame
    found = domain.followed_days(config("direction", 2), frame)
    for days, begin, end in zip(
        found.tolist(), frame["index_time"], frame["label_end_time"], strict=True
    ):
        ahead = (end - begin).total_seconds() / 86_400 if end else math.nan
        assert days == pytest.approx(ahead, nan_ok=True)
    assert np.isnan(found).sum() == 2  # the last two sessions have no two after them


def test_a_direction_brings_the_return_that_it_is_the_sign_of() -> None:
    frame = training_examples(config("direction", 2), events(closes(1, PRICES)), PEOPLE).frame
    row = frame.filter(pl.col("index_session") == FIRST + 9).row(0, named=True)
    # Prices go 100 101 102 103 100 ...: session 9 has 101, session 11 has 103.
    assert row["forward_return"] == pytest.approx(math.log(103 / 101))
    assert row["label"] == 1
    assert frame["forward_return"].is_null().to_list() == frame["label"].is_null().to_list()
    signs = (frame["forward_return"] > 0).cast(pl.Float32).alias("label")
    assert signs.equals(frame["label"], null_equal=True)
    assert "forward_return" not in STATICS


def test_the_scale_is_of_the_labels_horizon() -> None:
    table = events(closes(1, PRICES))
    annual = training_examples(config(), table, PEOPLE).frame["scale"].to_numpy()
    quantiles = training_examples(config("return_quantiles"), table, PEOPLE).frame["scale"]
    direction = training_examples(config("direction", 1), table, PEOPLE).frame["scale"]
    assert quantiles.to_numpy() == pytest.approx(annual * math.sqrt(5 / 252), rel=1e-6)
    assert set(direction) == {1.0}


def aged(sessions: int | None) -> dict[str, Any]:
    return {"index": {"minimum_history_sessions": 2, "maximum_age_sessions": sessions}}


def test_as_of_a_moment_each_instrument_is_predicted_from_its_last_bar() -> None:
    rows = [*closes(1, PRICES), *closes(2, PRICES[:50])]
    moment = CLOSES[55] + timedelta(hours=1)
    frame = scoring_examples(config(**aged(6)), events(rows), PEOPLE, moment).frame
    assert places(frame, 1) == [55]
    assert places(frame, 2) == [49]
    assert frame["is_current"].all()
    assert frame["label"].null_count() == 2


@pytest.mark.parametrize(("oldest", "age"), [(0, 0), (0, 1), (3, 3), (3, 4), (None, 0), (None, 1)])
def test_an_instrument_whose_last_bar_is_too_old_is_not_predicted_and_is_counted(
    oldest: int | None, age: int
) -> None:
    rows = [*closes(1, PRICES), *closes(2, PRICES[: 60 - age])]
    examples = scoring_examples(config(**aged(oldest)), events(rows), PEOPLE, CLOSES[59])
    stale = age > (oldest or 0)
    assert places(examples.frame, 2) == ([] if stale else [59 - age])
    assert steps(examples)[:3] == [
        ("late", 0, 2),
        ("delisted", 0, 2),
        ("stale", int(stale), 2 - stale),
    ]


def test_a_feed_that_died_is_not_predicted_as_if_it_were_of_today() -> None:
    table, today = events(closes(1, PRICES)), datetime(2026, 11, 22, tzinfo=UTC)
    with pytest.raises(SourceInvalid, match="no instrument can be predicted") as refusal:
        scoring_examples(config(), table, PEOPLE, today)
    assert "maximum_age_sessions" in refusal.value.where
    ended = scoring_examples(config(**aged(None)), table, PEOPLE, today)
    assert places(ended.frame) == [59]


def test_a_session_that_is_not_over_makes_nobody_stale() -> None:
    study = config(source={"known_delay_minutes": 30})
    table = events(closes(1, PRICES[:40]))
    over = CLOSES[40] + timedelta(minutes=30)
    before = scoring_examples(study, table, PEOPLE, over - timedelta(microseconds=1))
    assert places(before.frame) == [39]
    with pytest.raises(SourceInvalid):
        scoring_examples(study, table, PEOPLE, over)


@pytest.mark.parametrize(
    ("place", "days_until_known", "is_predicted"),
    [(39, 0.0, False), (40, 0.0, False), (41, 0.0, True), (39, 2.0, True)],
)
def test_a_delisting_counts_from_when_it_was_known(
    place: int, days_until_known: float, is_predicted: bool
) -> None:
    delisting: Row = (2, place, "delisted", math.nan, days_until_known)
    table = events([*closes(1, PRICES[:41]), *closes(2, PRICES[:41]), delisting])
    # What the universe says today was not known then.
    people = subjects(1, 2, delisted=[None, CLOSES[place].date()])
    examples = scoring_examples(config(), table, people, CLOSES[40])
    assert places(examples.frame, 2) == ([40] if is_predicted else [])
    assert steps(examples)[1] == ("delisted", int(not is_predicted), 1 + is_predicted)


def test_before_a_sessions_bar_could_be_known_the_session_before_counts() -> None:
    study = config(source={"known_delay_minutes": 30})
    table = events(closes(1, PRICES)).with_columns(pl.col("known_time") + pl.duration(minutes=30))
    for minutes, place in ((29, 39), (30, 40)):
        moment = CLOSES[40] + timedelta(minutes=minutes)
        assert places(scoring_examples(study, table, PEOPLE, moment).frame) == [place]


def test_before_anything_is_known_there_is_nobody_to_predict() -> None:
    moment = datetime(2014, 1, 1, tzinfo=UTC)
    for kind in ("return_quantiles", "realised_volatility"):
        with pytest.raises(SourceInvalid, match="no instrument can be predicted"):
            scoring_examples(config(kind), events(closes(1, PRICES)), PEOPLE, moment)


MANY = subjects(*range(1, 15))


def many_names() -> pl.DataFrame:
    return events([row for name in range(1, 15) for row in closes(name, PRICES)])


def test_only_quantiles_bring_the_past_whose_labels_were_known_by_then() -> None:
    study = config("return_quantiles", conformal_days=30)
    frame = scoring_examples(study, many_names(), MANY, CLOSES[50]).frame
    past = frame.filter(~pl.col("is_current"))
    # The label of session 45 ends with session 50; session 46's is not known yet.
    assert places(past)[-1] == 45
    assert past["index_time"].min() > CLOSES[50] - timedelta(days=30)  # type: ignore[operator]
    assert past["label"].null_count() == 0
    assert places(frame.filter("is_current")) == [50]


def test_the_past_depends_on_the_index_time_and_not_on_when_it_is_asked_for() -> None:
    index = {"minimum_history_sessions": 2, "maximum_age_sessions": None}
    study = config("return_quantiles", conformal_days=30, index=index)
    asked = [CLOSES[59], CLOSES[59] + timedelta(days=3), datetime(2026, 11, 22, tzinfo=UTC)]
    first, *others = [scoring_examples(study, many_names(), MANY, at).frame for at in asked]
    assert places(first.filter(~pl.col("is_current")))[-1] == 54
    for other in others:
        assert_frame_equal(other, first, check_exact=True)


RESTATED = ((1, 100), (1, 118), (2, 112), (3, 116), (4, 119))


@pytest.mark.parametrize("seed", [3, 11])
def test_what_became_known_since_changes_nothing_of_the_past_of_the_same_index_time(
    seed: int,
) -> None:
    index = {"minimum_history_sessions": 2, "maximum_age_sessions": None}
    study = config("return_quantiles", index=index)
    market = random_market(seed, length=130, instruments=6).filter(pl.col("time") <= CLOSES[120])
    restated: list[Row] = [(name, place, "close", 150.0, 40.0) for name, place in RESTATED]
    table = pl.concat([market, events(restated)])
    moments = [CLOSES[120], CLOSES[120] + timedelta(days=90)]
    then, later = [scoring_examples(study, table, PEOPLE, moment).frame for moment in moments]
    assert_frame_equal(then, later, check_exact=True)


def test_too_few_labels_to_correct_quantiles_are_refused() -> None:
    # 14 names on 15 sessions (40 to 54) whose labels are known.
    study = config("return_quantiles", conformal_days=27)
    enough = scoring_examples(study, many_names(), MANY, CLOSES[59]).frame
    assert enough.filter(~pl.col("is_current")).height >= 200
    with pytest.raises(SourceInvalid, match="200 are the least") as refusal:
        scoring_examples(
            config("return_quantiles", conformal_days=20), many_names(), MANY, CLOSES[59]
        )
    assert "conformal_days" in refusal.value.remedy


@pytest.mark.parametrize("kind", ["realised_volatility", "return_quantiles", "direction"])
@pytest.mark.parametrize("place", [40, 99])
def test_what_is_scored_is_what_training_sees_of_the_same_bar(kind: str, place: int) -> None:
    table, study = random_market(11, length=130, instruments=12), config(kind, **aged(3))
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

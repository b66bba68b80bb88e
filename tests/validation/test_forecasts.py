"""Metrics of forecasts: hand-computed tables, and a loop over rows, days and draws."""

from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.stats import spearmanr

from tests.validation.forecast_examples import CHALLENGERS, REFERENCES, policy, simulated, table
from validation.audit import audit_predictions_table
from validation.evidence import PopulationEvidence
from validation.forecast_audit import audit_forecasts, block_performance
from validation.forecasts import LEVELS, QUANTILES, RATIOS
from validation.groups import UnauditableTable
from validation.intervals import draw_weights
from validation.tasks import Task, metric_names

TASKS: tuple[Task, ...] = ("volatility", "quantiles", "direction")


def by_hand(task: Task, frame: pl.DataFrame, **changes: Any) -> PopulationEvidence:
    config = policy(task, attributes=["sector"], minimum_blocks=5, **changes)
    (found,) = audit_forecasts(frame, config, [REFERENCES[task]])
    return found


def values(found: PopulationEvidence) -> dict[str, float | None]:
    return {str(name): each.value for name, each in found.overall.metrics.items()}


def test_metrics_of_volatility_equal_their_hand_computed_values() -> None:
    # |f - y|: .1 .1 0 .2 0 0, mean .4/6; the reference misses by .2 each time.
    label = [0.2, 0.3, 0.2, 0.4, 0.5, 0.2]
    frame = table("volatility", label, score=[0.1, 0.4, 0.2, 0.2, 0.5, 0.2])
    reference = pl.Series([each + 0.2 for each in label])
    found = values(by_hand("volatility", frame.with_columns(last_5_sessions=reference)))
    # y/f = 2, 3/4, 1, 2, 1, 1: q = 4 - ln 4 - 1 twice, 9/16 - ln(9/16) - 1 once.
    loss = (2 * (3 - np.log(4)) + 9 / 16 - np.log(9 / 16) - 1) / 6
    worse = np.mean([(y / (y + 0.2)) ** 2 - np.log((y / (y + 0.2)) ** 2) - 1 for y in label])
    assert found["mae"] == pytest.approx(0.4 / 6)
    assert found["qlike"] == pytest.approx(loss)
    assert found["mean_error"] == pytest.approx((1.6 - 1.8) / 6)
    assert found["relative_error"] == pytest.approx(1.6 / 1.8)
    assert found["skill_mae"] == pytest.approx(1 - (0.4 / 6) / 0.2)
    assert found["skill_qlike"] == pytest.approx(1 - loss / worse)
    assert found["rank_ic"] is None  # one name a day has no order


def six_quantile_forecasts() -> pl.DataFrame:
    """Labels at 0, inside of both intervals, inside of the wide one, and outside, twice."""
    columns = {
        f"score_{name}": [q] * 6 for name, q in zip(QUANTILES, (-4, -1, 1, 2, 4), strict=True)
    }
    zeros = {f"random_walk_{name}": [0.0] * 6 for name in QUANTILES}
    label = [1.0, 2.0, 3.0, 5.0, -2.0, 0.0]
    return table("quantiles", label, score=[1.0] * 6, **columns, **zeros)


def test_metrics_of_quantiles_equal_their_hand_computed_values() -> None:
    found = values(by_hand("quantiles", six_quantile_forecasts()))
    # Level by level: sum of (y - q) level above q and of (q - y)(1 - level) below.
    losses = [
        0.05 * (5 + 6 + 7 + 9 + 2 + 4),
        0.25 * (2 + 3 + 4 + 6 + 1) + 0.75 * 1,
        0.5 * (0 + 1 + 2 + 4 + 3 + 1),
        0.75 * (0 + 1 + 3) + 0.25 * (1 + 4 + 2),
        0.95 * 1 + 0.05 * (3 + 2 + 1 + 6 + 4),
    ]
    against_zero = [level * 11 + (1 - level) * 2 for level in LEVELS]
    assert found["pinball"] == pytest.approx(sum(losses) / 30)
    assert found["skill"] == pytest.approx(1 - sum(losses) / sum(against_zero))
    assert found["mae"] == pytest.approx(11 / 6)
    assert found["skill_mae"] == pytest.approx(1 - 11 / 13)
    assert found["mean_error"] == pytest.approx(1 - 9 / 6)
    assert found["coverage_90"] == pytest.approx(5 / 6)
    assert found["coverage_50"] == pytest.approx(3 / 6)
    # The median says up: right for 1, 2, 3 and 5; a label of 0 did not go up.
    assert found["hit_rate"] == pytest.approx(4 / 6)


def test_the_share_below_each_quantile_is_shown_with_an_interval() -> None:
    found = by_hand("quantiles", six_quantile_forecasts()).coverage
    assert [point.level for point in found] == list(LEVELS)
    shares = [0 / 6, 1 / 6, 3 / 6, 4 / 6, 5 / 6]
    assert [point.observed.value for point in found] == pytest.approx(shares)
    for point in found:
        ends = (point.observed.low, point.observed.value, point.observed.high)
        assert None not in ends
        assert list(ends) == sorted(each or 0.0 for each in ends)


def test_a_median_of_exactly_zero_is_half_right() -> None:
    frame = six_quantile_forecasts().with_columns(score_q50=pl.lit(0.0), score=pl.lit(0.0))
    assert values(by_hand("quantiles", frame))["hit_rate"] == 0.5


def test_metrics_of_direction_equal_their_hand_computed_values() -> None:
    frame = table(
        "direction", [1, 0, 1, 0, 1, 0], score=[0.5, 0.6, 0.8, 0.2, 0.4, 0.4], prevalence=[0.5] * 6
    )
    found = values(by_hand("direction", frame))
    assert found["brier"] == pytest.approx((0.25 + 0.36 + 0.04 + 0.04 + 0.36 + 0.16) / 6)
    assert found["skill_brier"] == pytest.approx(1 - 1.21 / 6 / 0.25)
    assert found["hit_rate"] == pytest.approx(4 / 6)  # 0.5 is at the threshold: up
    assert found["mean_error"] == pytest.approx((2.9 - 3) / 6)


# ---- a naive oracle ----------------------------------------------------------------------------


def naive(task: Task, frame: pl.DataFrame, model: str, name: str) -> float:
    """One metric by loops over rows and days, from the columns of a table."""
    rows = frame.filter(pl.col("label").is_not_null()).to_dicts()
    if name == "rank_ic":
        return naive_rank_ic(task, rows, model)
    if name == "relative_error":
        return sum(middle(task, r, model) for r in rows) / sum(float(r["label"]) for r in rows)
    if name.startswith("skill"):
        loss = {
            "skill": "pinball",
            "skill_mae": "mae",
            "skill_qlike": "qlike",
            "skill_brier": "brier",
        }
        own, other = (naive(task, frame, m, loss[name]) for m in (model, REFERENCES[task]))
        return 1 - own / other
    return float(np.mean([of_row(task, row, model, name) for row in rows]))


def middle(task: Task, row: dict[str, Any], model: str) -> float:
    return float(row[f"{model}_q50" if task == "quantiles" else model])


def of_row(task: Task, row: dict[str, Any], model: str, name: str) -> float:
    y, f = float(row["label"]), middle(task, row, model)
    if name == "mae":
        return abs(f - y)
    if name == "brier":
        return (f - y) * (f - y)
    if name == "mean_error":
        return f - y
    if name == "qlike":
        return float((y / f) ** 2 - np.log((y / f) ** 2) - 1)
    if name == "hit_rate" and task == "direction":
        return float((f >= 0.5) == (y == 1))
    if name == "hit_rate":
        return 0.5 if f == 0 else float((f > 0) == (y > 0))
    quantiles = [float(row[f"{model}_{q}"]) for q in QUANTILES]
    if name == "pinball":
        pairs = zip(LEVELS, quantiles, strict=True)
        return sum(max(level * (y - q), (level - 1) * (y - q)) for level, q in pairs) / 5
    low, high = (0, 4) if name == "coverage_90" else (1, 3)
    return float(quantiles[low] <= y <= quantiles[high])


def naive_rank_ic(task: Task, rows: list[dict[str, Any]], model: str) -> float:
    daily = []
    for day in {row["index_time"].date() for row in rows}:
        today = [row for row in rows if row["index_time"].date() == day]
        pairs = np.array([(middle(task, row, model), row["label"]) for row in today])
        if len(today) >= 5 and all(len(set(column)) > 1 for column in pairs.T):
            daily.append(spearmanr(pairs[:, 0], pairs[:, 1]).statistic)
    return float(np.mean(daily)) if daily else np.nan


def small_market(task: Task) -> pl.DataFrame:
    """Ties, unknown labels, days of fewer than five names and blocks of unequal size."""
    frame = simulated(task, seed=3, names=9, sessions=60)
    rng = np.random.default_rng(4)
    rounded = frame.with_columns(pl.col("^(score|ridge).*$").round(2))
    kept = rounded.filter(pl.Series(rng.random(frame.height) < 0.7))
    unknown = pl.Series(rng.random(kept.height) < 0.1)
    return kept.with_columns(label=pl.when(unknown).then(None).otherwise("label"))


@pytest.mark.parametrize("task", TASKS)
def test_every_metric_of_every_group_equals_a_loop_over_rows(task: Task) -> None:
    frame = small_market(task)
    config = policy(task, minimum_blocks=5, crossings=[["size", "era"]], bootstrap_draws=100)
    found = audit_forecasts(frame, config, CHALLENGERS[task])[1]
    compared = 0
    for group in found.groups:
        columns = group.attribute.split(" & ")
        key = pl.concat_str(columns, separator=" & ") == group.level
        for inside, sign in ((frame.filter(key), 1), (frame.filter(~key), -1)):
            for name, estimate in group.metrics.items():
                (gap,) = [
                    each.estimate
                    for each in found.gaps
                    if (each.attribute, each.level, each.metric)
                    == (group.attribute, group.level, name)
                ]
                if sign == 1 and estimate.value is not None:
                    expected = naive(task, inside, "score", name)
                    assert estimate.value == pytest.approx(expected, abs=1e-9), (group, name)
                    compared += 1
                elif gap.value is not None and estimate.value is not None:
                    outside = estimate.value - gap.value
                    assert outside == pytest.approx(naive(task, inside, "score", name), abs=1e-9)
    assert compared > 40


@pytest.mark.parametrize("task", TASKS)
def test_challengers_are_measured_like_the_network_and_the_best_has_the_least_loss(
    task: Task,
) -> None:
    frame = small_market(task)
    config = policy(task, minimum_blocks=5)
    found = audit_predictions_table(frame, config, challengers=CHALLENGERS[task])[1]
    loss = {"volatility": "mae", "quantiles": "pinball", "direction": "brier"}[task]
    for challenger in found.challengers:
        for name, difference in challenger.difference.items():
            own, other = (naive(task, frame, each, name) for each in ("score", challenger.name))
            assert difference.value == pytest.approx(own - other, abs=1e-9)
    losses = {each.name: naive(task, frame, each.name, loss) for each in found.challengers}
    assert [each.name for each in found.challengers if each.best] == [min(losses, key=losses.get)]  # type: ignore[arg-type]
    (reference,) = [each for each in found.challengers if each.name == REFERENCES[task]]
    skills = {name for name in metric_names(task) if name.startswith("skill")}
    assert {reference.metrics[name].value for name in skills} == {0.0}


def test_draws_take_whole_blocks_of_time_and_few_blocks_widen_the_interval() -> None:
    frame = small_market("volatility").filter(pl.col("label").is_not_null())
    config = policy(minimum_blocks=5, bootstrap_draws=100)
    found = audit_forecasts(frame, config, CHALLENGERS["volatility"])[1]
    names = sorted(set(frame["cluster"]))
    counts = np.concatenate(
        list(draw_weights(np.arange(len(names)), np.ones(len(names)), draws=100, seed=0))
    )
    drawn: list[float] = []
    for draw in counts:
        rows = [
            row for row in frame.to_dicts() for _ in range(int(draw[names.index(row["cluster"])]))
        ]
        drawn.append(float(np.mean([abs(row["score"] - row["label"]) for row in rows])))
    mae = found.overall.metrics["mae"]
    rows_of_block = frame.group_by("cluster").len()["len"].cast(pl.Float64).to_numpy()
    blocks = rows_of_block.sum() ** 2 / (rows_of_block**2).sum()
    error = np.std(drawn, ddof=1) * np.sqrt(blocks / (blocks - 1))
    assert mae.standard_error == pytest.approx(error)
    # A loss is above 0: symmetric on the logarithm, by a t distribution of so many blocks.
    times = np.exp(stats.t.isf(0.025, blocks - 1) * error / (mae.value or 0.0))
    assert (mae.low, mae.high) == pytest.approx(
        ((mae.value or 0) / times, (mae.value or 0) * times)
    )


# ---- counts, years, blocks ---------------------------------------------------------------------


def test_counts_are_of_instruments_rows_and_blocks_and_nothing_is_hidden() -> None:
    frame = small_market("direction")
    found = audit_forecasts(frame, policy("direction", minimum_blocks=5), CHALLENGERS["direction"])[
        1
    ]
    known = frame.filter(pl.col("label").is_not_null())
    counts = found.overall.counts
    assert (counts.subjects, counts.rows) == (frame["subject_id"].n_unique(), known.height)
    assert (counts.blocks, counts.unknown) == (6, frame["label"].null_count())
    assert counts.positives == known["label"].sum()
    smallest = min(found.groups, key=lambda group: group.counts.subjects or 0)
    assert not smallest.counts.hidden
    assert (smallest.counts.subjects or 99) < 11
    assert smallest.metrics["brier"].value is not None


def test_a_group_of_few_blocks_of_time_cannot_be_told() -> None:
    frame = simulated(names=6, sessions=100)
    found = audit_forecasts(frame, policy(minimum_blocks=6), CHALLENGERS["volatility"])
    eras = [group for group in found[1].groups if group.attribute == "era"]
    for era in eras:
        assert {each.reason for each in era.metrics.values()} == {"fewer than 6 blocks of time"}
    assert found[1].overall.metrics["mae"].value is not None


def test_years_carry_their_own_rows_skill_and_loss() -> None:
    frame = simulated(names=6, sessions=500)
    found = audit_forecasts(frame, policy(), CHALLENGERS["volatility"])[1]
    assert [point.year for point in found.series] == [2015, 2016]
    of_year = frame.filter(pl.col("index_time").dt.year() == 2016)
    assert found.series[1].rows == of_year.height
    assert found.series[1].loss.value == pytest.approx(naive("volatility", of_year, "score", "mae"))
    assert found.series[1].skill.value == pytest.approx(
        naive("volatility", of_year, "score", "skill_mae")
    )


@pytest.mark.parametrize("blocks", [1, 2, 4, 5])
def test_a_year_of_few_blocks_has_a_value_and_no_interval(blocks: int) -> None:
    frame = simulated(names=6, sessions=500)
    of_year = pl.col("index_time").dt.year() == 2016
    number = pl.col("cluster").rank("dense").cast(pl.Int64) - 1
    cluster = 10_000 + number * blocks // (number.max() + 1)
    frame = pl.concat([frame.filter(~of_year), frame.filter(of_year).with_columns(cluster=cluster)])
    point = audit_forecasts(frame, policy(), CHALLENGERS["volatility"])[1].series[1]
    expected = naive("volatility", frame.filter(of_year), "score", "skill_mae")
    assert point.skill.value == (None if blocks == 1 else pytest.approx(expected))
    assert (point.skill.low is None) == (point.skill.high is None) == (blocks < 5)
    assert (point.skill.standard_error is None) == (blocks < 5)
    reasons = {1: "fewer than 2 blocks of time", 5: None}
    assert point.skill.reason == reasons.get(blocks, "fewer than 5 blocks of time: no interval")
    assert (point.loss.value is None) == (blocks == 1)


@pytest.mark.parametrize("task", TASKS)
def test_skill_by_block_is_the_loss_that_the_network_saves(task: Task) -> None:
    frame = small_market(task)
    loss = {"volatility": "mae", "quantiles": "pinball", "direction": "brier"}[task]
    found = block_performance(frame, policy(task))
    assert found.columns == ["cluster", "rows", "loss", "reference_loss", "skill"]
    assert all(before < after for before, after in pairwise(found["cluster"]))
    for row in found.to_dicts():
        block = frame.filter(pl.col("cluster") == row["cluster"])
        own, other = (naive(task, block, model, loss) for model in ("score", REFERENCES[task]))
        assert (row["loss"], row["reference_loss"]) == pytest.approx((own, other))
        assert row["skill"] == pytest.approx(other - own)
        assert row["rows"] == block["label"].count()


def test_walk_forward_takes_the_rows_with_such_scores_and_their_columns() -> None:
    frame = simulated(names=6, sessions=200)
    since = pl.col("cluster") >= 5
    changed = frame.with_columns(
        score_walk_forward=pl.when(since).then(pl.col("score") * 2.0),
    )
    holdout, walked = audit_forecasts(changed, policy(), CHALLENGERS["volatility"])
    assert (holdout.population, walked.population) == ("holdout", "walk_forward")
    assert walked.overall.counts.rows == frame.filter(since).height
    rows = frame.filter(since)
    doubled = naive("volatility", rows, "score", "relative_error") * 2.0
    assert walked.overall.metrics["relative_error"].value == pytest.approx(doubled)


# ---- what cannot be audited --------------------------------------------------------------------

BROKEN: dict[str, tuple[Task, dict[str, Any], str]] = {
    "a key twice": ("volatility", {"subject_id": pl.lit(1)}, "twice at one index time"),
    "a day in two blocks": (
        "volatility",
        {"cluster": pl.col("subject_id")},
        "a day lies in two blocks of time",
    ),
    "no block": ("volatility", {"cluster": pl.lit(None, pl.Int64)}, "in no block of time"),
    "a null forecast": (
        "volatility",
        {"ridge": pl.lit(None, pl.Float64)},
        "a forecast of 'ridge' is null or not finite",
    ),
    "an infinite forecast": ("volatility", {"score": pl.lit(float("inf"))}, "not finite"),
    "no volatility": ("volatility", {"score": pl.lit(0.0)}, "of 'score' is not above 0"),
    "a label of 0": ("volatility", {"label": pl.lit(0.0)}, "a volatility is not above 0"),
    "an infinite label": ("quantiles", {"label": pl.lit(float("inf"))}, "a label is infinite"),
    "crossing quantiles": ("quantiles", {"score_q25": pl.col("score_q95") + 1}, "network cross"),
    "no probability": ("direction", {"score": pl.lit(1.1)}, "no probability"),
    "no direction": ("direction", {"label": pl.lit(0.5)}, "neither 0, 1 nor null"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_table_that_contradicts_itself_is_refused(broken: str) -> None:
    task, columns, words = BROKEN[broken]
    frame = simulated(task, names=6, sessions=100).with_columns(**columns)
    with pytest.raises(UnauditableTable, match=words):
        audit_forecasts(frame, policy(task), CHALLENGERS[task])


def test_a_reference_that_was_not_scored_is_refused() -> None:
    frame = simulated(names=6, sessions=100)
    with pytest.raises(UnauditableTable, match="'last_5_sessions' is no challenger"):
        audit_forecasts(frame, policy(), ["ridge"])
    with pytest.raises(UnauditableTable, match="without columns"):
        audit_forecasts(frame.drop("ridge_walk_forward"), policy(), CHALLENGERS["volatility"])


@pytest.mark.parametrize("task", TASKS)
def test_every_metric_of_a_task_has_its_ratio(task: Task) -> None:
    assert set(metric_names(task)) <= set(RATIOS[task])


@pytest.mark.parametrize("task", TASKS)
def test_the_order_of_rows_does_not_move_a_value(task: Task) -> None:
    frame = small_market(task)
    config = policy(task, minimum_blocks=5)
    straight = audit_forecasts(frame, config, CHALLENGERS[task])[1]
    shuffled = audit_forecasts(
        frame.sample(fraction=1.0, shuffle=True, seed=1), config, CHALLENGERS[task]
    )[1]
    for one, other in zip(straight.groups, shuffled.groups, strict=True):
        assert one.counts == other.counts
        for name, estimate in one.metrics.items():
            assert other.metrics[name].value == pytest.approx(estimate.value, abs=1e-12), name

"""The cost at which a signal would earn nothing: by hand, by a loop, and in the report."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from tests.validation.forecast_examples import CHALLENGERS, policy, simulated
from validation.break_even import break_even_cost
from validation.estimates import Estimate
from validation.forecast_audit import audit_forecasts
from validation.forecast_populations import ForecastPopulation, forecast_populations
from validation.report.headlines import _cost_words

CONFIG = policy("direction")


def market(**columns: Any) -> pl.DataFrame:
    frame = simulated("direction", names=6, sessions=200)
    rng = np.random.default_rng(1)
    size = pl.Series(np.abs(rng.normal(0.0, 0.01, frame.height)))
    named = {"forward_return": (2.0 * pl.col("label") - 1.0) * size} | columns
    return frame.with_columns(**named)


def walked(frame: pl.DataFrame) -> ForecastPopulation:
    return forecast_populations(frame, CONFIG, CHALLENGERS["direction"])[-1]


def cost(frame: pl.DataFrame) -> Estimate:
    found = break_even_cost(walked(frame), CONFIG)
    assert found is not None
    return found


def test_it_is_the_gross_return_over_the_turnover_of_a_loop_over_rows() -> None:
    frame = (
        market()
        .with_row_index()
        .with_columns(
            forward_return=pl.when(pl.col("index") % 7 > 0).then(pl.col("forward_return"))
        )
    )
    gross = traded = 0.0
    held: dict[int, float] = {}
    for row in frame.drop_nulls(["label", "forward_return"]).sort("index_time").to_dicts():
        position = float(np.sign(row["score_walk_forward"] - 0.5))
        gross += position * row["forward_return"]
        traded += abs(position - held.get(row["subject_id"], 0.0))
        held[row["subject_id"]] = position

    found = cost(frame)
    assert found.value == pytest.approx(gross / traded)
    assert found.low is not None
    assert found.high is not None
    assert found.low < gross / traded < found.high


def test_always_long_at_one_percent_a_day_pays_once_a_name() -> None:
    always = market(score_walk_forward=pl.lit(0.6), forward_return=pl.lit(0.01))
    found = cost(always)
    assert found.value == pytest.approx(0.01 * 200)
    # Blocks after the first trade nothing, so most draws have no cost.
    assert (found.low, found.reason) == (None, "too many draws trade nothing: no interval")


def test_a_signal_that_never_trades_has_no_cost() -> None:
    assert cost(market(score_walk_forward=pl.lit(0.5))).reason == "nothing would have been traded"


def test_without_returns_nothing_is_said() -> None:
    without = audit_forecasts(market().drop("forward_return"), CONFIG, CHALLENGERS["direction"])
    assert [each.break_even_cost for each in without] == [None, None]
    told = audit_forecasts(market(), CONFIG, CHALLENGERS["direction"])[1].break_even_cost
    assert told == cost(market())


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (
            Estimate(value=0.00031, low=0.00012, high=0.0005),
            "A signal traded on it (long above 50 %, short below) would break even at 3.1 (1.2 to "
            "5.0) basis points per trade.",
        ),
        (
            Estimate(value=0.0001, low=-0.0001, high=0.0003),
            "per trade; that it would earn anything even without costs is not shown.",
        ),
        (Estimate(reason="no"), "What a trade may cost cannot be told: no."),
    ],
)
def test_the_report_says_it_in_basis_points(found: Estimate, words: str) -> None:
    assert _cost_words(found).endswith(words)

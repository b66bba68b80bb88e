from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from models.challengers.quantiles import GarchQuantiles, Historical, RandomWalk, RidgeQuantiles
from models.challengers.registry import CHALLENGERS
from models.challengers.table import Challenger, Table
from models.challengers.trees import VolatilityTrees
from models.challengers.volatility import Ewma, Har, LastFive, LastTwentyTwo, VolatilityRidge
from models.features import build_features
from tests.models.generated_markets import STATICS, make_market
from tests.models.generated_stores import LEVELS


def table_of(task: str, sessions: int = 300) -> Table:
    store = make_market(task, sessions)
    rows = np.flatnonzero(store.weight > 0)
    return Table(store, build_features(store, max_steps=99), rows)


@pytest.mark.parametrize(
    ("kind", "static"),
    [
        (LastFive, "log_volatility_5"),
        (LastTwentyTwo, "log_volatility_22"),
        (Ewma, "log_ewma_volatility"),
    ],
)
def test_persistence_is_the_known_volatility_or_the_scale(
    kind: type[Challenger], static: str
) -> None:
    table = table_of("volatility")
    column = table.store.static_value[:, STATICS.index(static)]
    column[table.rows[3]] = np.nan
    expected = np.exp(column[table.rows].astype(np.float64))
    expected[3] = table.scale[3]
    np.testing.assert_array_equal(kind.fit(table).predict(table)[:, 0], expected)


def test_har_is_least_squares_on_day_week_and_month() -> None:
    table = table_of("volatility")
    known = np.stack([table.volatility(f"log_volatility_{n}") for n in (1, 5, 22)], axis=1)
    model = LinearRegression().fit(known, table.label)
    np.testing.assert_allclose(Har.fit(table).predict(table)[:, 0], model.predict(known))


def test_har_never_falls_below_its_floor() -> None:
    table = table_of("volatility")
    assert Har(-9.0, [0.0, 0.0, 0.0]).predict(table).tolist() == [[0.02]] * len(table)


def qlike(miss: np.ndarray) -> float:
    return float(np.mean(np.exp(2 * miss) - 2 * miss - 1))


def squared_log(miss: np.ndarray) -> float:
    return float(np.mean(miss**2))


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("har", qlike),
        ("garch", qlike),
        ("ridge", squared_log),
        ("hist_gradient_boosting", squared_log),
    ],
)
def test_a_fitted_volatility_beats_that_of_the_last_month(
    name: str, loss: Callable[[np.ndarray], float]
) -> None:
    """By the loss that it is made for: a mean of variances, or of logs."""
    table = table_of("volatility", 500)
    early, late = (Table(table.store, table.features, r) for r in np.array_split(table.rows, 2))

    def loss_of(kind: type[Challenger]) -> float:
        return loss(np.log(late.label / kind.fit(early).predict(late)[:, 0]))

    assert loss_of(CHALLENGERS["volatility"][name]) < loss_of(LastTwentyTwo)


@pytest.mark.parametrize("kind", [VolatilityRidge, VolatilityTrees])
def test_a_model_of_the_log_has_the_level_at_which_the_loss_is_least(
    kind: type[VolatilityRidge] | type[VolatilityTrees],
) -> None:
    table = table_of("volatility")
    miss = np.log(table.label / kind.fit(table).predict(table)[:, 0])

    def loss(level: float) -> float:
        rest = miss - level
        return float(np.mean(rest**2 + 0.3 * (np.exp(2 * rest) - 2 * rest - 1)))

    assert loss(0.0) < min(loss(-1e-4), loss(1e-4))
    # Between the median of the log and the mean: above the first.
    assert miss.mean() < 0.0


def test_a_random_walk_expects_nothing_and_spreads_with_the_scale() -> None:
    table = table_of("quantiles")
    found = RandomWalk.fit(table).predict(table)
    assert (found[:, 2] == 0.0).all()
    lower = np.quantile(table.label / table.scale, 0.05, method="inverted_cdf")
    np.testing.assert_allclose(found[:, 0], lower * table.scale)


def test_a_random_walk_in_a_rising_market_does_not_cross() -> None:
    table = table_of("quantiles")
    table.store.label[:] = np.abs(table.store.label) + 0.1
    found = RandomWalk.fit(table).predict(table)
    assert (found[:, :3] == 0.0).all()
    assert (found[:, 3:] > 0.0).all()


def test_history_repeats_its_quantiles() -> None:
    table = table_of("quantiles")
    found = Historical.fit(table).predict(table)
    expected = np.quantile(table.label, LEVELS, method="inverted_cdf")
    np.testing.assert_array_equal(found, np.tile(expected, (len(table), 1)))


@pytest.mark.parametrize("kind", [GarchQuantiles, RidgeQuantiles, Historical])
def test_training_labels_lie_below_a_level_as_often_as_it_says(kind: type[Challenger]) -> None:
    table = table_of("quantiles")
    found = kind.fit(table).predict(table)
    below = (table.label[:, None] <= found).mean(axis=0)
    np.testing.assert_allclose(below, LEVELS, atol=0.005)


@pytest.mark.parametrize("name", sorted(CHALLENGERS["quantiles"]))
def test_quantiles_of_a_challenger_never_cross(name: str) -> None:
    table = table_of("quantiles")
    found = CHALLENGERS["quantiles"][name].fit(table).predict(table)
    assert (np.diff(found, axis=1) >= 0).all()


@pytest.mark.parametrize("task", ["volatility", "quantiles"])
def test_rows_without_a_label_decide_nothing(task: str) -> None:
    """Fitted on some rows, nothing of any other row's label or statics is looked at."""
    store = make_market(task)
    rows = np.flatnonzero(store.windows[0] == 0)
    label, statics = store.label.copy(), store.static_value.copy()
    others = np.setdiff1d(np.arange(len(store)), rows)
    label[others], statics[others] = 9.0, -9.0
    altered = replace(store, label=label, static_value=statics)
    for kind in CHALLENGERS[task].values():
        said = []
        for one in (store, altered):
            table = Table(one, build_features(one, max_steps=99), rows)
            said.append(kind.fit(table).predict(table))
        np.testing.assert_array_equal(said[0], said[1])

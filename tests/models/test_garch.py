import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.challengers.garch import (
    EWMA,
    LEAST_RETURNS,
    Garch,
    fit_garch,
    forecast,
    return_series,
    returns_by_step,
    sessions_ahead,
)
from models.challengers.table import Table
from models.features import build_features
from models.store import SequenceStore
from tests.models.generated_markets import AHEAD, LOOKBACK, draw_market, make_market


def table_of(store: SequenceStore, rows: np.ndarray | None = None) -> Table:
    chosen = np.arange(len(store)) if rows is None else rows
    return Table(store, build_features(store, max_steps=99), chosen)


def simulate(omega: float, alpha: float, beta: float, steps: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    variance, returns = omega / (1 - alpha - beta), []
    for _ in range(steps):
        returns.append(math.sqrt(variance) * random.normal())
        variance = omega + alpha * returns[-1] ** 2 + beta * variance
    return np.array(returns)


def test_the_fit_finds_the_parameters_that_made_the_returns() -> None:
    found = fit_garch(simulate(0.05, 0.1, 0.85, 8_000))
    assert found is not None
    np.testing.assert_allclose(found, (0.05, 0.1, 0.85), atol=0.03)


def forecast_by_loops(
    parameters: tuple[float, float, float, float], returns: list[float], sessions: int
) -> float:
    omega, alpha, beta, variance = parameters
    begun = False
    for value in returns:
        if math.isnan(value) and not begun:
            continue
        begun = True
        square = variance if math.isnan(value) else value**2
        variance = omega + alpha * square + beta * variance
    ahead = [variance]
    while len(ahead) < sessions:
        ahead.append(omega + (alpha + beta) * ahead[-1])
    return sum(ahead) / sessions


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.floats(-5, 5), st.just(math.nan)), min_size=1, max_size=9),
    st.integers(1, 9),
)
def test_a_forecast_equals_the_recursion_in_a_loop(returns: list[float], sessions: int) -> None:
    parameters = (0.05, 0.1, 0.85, 1.3)
    found = forecast(np.array([parameters]), np.array([returns]), sessions)
    assert found[0] == pytest.approx(forecast_by_loops(parameters, returns, sessions))


def test_a_forecast_by_hand() -> None:
    """One return of 2 from a variance of 1: .1 + .2 x 4 + .7 = 1.6, then .1 + .9 x 1.6 = 1.54."""
    found = forecast(np.array([[0.1, 0.2, 0.7, 1.0]]), np.array([[2.0]]), 2)
    assert found.tolist() == [pytest.approx((1.6 + 1.54) / 2)]


def test_the_series_of_a_subject_is_rebuilt_from_overlapping_sequences() -> None:
    store = make_market("volatility", sessions=60, subjects=3)
    returns = draw_market(60, 3).returns
    known = np.random.default_rng([0, 4]).random(returns.shape) < 0.875
    series = return_series(table_of(store))
    assert sorted(series) == [1000, 1001, 1002]
    for subject, found in series.items():
        # The first session of a sequence is `LOOKBACK - 1` sessions before its index time.
        expected = returns[1:, subject - 1000][known[1:, subject - 1000]]
        np.testing.assert_allclose(found, 100 * expected, rtol=1e-5)


def test_only_the_rows_given_are_read() -> None:
    store = make_market("volatility", sessions=60, subjects=3)
    early = np.flatnonzero(store.index_day < store.index_day.min() + 5)
    series = return_series(table_of(store, early))
    assert max(map(len, series.values())) <= LOOKBACK + 4


def test_of_two_versions_of_a_return_the_newest_examples_counts() -> None:
    store = make_market("volatility", sessions=60, subjects=1)
    last = np.array([len(store) - 1])
    ours = int(store.observation_offsets[store.step_offsets[last[0]]])  # its oldest return
    store.observation_value[ours] = 0.5
    assert 50.0 in return_series(table_of(store))[1000]


def test_returns_lie_at_the_end_of_their_row() -> None:
    store = make_market("volatility", sessions=60, subjects=2)
    found = returns_by_step(table_of(store))
    for row in (0, 7, 40):
        length = int(store.lengths[row])
        first = store.observation_offsets[store.step_offsets[row]]
        expected = 100 * store.observation_value[first : first + 2 * length : 2]
        np.testing.assert_allclose(found[row, -length:], expected, rtol=1e-6)
        assert np.isnan(found[row, :-length]).all()


def test_a_subject_without_training_rows_has_the_median_parameters() -> None:
    store = make_market("volatility", sessions=200, subjects=4)
    garch = Garch.fit(table_of(store, np.flatnonzero(store.subject != 1003)))
    assert sorted(garch.parameters) == ["1000", "1001", "1002"]
    assert garch.others == np.median([*garch.parameters.values()], axis=0).tolist()
    stranger = table_of(store, np.flatnonzero(store.subject == 1003))
    returns = returns_by_step(stranger)
    variance = forecast(np.tile(garch.others, (len(stranger), 1)), returns, AHEAD)
    expected = np.sqrt(252 * variance) / 100
    np.testing.assert_allclose(garch.predict(stranger)[:, 0], expected)


def test_too_few_returns_fall_back_to_an_ewma_and_are_counted() -> None:
    store = make_market("volatility", sessions=60, subjects=3)
    garch = Garch.fit(table_of(store))
    assert garch.fallbacks == 3
    for subject, series in return_series(table_of(store)).items():
        assert len(series) < LEAST_RETURNS
        mean_square = float(np.mean(series**2))
        assert garch.parameters[str(subject)] == [*EWMA, pytest.approx(mean_square)]


def test_an_example_without_any_return_has_the_first_variance() -> None:
    found = forecast(np.array([[0.0, 0.06, 0.94, 4.0]]), np.array([[np.nan, np.nan]]), 5)
    assert found.tolist() == [pytest.approx(4.0)]


def test_a_horizon_in_days_is_refused() -> None:
    store = make_market("volatility", sessions=60)
    assert sessions_ahead(table_of(store)) == AHEAD
    object.__setattr__(store, "horizon", "1826 days")
    with pytest.raises(ValueError, match="sessions"):
        sessions_ahead(table_of(store))

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.challengers.garch import (
    EWMA,
    LEAST_RETURNS,
    Garch,
    filtered,
    fit_garch,
    mean_ahead,
    sessions_ahead,
)
from models.challengers.quantiles import GarchQuantiles
from models.challengers.return_series import return_series, told_series
from models.challengers.table import Table
from models.features import build_features
from models.store import SequenceStore, select
from tests.models.generated_markets import AHEAD, LOOKBACK, draw_market, make_market

PARAMETERS = (0.02, 0.04, 0.94, 1.3)  # half of a shock is left after 34 sessions


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


def forecast(parameters: np.ndarray, returns: np.ndarray, sessions: int) -> np.ndarray:
    return mean_ahead(parameters, filtered(parameters, returns)[:, -1], sessions)


def variances_by_loops(
    parameters: tuple[float, float, float, float], returns: list[float]
) -> list[float]:
    omega, alpha, beta, variance = parameters
    begun, found = False, [variance]
    for value in returns:
        begun = begun or not math.isnan(value)
        if begun:
            square = variance if math.isnan(value) else value**2
            variance = omega + alpha * square + beta * variance
        found.append(variance)
    return found


def forecast_by_loops(
    parameters: tuple[float, float, float, float], returns: list[float], sessions: int
) -> float:
    omega, alpha, beta, _ = parameters
    ahead = [variances_by_loops(parameters, returns)[-1]]
    while len(ahead) < sessions:
        ahead.append(omega + (alpha + beta) * ahead[-1])
    return sum(ahead) / sessions


RETURNS = st.lists(st.one_of(st.floats(-5, 5), st.just(math.nan)), min_size=1, max_size=9)


@settings(deadline=None)
@given(RETURNS, st.integers(1, 9))
def test_a_forecast_equals_the_recursion_in_a_loop(returns: list[float], sessions: int) -> None:
    parameters = (0.05, 0.1, 0.85, 1.3)
    found = forecast(np.array([parameters]), np.array([returns]), sessions)
    assert found[0] == pytest.approx(forecast_by_loops(parameters, returns, sessions))


@settings(deadline=None)
@given(RETURNS)
def test_every_step_of_the_filter_equals_a_loop(returns: list[float]) -> None:
    """Two subjects side by side: neither disturbs the other."""
    other = (0.1, 0.2, 0.7, 0.4)
    found = filtered(np.array([PARAMETERS, other]), np.array([returns, returns[::-1]]))
    np.testing.assert_allclose(found[0], variances_by_loops(PARAMETERS, returns))
    np.testing.assert_allclose(found[1], variances_by_loops(other, returns[::-1]))


def test_the_filter_is_that_of_arch() -> None:
    """With arch's own first variance, which is a mean of the first squares."""
    from arch import arch_model

    returns = simulate(0.05, 0.1, 0.85, 500)
    model = arch_model(returns, mean="Zero", vol="GARCH", p=1, q=1, rescale=False)
    theirs = model.fix(PARAMETERS[:3]).conditional_volatility ** 2
    ours = filtered(np.array([[*PARAMETERS[:3], theirs[0]]]), returns[None])
    np.testing.assert_allclose(ours[0, :-1], theirs, rtol=1e-12)


def test_a_forecast_by_hand() -> None:
    """One return of 2 from a variance of 1: .1 + .2 x 4 + .7 = 1.6, then .1 + .9 x 1.6 = 1.54."""
    found = forecast(np.array([[0.1, 0.2, 0.7, 1.0]]), np.array([[2.0]]), 2)
    assert found.tolist() == [pytest.approx((1.6 + 1.54) / 2)]


def garch_of(store: SequenceStore) -> Garch:
    subjects = np.unique(store.subject)
    return Garch({str(one): [*PARAMETERS] for one in subjects}, [*PARAMETERS], 0)


def volatility_by_loops(store: SequenceStore, row: int) -> float:
    """From every row up to this one: a step counts as the first row at or after it told it."""
    before, told = -math.inf, []
    mine = np.flatnonzero(store.subject == store.subject[row])
    for one in sorted(mine, key=lambda r: store.index_day[r]):
        if store.index_day[one] > store.index_day[row]:
            break
        for step in range(store.step_offsets[one], store.step_offsets[one + 1]):
            day = store.index_day[one] + store.step_days[step]
            value = math.nan
            for seen in range(*store.observation_offsets[[step, step + 1]]):
                if store.observation_channel[seen] == 0:
                    value = 100.0 * float(store.observation_value[seen])
            if day > before + 1e-3:
                told.append(value)
        before = store.index_day[one]
    return math.sqrt(252 * forecast_by_loops(PARAMETERS, told, AHEAD)) / 100


def shuffled(store: SequenceStore) -> SequenceStore:
    return select(store, np.random.default_rng(5).permutation(len(store)))


def test_a_row_knows_all_that_was_told_of_its_subject_until_then() -> None:
    store = shuffled(make_market("volatility", sessions=70, subjects=3))
    found = garch_of(store).predict(table_of(store))[:, 0]
    expected = [volatility_by_loops(store, row) for row in range(len(store))]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_row_knows_more_than_its_own_steps_and_a_single_row_only_those() -> None:
    store = make_market("volatility", sessions=120, subjects=2)
    table = table_of(store)
    whole = garch_of(store).predict(table)[:, 0]
    for row in (0, 1, 100):
        alone = select(store, np.array([row]))
        said = garch_of(alone).predict(table_of(alone))[0, 0]
        assert said == pytest.approx(volatility_by_loops(alone, 0))
        # Only the first row of a subject has nothing but its own steps.
        assert (said == pytest.approx(whole[row])) == (row < 2)


@pytest.mark.parametrize("task", ["volatility", "quantiles"])
def test_nothing_told_after_the_index_time_changes_a_row(task: str) -> None:
    """Every later row tells other returns, of sessions before too; or there are none."""
    store = make_market(task, sessions=90, subjects=3)
    until = np.median(store.index_day)
    early = np.flatnonzero(store.index_day <= until)
    observations = store.observation_offsets[store.step_offsets[early[-1] + 1]]
    assert (store.index_day[: early[-1] + 1] <= until).all()  # rows lie in order of time
    value = store.observation_value.copy()
    value[observations:] = 9.0
    garch = garch_of(store)
    shape = [-1.6, -0.7, 0.0, 0.7, 1.6]
    kind = garch if task == "volatility" else GarchQuantiles(garch, shape)
    said = [
        kind.predict(Table(one, build_features(one, max_steps=99), early))
        for one in (store, replace(store, observation_value=value), select(store, early))
    ]
    np.testing.assert_array_equal(said[0], said[1])
    np.testing.assert_array_equal(said[0], said[2])
    changed = kind.predict(table_of(replace(store, observation_value=value)))
    assert (changed[len(early) :] > 2 * kind.predict(table_of(store))[len(early) :]).any()


def test_a_return_told_late_or_told_again_is_not_read() -> None:
    store = make_market("volatility", sessions=60, subjects=1)
    told = told_series(store)
    first = int(store.lengths[0])
    assert told.steps_known[0] == first
    own = 100 * store.observation_value[: 2 * first : 2]
    np.testing.assert_allclose(told.returns[0, :first], own, rtol=1e-6)
    value = store.observation_value.copy()
    value[2 * first : 4 * first - 2 : 2] = 0.5  # the second row restates what the first told
    again = told_series(replace(store, observation_value=value))
    np.testing.assert_array_equal(again.returns, told.returns)


def test_a_step_without_a_return_goes_on_without_news() -> None:
    store = make_market("volatility", sessions=60, subjects=1)
    channel = store.observation_channel.copy()
    last = store.observation_offsets[store.step_offsets[1:] - 1]  # each row's last step's return
    channel[last] = 1
    bare = replace(store, observation_channel=channel)
    told = told_series(bare)
    assert np.isnan(told.returns[0, told.steps_known[0] - 1 :]).all()
    found = garch_of(bare).predict(table_of(bare))[:, 0]
    expected = [volatility_by_loops(bare, row) for row in range(len(bare))]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


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


def test_a_subject_without_training_rows_has_the_median_parameters() -> None:
    store = make_market("volatility", sessions=200, subjects=4)
    garch = Garch.fit(table_of(store, np.flatnonzero(store.subject != 1003)))
    assert sorted(garch.parameters) == ["1000", "1001", "1002"]
    assert garch.others == np.median([*garch.parameters.values()], axis=0).tolist()
    stranger = table_of(store, np.flatnonzero(store.subject == 1003))
    told = told_series(select(store, stranger.rows))
    parameters = np.tile(garch.others, (len(stranger), 1))
    variance = filtered(np.array([garch.others]), told.returns)[0, told.steps_known]
    expected = np.sqrt(252 * mean_ahead(parameters, variance, AHEAD)) / 100
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

"""Wilson's interval, of independent trials and of clusters."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from validation.proportions import effective_trials, wilson

SHARES = st.floats(0.0, 1.0)
CRITICALS = st.floats(0.5, 6.0)


@pytest.mark.parametrize(("found", "trials"), [(0, 10), (3, 10), (45, 50), (10, 10), (250, 300)])
def test_wilson_is_that_of_scipy(found: int, trials: int) -> None:
    expected = stats.binomtest(found, trials).proportion_ci(0.95, method="wilson")
    got = wilson(found / trials, trials, stats.norm.isf(0.025))
    assert got == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_by_hand_where_nothing_was_missed() -> None:
    # 0 missed of 16 at a critical value of 2: n / (n + c^2) = 16 / 20.
    assert wilson(1.0, 16, 2.0) == pytest.approx((0.8, 1.0))


@given(SHARES, st.floats(1.0, 1e4), CRITICALS, st.floats(1.0, 3.0))
def test_wilson_holds_its_share_lies_within_0_and_1_and_widens_with_its_critical_value(
    share: float, trials: float, critical: float, wider: float
) -> None:
    low, high = wilson(share, trials, critical)
    assert 0.0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1.0
    lower, higher = wilson(share, trials, critical * wider)
    assert lower <= low + 1e-12
    assert higher >= high - 1e-12


def test_rows_that_are_all_alike_within_a_cluster_count_as_one_trial_each() -> None:
    # 50 clusters of 6 equal rows, 80 % found: the error is that of 50 trials.
    error = math.sqrt(0.8 * 0.2 / 50)
    assert effective_trials(0.8, error, clusters=50, rows=300) == pytest.approx(50)


def test_rows_that_are_not_alike_count_one_by_one_and_never_as_more() -> None:
    error = math.sqrt(0.8 * 0.2 / 300)
    assert effective_trials(0.8, error, clusters=50, rows=300) == pytest.approx(300)
    assert effective_trials(0.8, 0.5 * error, clusters=50, rows=300) == 300
    assert effective_trials(0.8, 0.0, clusters=50, rows=300) == 300


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_nothing_or_all_counts_clusters_for_its_error_says_nothing(share: float) -> None:
    assert effective_trials(share, 0.0, clusters=50, rows=300) == 50

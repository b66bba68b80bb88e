"""Each metric's interval: hand-computed ends, limits of the scale, and what few clusters cost."""

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from validation.interval_forms import Form, form_interval, form_of, t_quantile
from validation.proportions import wilson
from validation.tasks import MetricName

ERROR, CRITICAL = 0.05, 2.0


def interval(form: Form, value: float, error: float = ERROR) -> tuple[float, float]:
    return form_interval(form, value, error, CRITICAL, clusters=50.0, rows=300.0)


def test_an_area_is_symmetric_on_the_logit() -> None:
    # logit .8 = ln 4; the error there is .05 / (.8 * .2) = .3125, twice that .625.
    low, high = interval("share", 0.8)
    assert math.log(low / (1 - low)) == pytest.approx(math.log(4) - 0.625)
    assert math.log(high / (1 - high)) == pytest.approx(math.log(4) + 0.625)


def test_a_ratio_is_symmetric_on_the_logarithm_and_a_skill_is_one_minus_it() -> None:
    low, high = interval("ratio", 1.25)
    assert (low, high) == pytest.approx((1.25 / math.exp(0.08), 1.25 * math.exp(0.08)))
    assert interval("skill", -0.25) == pytest.approx((1 - high, 1 - low))


def test_a_slope_is_symmetric_as_it_is() -> None:
    assert interval("plain", 1.5) == pytest.approx((1.4, 1.6))


def test_a_proportion_is_wilsons_of_as_many_trials_as_its_error_says() -> None:
    assert interval("proportion", 0.9) == pytest.approx(wilson(0.9, 0.09 / 0.0025, CRITICAL))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_perfect_area_is_not_certain(value: float) -> None:
    # It has no logit and no spread over draws; 50 clusters alone leave 4 / 54 open.
    low, high = interval("share", value, error=0.0)
    assert high - low == pytest.approx(4 / 54)
    assert low <= value <= high


@pytest.mark.parametrize(("form", "value"), [("ratio", 0.0), ("ratio", -1.0), ("skill", 1.0)])
def test_what_has_no_logarithm_stays_as_it_is(form: Form, value: float) -> None:
    assert interval(form, value) == pytest.approx((value - 0.1, value + 0.1))


def test_a_ratio_of_which_nothing_is_known_has_no_upper_end() -> None:
    assert interval("ratio", 1e-9, error=1.0) == (0.0, math.inf)


VALUES = st.floats(0.01, 0.99)


@given(st.sampled_from(get_args(Form)), VALUES, st.floats(0.0, 0.5), st.floats(0.5, 5.0))
def test_every_interval_holds_its_value_and_widens_with_its_critical_value(
    form: Form, value: float, error: float, critical: float
) -> None:
    low, high = form_interval(form, value, error, critical, 50.0, 300.0)
    lower, higher = form_interval(form, value, error, 2 * critical, 50.0, 300.0)
    assert lower - 1e-12 <= low <= value + 1e-12
    assert value - 1e-12 <= high <= higher + 1e-12


def test_few_clusters_are_paid_for_by_a_t_distribution() -> None:
    assert t_quantile(0.025, 10.0) == pytest.approx(stats.t.isf(0.025, 9))
    assert t_quantile(0.025, 1e6) == pytest.approx(stats.norm.isf(0.025), rel=1e-4)
    assert t_quantile(0.025, 1.0) == t_quantile(0.025, 2.0) == pytest.approx(12.706, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("tpr", "proportion"),
        ("coverage_90", "proportion"),
        ("auroc", "share"),
        ("observed_expected", "ratio"),
        ("skill_mae", "skill"),
        ("calibration_slope", "plain"),
        ("mean_error", "plain"),
        ("anything else", "plain"),
    ],
)
def test_a_metric_has_the_form_of_its_scale(name: MetricName, form: Form) -> None:
    assert form_of(name) == form

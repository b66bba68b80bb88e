"""Estimates of a metric with its draws: alone, paired, and a group against the rest."""

import math

import numpy as np
import pytest
from scipy import stats

from validation.estimates import Estimate
from validation.interval_forms import Form
from validation.proportions import wilson
from validation.ranking import FloatArray
from validation.sampled import (
    NO_SPREAD,
    UNDEFINED,
    Sampled,
    estimate_of,
    gap_between,
    gap_error,
    mover,
    paired,
)

TAIL = 0.025
MANY = 1e9


def sampled(
    value: float,
    samples: FloatArray,
    form: Form = "plain",
    clusters: float = MANY,
    rows: float = MANY,
) -> Sampled:
    return Sampled(value, samples, form, clusters, rows)


def draws(value: float, error: float, seed: int = 0) -> FloatArray:
    """A thousand draws with exactly this mean and standard deviation."""
    z = np.random.default_rng(seed).normal(size=1000)
    exact: FloatArray = value + error * (z - z.mean()) / z.std(ddof=1)
    return exact


def test_an_estimate_is_its_value_its_error_and_its_interval() -> None:
    found = estimate_of(sampled(2.0, draws(2.0, 0.5)))
    assert (found.value, found.standard_error) == pytest.approx((2.0, 0.5))
    assert (found.low, found.high) == pytest.approx((2 - 0.98, 2 + 0.98), abs=1e-4)


def test_the_error_is_that_of_n_minus_1_clusters() -> None:
    assert sampled(0.0, draws(0.0, 0.3), clusters=10.0).error == pytest.approx(
        0.3 * math.sqrt(10 / 9)
    )
    assert sampled(0.0, draws(0.0, 0.3), clusters=1.0).error == pytest.approx(0.3 * math.sqrt(2))


@pytest.mark.parametrize(
    ("value", "undefined"), [(float("nan"), 0), (float("inf"), 0), (2.0, 11), (2.0, 1000)]
)
def test_what_a_sample_or_too_many_draws_cannot_give_is_undefined(
    value: float, undefined: int
) -> None:
    samples = draws(2.0, 0.5)
    samples[:undefined] = np.nan
    assert estimate_of(sampled(value, samples)) == Estimate(reason=UNDEFINED)


def test_one_draw_in_a_hundred_may_be_undefined() -> None:
    samples = draws(2.0, 0.5)
    samples[:10] = np.nan
    assert estimate_of(sampled(2.0, samples)).value == 2.0


def test_an_interval_without_an_end_is_undefined() -> None:
    # A ratio whose logarithm varies by more than any number can hold.
    assert estimate_of(sampled(1e-3, draws(1e-3, 0.5), "ratio")) == Estimate(reason=UNDEFINED)


def test_a_reason_stands_before_any_number() -> None:
    one = sampled(2.0, draws(2.0, 0.5))
    few = Estimate(reason="too few")
    assert estimate_of(one, "too few") == few
    assert paired(one, one, "too few") == few
    assert gap_between(one, one, 0.01, "too few") == few


def test_what_two_models_share_cancels_when_they_are_paired() -> None:
    shared = draws(0.0, 0.5)
    first = sampled(0.80, 0.80 + shared + draws(0.0, 0.01, 1), "share", clusters=50.0)
    second = sampled(0.75, 0.75 + shared, "share", clusters=80.0)
    found = paired(first, second)
    error = 0.01 * math.sqrt(50 / 49)
    half = stats.t.isf(0.025, 49) * error
    assert found.standard_error == pytest.approx(error)
    assert (found.low, found.high) == pytest.approx((0.05 - half, 0.05 + half))


@pytest.mark.parametrize("apart", [0.0, 0.01, 1e-12])
def test_two_models_that_differ_alike_in_every_draw_are_not_shown_to_hold(apart: float) -> None:
    # The same sums in another order differ by rounding.
    shared = draws(0.5, 0.1)
    rounding = np.where(np.arange(1000) % 2, 1e-16, -1e-16)
    first, second = sampled(0.5 + apart, shared + apart + rounding), sampled(0.5, shared)
    assert paired(first, second) == Estimate(reason=NO_SPREAD)


def test_a_model_differs_from_itself_by_exactly_nothing() -> None:
    one = sampled(0.5, draws(0.5, 0.1))
    found = paired(one, one, same_model=True)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_a_gap_that_never_varies_is_not_shown_to_be_none() -> None:
    # Net benefit where nobody is selected: 0 in both groups and in every draw.
    nobody = sampled(0.0, np.zeros(1000))
    assert gap_between(nobody, nobody, 0.01) == Estimate(reason=NO_SPREAD)


def test_a_gap_of_shares_is_newcombes_hybrid_score_interval() -> None:
    # 56 of 70 against 48 of 80 (Newcombe, Stat Med 1998, method 10): .0524 to .3339.
    p, q = 56 / 70, 48 / 80
    first = sampled(p, draws(p, math.sqrt(p * (1 - p) / 70)), "proportion", rows=70.0)
    second = sampled(q, draws(q, math.sqrt(q * (1 - q) / 80), 5), "proportion", rows=80.0)
    l1, u1 = wilson(p, 70, 1.959964)
    l2, u2 = wilson(q, 80, 1.959964)
    r = float(np.corrcoef(first.samples, second.samples)[0, 1])
    below = (p - l1) ** 2 + (u2 - q) ** 2 - 2 * r * (p - l1) * (u2 - q)
    above = (u1 - p) ** 2 + (q - l2) ** 2 - 2 * r * (u1 - p) * (q - l2)
    low, high = mover(first, second, TAIL)
    assert (low, high) == pytest.approx(
        (p - q - math.sqrt(below), p - q + math.sqrt(above)), abs=1e-6
    )
    # Newcombe's own, of independent samples: r is chance here.
    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=0.004)


def test_sides_that_rise_and_fall_together_have_a_narrow_gap() -> None:
    shared = draws(0.0, 0.5)
    inside, outside = sampled(2.0, 2.0 + shared), sampled(1.0, 1.0 + shared)
    assert gap_error(inside, outside) == pytest.approx(0.0, abs=1e-6)
    assert mover(inside, outside, TAIL) == pytest.approx((1.0, 1.0), abs=1e-6)
    against = sampled(1.0, 1.0 - shared)
    assert gap_error(inside, against) == pytest.approx(1.0)


def test_a_side_that_does_not_vary_has_no_correlation() -> None:
    fixed = sampled(1.0, np.ones(1000))
    assert gap_error(sampled(2.0, draws(2.0, 0.5)), fixed) == pytest.approx(0.5)


def test_draws_that_one_side_cannot_give_are_left_out_of_the_correlation() -> None:
    samples = draws(2.0, 0.5)
    holed = samples.copy()
    holed[:5] = np.nan
    assert gap_error(sampled(2.0, samples), sampled(2.0, holed)) < 0.02


def test_a_gap_that_no_line_judges_has_no_simultaneous_interval() -> None:
    inside, outside = sampled(2.0, draws(2.0, 0.5)), sampled(1.0, draws(1.0, 0.5, 3))
    assert gap_between(inside, outside, None).simultaneous_low is None
    found = gap_between(inside, outside, 0.001)
    assert found.value == pytest.approx(1.0)
    assert found.standard_error == pytest.approx(gap_error(inside, outside))
    assert (found.low, found.high) == mover(inside, outside, TAIL)
    assert (found.simultaneous_low, found.simultaneous_high) == mover(inside, outside, 0.001)


@pytest.mark.parametrize("side", ["inside", "outside"])
def test_a_gap_with_an_undefined_side_is_undefined(side: str) -> None:
    whole, broken = sampled(2.0, draws(2.0, 0.5)), sampled(float("nan"), draws(2.0, 0.5))
    sides = (broken, whole) if side == "inside" else (whole, broken)
    assert gap_between(*sides, 0.01) == Estimate(reason=UNDEFINED)

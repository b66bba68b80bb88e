"""How much larger a sample had to be: hand-computed, and never from counts that are hidden."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.validation import forecast_examples
from tests.validation.audit_examples import policy
from validation.estimates import Counts, Estimate
from validation.sample_size import (
    Ends,
    Limits,
    detectable,
    judged_ends,
    lacking,
    more_needed,
    times_as_large,
)

BETWEEN = Limits(-0.1, 0.1, -0.1, 0.1)
AT_LEAST = Limits(0.6, math.inf, 0.6, math.inf)
NOT_WORSE = Limits(-0.02, math.inf, 0.0, math.inf)
SEEN = Counts(subjects=400, positives=100, censored=20)


@pytest.mark.parametrize(
    ("value", "ends", "limits", "factor"),
    [
        # A half-width of .2 must shrink to .1: four times the sample.
        (0.0, Ends(-0.2, 0.2), BETWEEN, 4.0),
        # To the nearer limit .05 are left, to the farther .15.
        (0.05, Ends(-0.1, 0.2), BETWEEN, 9.0),
        (-0.05, Ends(-0.2, 0.1), BETWEEN, 9.0),
        # Past the limit: all of it must come to lie outside.
        (0.15, Ends(0.05, 0.25), BETWEEN, 4.0),
        (-0.15, Ends(-0.25, -0.05), BETWEEN, 4.0),
        # The longer end decides.
        (0.0, Ends(-0.3, 0.1), BETWEEN, 9.0),
        (0.7, Ends(0.5, 0.8), AT_LEAST, 4.0),
        (0.5, Ends(0.3, 0.8), AT_LEAST, 9.0),
        # Within what is tolerated: it could be shown to hold by 1.5, to be worse by 3 times.
        (-0.008, Ends(-0.026, 0.016), NOT_WORSE, 2.25),
        # Worse than what is tolerated: only to be shown to be worse.
        (-0.03, Ends(-0.09, 0.03), NOT_WORSE, 4.0),
        (0.0, Ends(-0.1, 0.1), BETWEEN, 1.0),
    ],
)
def test_a_sample_must_grow_with_the_square_of_what_its_interval_is_too_wide(
    value: float, ends: Ends, limits: Limits, factor: float
) -> None:
    assert times_as_large(value, ends, limits) == pytest.approx(factor)


def test_nobody_gathers_more_than_a_hundred_times_the_sample() -> None:
    assert times_as_large(0.09, Ends(-0.01, 0.19), BETWEEN) == pytest.approx(100.0)
    assert times_as_large(0.0905, Ends(-0.01, 0.191), BETWEEN) is None
    assert times_as_large(0.1, Ends(0.0, 0.2), BETWEEN) is None


@given(st.floats(-0.5, 0.5), st.floats(0.001, 0.5), st.floats(0.001, 0.5))
def test_a_sample_so_much_larger_would_tell(value: float, below: float, above: float) -> None:
    factor = times_as_large(value, Ends(value - below, value + above), BETWEEN)
    if factor is None:
        return
    low, high = value - below / math.sqrt(factor), value + above / math.sqrt(factor)
    inside = low >= -0.1 - 1e-9 and high <= 0.1 + 1e-9
    outside = high <= -0.1 + 1e-9 or low >= 0.1 - 1e-9
    assert inside or outside


@pytest.mark.parametrize(
    ("factor", "number", "words"),
    [
        (4.0, 1200, "about 1,200 more subjects, composed alike, would tell"),
        # 234.4 more, rounded up to two digits.
        (1.586, 240, "about 240 more subjects, composed alike, would tell"),
        (1.0, 1, "about 1 more subjects, composed alike, would tell"),
        (1.02, 8, "about 8 more subjects, composed alike, would tell"),
        (None, None, "so near to its limit that no feasible number of subjects would tell"),
    ],
)
def test_the_number_of_subjects_is_said_with_two_digits(
    factor: float | None, number: int | None, words: str
) -> None:
    assert more_needed(factor, SEEN, "risk") == (number, words)


@pytest.mark.parametrize(
    "hidden",
    [
        Counts(),
        Counts(subjects=400, positives=None, censored=3),
        Counts(subjects=None, positives=100, censored=3),
    ],
)
def test_hidden_counts_stay_hidden(hidden: Counts) -> None:
    assert more_needed(3.44, hidden, "risk") == (
        None,
        "about 3.4 times as many subjects would tell",
    )
    assert lacking(hidden, policy()) == (None, "")


def test_of_forecasts_blocks_of_time_are_needed() -> None:
    counts = Counts(subjects=20, rows=900, blocks=46)
    assert more_needed(2.0, counts, "volatility") == (
        46,
        "about 46 more blocks of time, composed alike, would tell",
    )


def test_a_group_of_too_few_positives_is_told_how_many_subjects_bring_them() -> None:
    # 30 are asked for, 12 of 100 were found: 150 more such subjects.
    found = Counts(subjects=100, positives=12, censored=5)
    assert lacking(found, policy()) == (150, "about 150 more subjects would bring 30 positives")


@pytest.mark.parametrize("positives", [0, 30, 31])
def test_nothing_is_said_where_positives_are_not_what_lacks(positives: int) -> None:
    assert lacking(Counts(subjects=100, positives=positives, censored=5), policy()) == (None, "")


@pytest.mark.parametrize(
    ("blocks", "number"), [(4, 6), (9, 1), (10, None), (11, None), (None, None)]
)
def test_a_group_of_too_few_blocks_is_told_how_many_lack(
    blocks: int | None, number: int | None
) -> None:
    counts = Counts(subjects=20, rows=900, blocks=blocks)
    words = "" if number is None else f"{number} more blocks of time would do"
    assert lacking(counts, forecast_examples.policy()) == (number, words)


def test_a_gap_is_judged_by_what_holds_for_all_gaps() -> None:
    own = Estimate(value=0.0, low=-0.1, high=0.1, standard_error=0.05)
    both = own.model_copy(update={"simultaneous_low": -0.15, "simultaneous_high": 0.15})
    assert judged_ends(own) == (-0.1, 0.1)
    assert judged_ends(both) == (-0.15, 0.15)
    assert judged_ends(own.model_copy(update={"simultaneous_low": -0.2})) == (-0.1, 0.1)
    assert judged_ends(Estimate(value=0.0)) is None
    assert judged_ends(Estimate(value=0.0, low=0.0)) is None


def test_the_detectable_gap_uses_the_critical_value_that_judges() -> None:
    own = Estimate(value=0.0, low=-0.1, high=0.1, standard_error=0.05)
    both = own.model_copy(update={"simultaneous_low": -0.15, "simultaneous_high": 0.15})
    # 2 and 3 standard errors, and .8416 for the power.
    assert detectable(own) == pytest.approx(2.8416 * 0.05)
    assert detectable(both) == pytest.approx(3.8416 * 0.05)
    assert detectable(Estimate(reason="too few")) is None
    assert detectable(Estimate(value=0.0, low=-0.1, high=0.1)) is None

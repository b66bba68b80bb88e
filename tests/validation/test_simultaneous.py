"""The family of gaps that are judged together, and what its intervals leave to each end."""

import numpy as np
import pytest
from scipy import stats

from tests.validation import forecast_examples
from tests.validation.audit_examples import gating_line, policy
from validation.config import AuditConfig
from validation.ranking import FloatArray
from validation.sampled import SINGLE_TAIL, Sampled
from validation.simultaneous import GapKey, Sides, family_of, judged_gaps

DRAWS = 4000


def config(**changes: object) -> AuditConfig:
    lines = [
        gating_line(line="tpr", metric="tpr", group="sex", between=[-0.2, 0.2]),
        gating_line(line="n", against="best_challenger", at_least=-0.02),
    ]
    reported = [gating_line(line="r", metric="fpr", group="age_band", between=[-0.2, 0.2])]
    return policy(gating=lines, reported=reported, **changes)


def sides(apart: FloatArray, value: float = 0.0) -> Sides:
    """A gap with these draws: the rest stands still."""
    inside = Sampled(value, value + apart, "plain", 1e6, 1e6)
    return inside, Sampled(0.0, np.zeros_like(apart), "plain", 1e6, 1e6)


def keyed(columns: FloatArray) -> dict[GapKey, Sides]:
    """Gaps of TPR by as many levels of sex as there are columns [draws, levels]."""
    return {
        ("holdout", "sex", f"level {k}", "tpr"): sides(columns[:, k])
        for k in range(columns.shape[1])
    }


def critical(gaps: dict[GapKey, Sides]) -> float:
    return float(stats.norm.isf(family_of(gaps, config()).tail))


def normal(levels: int) -> FloatArray:
    return np.random.default_rng(1).normal(size=(DRAWS, levels))


def test_gating_and_reported_gap_lines_make_the_family_and_others_do_not() -> None:
    assert judged_gaps(config()) == {("holdout", "sex", "tpr"), ("holdout", "age_band", "fpr")}


def test_independent_gaps_cost_what_independent_gaps_cost() -> None:
    # Sidak: each of six at .95^(1/6).
    expected = stats.norm.isf(0.5 * (1 - 0.95 ** (1 / 6)))
    assert critical(keyed(normal(6))) == pytest.approx(expected, abs=0.08)


def test_gaps_that_go_together_cost_no_more_than_one() -> None:
    one = normal(1)
    assert critical(keyed(np.repeat(one, 6, axis=1))) == pytest.approx(1.96, abs=0.08)


def test_the_critical_value_is_never_below_that_of_one_interval_alone() -> None:
    flat = np.random.default_rng(2).uniform(-1, 1, size=(DRAWS, 1))
    assert family_of(keyed(flat), config()).tail == SINGLE_TAIL


def test_the_critical_value_is_never_above_bonferronis() -> None:
    heavy = np.random.default_rng(3).standard_t(2, size=(DRAWS, 4))
    assert family_of(keyed(heavy), config()).tail == pytest.approx(SINGLE_TAIL / 4)


def test_gaps_of_forecasts_are_judged_by_bonferronis_for_their_blocks_are_few() -> None:
    forecasts = forecast_examples.policy(
        gating=[
            forecast_examples.line(),
            forecast_examples.line(
                line="bias", metric="mean_error", group="size", against=None, between=[-1, 1]
            ),
        ]
    )
    alike = np.repeat(normal(1), 3, axis=1)
    gaps: dict[GapKey, Sides] = {
        ("walk_forward", "size", f"level {k}", "mean_error"): sides(alike[:, k]) for k in range(3)
    }
    assert family_of(gaps, forecasts).tail == pytest.approx(SINGLE_TAIL / 3)
    assert family_of({}, forecasts).tail == SINGLE_TAIL


def two_levels(*, third: bool) -> dict[GapKey, Sides]:
    """Gaps of two levels; with a third one, too small to measure, each rest holds it as well."""
    heavy = np.random.default_rng(3).standard_t(2, size=(DRAWS, 3)) ** 3
    f, m, other_f, other_m = (
        Sampled(0.0, column, "plain", 1e6, 1e6)
        for column in (heavy[:, 0], heavy[:, 1], *(heavy[:, :2] + 0.1 * heavy[:, 2:]).T)
    )
    rest_of_f, rest_of_m = (other_m, other_f) if third else (m, f)
    return {
        ("holdout", "sex", "f", "tpr"): (f, rest_of_f),
        ("holdout", "sex", "m", "tpr"): (m, rest_of_m),
    }


def test_of_two_levels_one_is_the_others_mirror_and_is_not_counted() -> None:
    assert family_of(two_levels(third=False), config()).tail == SINGLE_TAIL


@pytest.mark.parametrize(("third", "hypotheses"), [(False, 1), (True, 2)])
def test_two_levels_beside_a_third_that_is_too_small_are_no_mirrors_and_both_count(
    third: bool, hypotheses: int
) -> None:
    forecasts = forecast_examples.policy(
        gating=[
            forecast_examples.line(),
            forecast_examples.line(
                line="bias", metric="mean_error", group="size", against=None, between=[-1, 1]
            ),
        ]
    )
    gaps: dict[GapKey, Sides] = {
        ("walk_forward", "size", key[2], "mean_error"): sides
        for key, sides in two_levels(third=third).items()
    }
    assert family_of(gaps, forecasts).tail == pytest.approx(SINGLE_TAIL / hypotheses)


def test_a_gap_that_cannot_be_told_belongs_to_no_family_and_costs_the_others_nothing() -> None:
    gaps = keyed(normal(2))
    undefined = Sampled(float("nan"), np.full(DRAWS, np.nan), "plain", 9.0, 9.0)
    broken: GapKey = ("holdout", "sex", "broken", "tpr")
    unjudged: GapKey = ("holdout", "age_band", "old", "tpr")
    whole = family_of(gaps, config())
    more = family_of(
        gaps | {broken: (undefined, undefined), unjudged: sides(normal(1)[:, 0])}, config()
    )
    assert more == whole
    assert more.tail_of(broken) is None
    assert more.tail_of(unjudged) is None
    assert more.tail_of(next(iter(gaps))) == whole.tail


def test_a_family_of_none_has_the_tail_of_one_interval() -> None:
    family = family_of({}, config())
    assert (family.keys, family.tail) == (frozenset(), SINGLE_TAIL)


def test_a_gap_that_never_varies_and_a_draw_that_one_gap_lacks_change_nothing() -> None:
    gaps = keyed(normal(3))
    still: GapKey = ("holdout", "sex", "still", "tpr")
    with_still = gaps | {still: sides(np.zeros(DRAWS))}
    assert critical(with_still) == pytest.approx(critical(gaps), abs=0.05)
    holed = normal(3)
    holed[0, 0] = np.nan
    assert critical(keyed(holed)) == pytest.approx(critical(gaps), abs=0.01)

"""A small group borrows from the others, by how much they truly differ."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.validation.audit_examples import CHALLENGERS, policy, simulated
from validation.audit import audit_predictions_table
from validation.estimates import Counts, Estimate
from validation.evidence import GroupPerformance, PopulationEvidence
from validation.pooling import between_groups, shrunken, with_pooled
from validation.tasks import METRIC_NAMES


def test_hand_computed_variance_between_groups() -> None:
    # w = 1, 1, 1: mean 2, Q = 1 + 0 + 9 + ... of (1, 2, 6): mean 3, Q = 4 + 1 + 9 = 14.
    # (14 - 2) / (3 - 3 / 3) = 6.
    assert between_groups(np.array([1.0, 2.0, 6.0]), np.ones(3)) == pytest.approx(6.0)


def test_hand_computed_unequal_errors() -> None:
    # w = 1, 1/4: mean (0 + 5/4) / (5/4) = 1, Q = 1 + 16/4 = 5; (5 - 1) / (5/4 - (17/16)/(5/4)).
    spread = 4 / (5 / 4 - (17 / 16) / (5 / 4))
    values, errors = np.array([0.0, 5.0]), np.array([1.0, 2.0])
    assert between_groups(values, errors) == pytest.approx(spread)
    mean = (5 / (spread + 4)) / (1 / (spread + 1) + 1 / (spread + 4))
    first, second = shrunken(values, errors)
    assert first == pytest.approx(mean / (spread + 1))
    assert second == pytest.approx((5 * spread + 4 * mean) / (spread + 4))


def test_groups_that_differ_by_less_than_their_errors_become_one() -> None:
    # Q = .02 < 1: nothing says that they differ; the mean weighted by 1 / s^2.
    pooled = shrunken(np.array([0.4, 0.6]), np.array([1.0, 0.5]))
    assert pooled.tolist() == pytest.approx([(0.4 + 4 * 0.6) / 5] * 2)


@given(st.lists(st.tuples(st.floats(-3, 3), st.floats(0.01, 2.0)), min_size=2, max_size=8))
def test_pooling_moves_no_value_past_the_others_and_turns_no_order_of_equal_errors(
    groups: list[tuple[float, float]],
) -> None:
    values, errors = np.array(groups).T
    pooled = shrunken(values, errors)
    assert pooled.min() >= values.min() - 1e-9
    assert pooled.max() <= values.max() + 1e-9
    same = shrunken(values, np.full(len(values), 0.3))
    assert (np.diff(same[np.argsort(values)]) >= -1e-9).all()


def group(level: str, **estimates: Estimate) -> GroupPerformance:
    metrics = {name: Estimate(reason="not asked") for name in METRIC_NAMES}
    return GroupPerformance(
        attribute="site", level=level, counts=Counts(), metrics={**metrics, **estimates}
    )


def evidence(*groups: GroupPerformance) -> PopulationEvidence:
    overall = group("all").model_copy(update={"attribute": "overall"})
    return PopulationEvidence(
        population="holdout", overall=overall, groups=groups, gaps=(), challengers=()
    )


def told(value: float, error: float) -> Estimate:
    return Estimate(value=value, low=value, high=value, standard_error=error)


def test_shares_are_pooled_on_the_logit_scale() -> None:
    # TPR .8 and .5 with errors .16 and .25 on the scale of shares: 1 and 1 on that of logits.
    found = with_pooled(evidence(group("a", tpr=told(0.8, 0.16)), group("b", tpr=told(0.5, 0.25))))
    # Logits ln 4 and 0: Q = (ln 4)^2 / 2 < 1, so both take the middle, ln 2: 2 / 3.
    assert (math.log(4) ** 2) / 2 < 1
    assert [one.pooled["tpr"] for one in found.groups] == pytest.approx([2 / 3, 2 / 3])


def test_ratios_are_pooled_on_the_log_scale() -> None:
    found = with_pooled(
        evidence(
            group("a", observed_expected=told(0.5, 0.5)),
            group("b", observed_expected=told(2.0, 2.0)),
        )
    )
    pooled = [one.pooled["observed_expected"] for one in found.groups]
    assert pooled == pytest.approx([1.0, 1.0])


def test_who_cannot_be_told_is_not_pooled_and_pulls_nobody() -> None:
    told_ones = (group("a", tpr=told(0.8, 0.01)), group("b", tpr=told(0.6, 0.01)))
    small = group("c", tpr=Estimate(reason="fewer than 11 subjects"))
    certain = group("d", tpr=told(1.0, 0.0))
    alone = with_pooled(evidence(*told_ones))
    found = with_pooled(evidence(*told_ones, small, certain))
    assert [one.pooled for one in found.groups[:2]] == [one.pooled for one in alone.groups]
    assert found.groups[2].pooled == found.groups[3].pooled == {}


def test_a_group_alone_borrows_from_nobody() -> None:
    assert with_pooled(evidence(group("a", tpr=told(0.8, 0.01)))).groups[0].pooled == {}


def test_an_audits_groups_lie_between_their_own_value_and_the_others() -> None:
    config = policy()
    for population in audit_predictions_table(simulated(), config, challengers=CHALLENGERS):
        found = with_pooled(population)
        for attribute in ("sex", "age_band"):
            groups = [one for one in found.groups if one.attribute == attribute]
            for name in ("tpr", "auroc", "calibration_intercept"):
                values = [one.metrics[name].value or 0.0 for one in groups]
                assert all(min(values) <= one.pooled[name] <= max(values) for one in groups)
        assert found.model_copy(update={"groups": population.groups}) == population

"""The exclusions flow adds up and shows no group of a few."""

import pytest

from tests.validation.audit_examples import CHALLENGERS, policy, simulated
from validation.audit import audit_predictions_table
from validation.data_evidence import FlowStep
from validation.estimates import Counts
from validation.evidence import GroupPerformance, PopulationEvidence
from validation.flow import StepCounts, disclosed_flow

STEPS = [
    StepCounts("age", "younger than 18", 64, 936, [("sex", "f", 4, 496), ("sex", "m", 60, 440)]),
    StepCounts("prior", "had it", 136, 800, [("sex", "f", 70, 426), ("sex", "m", 66, 374)]),
]


def by_level(step: FlowStep, kind: str) -> dict[str, int | None]:
    groups = step.excluded_groups if kind == "excluded" else step.remaining_groups
    return {group.level: group.subjects for group in groups}


def test_totals_and_large_cells_are_shown() -> None:
    age, prior = disclosed_flow(STEPS, 11)
    assert (age.excluded, age.remaining) == (64, 936)
    assert by_level(prior, "excluded") == {"f": 70, "m": 66}


def test_a_small_exclusion_is_hidden_and_so_is_the_other_that_would_give_it_away() -> None:
    age, _ = disclosed_flow(STEPS, 11)
    assert by_level(age, "excluded") == {"f": None, "m": None}


def audited(women: int | None, men: int | None, everybody: int | None = 800) -> PopulationEvidence:
    def group(attribute: str, level: str, subjects: int | None) -> GroupPerformance:
        counts = Counts(subjects=subjects)
        return GroupPerformance(attribute=attribute, level=level, counts=counts, metrics={})

    return PopulationEvidence(
        population="cross_fitted",
        overall=group("overall", "all", everybody),
        groups=(group("sex", "f", women), group("sex", "m", men)),
        gaps=(),
        challengers=(),
    )


def test_what_the_performance_tables_show_or_hide_the_flow_shows_or_hides() -> None:
    shown = disclosed_flow(STEPS, 11, audited(426, 374))[-1]
    assert by_level(shown, "remaining") == {"f": 426, "m": 374}
    hidden = disclosed_flow(STEPS, 11, audited(None, None))[-1]
    assert by_level(hidden, "remaining") == {"f": None, "m": None}


def test_a_level_that_everybody_left_is_there_with_zero() -> None:
    steps = [
        StepCounts("age", "too young", 50, 100, [("band", "0-17", 50, 0), ("band", "18+", 0, 100)]),
        StepCounts("prior", "had it", 20, 80, [("band", "18+", 20, 80)]),
    ]
    _, prior = disclosed_flow(steps, 11)
    assert by_level(prior, "excluded") == {"0-17": 0, "18+": 20}


def test_a_flow_that_does_not_add_up_is_refused() -> None:
    broken = [STEPS[0], StepCounts("prior", "had it", 136, 799, [])]
    with pytest.raises(ValueError, match="'prior' does not start with those who remained"):
        disclosed_flow(broken, 11)


def test_a_flow_that_ends_elsewhere_than_the_audit_is_refused() -> None:
    with pytest.raises(ValueError, match="another number of subjects"):
        disclosed_flow(STEPS, 11, audited(426, 374, everybody=799))


def test_a_flow_agrees_with_a_real_audit() -> None:
    frame = simulated(subjects=400)
    cross_fitted = audit_predictions_table(frame, policy(), challengers=CHALLENGERS)[1]
    left = frame.group_by("sex").len().iter_rows()
    groups = [("sex", level, 20, count) for level, count in left]
    (step,) = disclosed_flow([StepCounts("age", "young", 40, 400, groups)], 11, cross_fitted)
    assert by_level(step, "remaining") == {
        group.level: group.counts.subjects
        for group in cross_fitted.groups
        if group.attribute == "sex"
    }

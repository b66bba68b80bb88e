"""The audit section refuses what could not be judged, and says where."""

from typing import Any

import pytest
from pydantic import ValidationError

from tests.validation.audit_examples import gating_line, policy, section
from validation.config import AuditConfig

CHALLENGER = gating_line(line="no worse", against="best_challenger", at_least=-0.02)


def refusal(**changes: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        AuditConfig.model_validate(section(**changes))
    return str(refused.value)


def test_a_line_knows_its_kind_and_its_limits() -> None:
    value, gap, challenger = policy().gating
    assert (value.kind, gap.kind, challenger.kind) == ("value", "gap", "challenger")
    assert (value.lower, value.upper) == (0.6, None)
    assert (gap.lower, gap.upper) == (-0.2, 0.2)


def test_a_study_without_gating_lines_is_invalid() -> None:
    assert "gating" in refusal(gating=[])


def test_a_study_without_a_challenger_line_is_invalid() -> None:
    assert "best_challenger" in refusal(gating=[gating_line()])


@pytest.mark.parametrize("left_out", ["threshold", "attributes", "gating", "predictions"])
def test_nothing_that_decides_has_a_default(left_out: str) -> None:
    given = section()
    del given[left_out]
    with pytest.raises(ValidationError, match=left_out):
        AuditConfig.model_validate(given)


@pytest.mark.parametrize(
    "limit",
    [
        "minimum_rows",
        "max_unknown_code_share",
        "max_missing_share",
        "max_score_shift_psi",
        "max_selection_rate_change",
    ],
)
def test_no_limit_of_a_generation_has_a_default(limit: str) -> None:
    given = section()
    del given["predictions"][limit]
    with pytest.raises(ValidationError, match=limit):
        AuditConfig.model_validate(given)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"metric": "accuracy"}, "Input should be 'auroc'"),
        ({"on": "train"}, "holdout"),
        ({"group": "race", "at_least": -0.1}, "group 'race' is neither"),
        ({"at_least": None}, "exactly one limit"),
        ({"at_least": 0.6, "at_most": 0.9}, "exactly one limit"),
        ({"between": [0.9, 0.6]}, "a lower limit below"),
        ({"at_least": float("nan")}, "finite"),
        ({"at_least": float("inf")}, "finite"),
        ({"group": "sex", "at_least": 0.1}, "a gap of zero must be allowed"),
        ({"group": "sex", "between": [-0.2, -0.1]}, "a gap of zero must be allowed"),
        ({"against": "best_challenger", "metric": "brier", "at_least": 0}, "compares auroc"),
        ({"against": "best_challenger", "group": "sex", "at_least": 0}, "compares auroc"),
        ({"against": "best_challenger", "at_least": 0.1}, "tolerated loss"),
        ({"against": "best_challenger", "at_most": 0.1}, "tolerated loss"),
        ({"bypass": True}, "Extra inputs are not permitted"),
    ],
)
def test_a_line_that_cannot_be_judged_is_invalid(line: dict[str, Any], words: str) -> None:
    assert words in refusal(gating=[gating_line(**line), CHALLENGER])


def test_two_lines_of_one_name_are_invalid() -> None:
    assert "named twice: ['auroc']" in refusal(gating=[gating_line(), gating_line(), CHALLENGER])


@pytest.mark.parametrize(
    "crossing", [["sex"], ["sex", "race"], ["sex", "sex"], ["sex", "age_band", "sex"]]
)
def test_a_crossing_is_of_different_attributes(crossing: list[str]) -> None:
    assert "two or more different attributes" in refusal(crossings=[crossing])


def test_an_attribute_cannot_be_called_overall() -> None:
    assert "attributes must differ" in refusal(attributes=["sex", "overall"], crossings=[])
    assert "would make it a crossing's" in refusal(attributes=["sex", "sex & age"], crossings=[])


@pytest.mark.parametrize("smallest", [0, 10])
def test_cells_below_eleven_can_never_be_asked_for(smallest: int) -> None:
    assert "minimum_cell_subjects" in refusal(minimum_cell_subjects=smallest)


@pytest.mark.parametrize("threshold", [0.0, 1.0, float("nan")])
def test_a_threshold_lies_strictly_between_0_and_1(threshold: float) -> None:
    assert "threshold" in refusal(threshold=threshold)


def test_a_policy_cannot_be_changed_after_it_was_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        AuditConfig.__setattr__(policy(), "threshold", 0.9)


def incumbent(**changes: Any) -> dict[str, Any]:
    """A line against the release that stands; any limit given replaces its own."""
    return gating_line(line="as before", against="incumbent", **({"at_least": -0.01} | changes))


@pytest.mark.parametrize(
    ("metric", "limit"),
    [
        ("auroc", {"at_least": -0.01}),
        ("auroc", {"at_least": 0}),
        ("net_benefit", {"at_least": -0.001}),
        ("brier", {"at_least": None, "at_most": 0.001}),
        ("brier", {"at_least": None, "at_most": 0}),
    ],
)
def test_a_line_may_compare_with_the_release_that_stands(
    metric: str, limit: dict[str, Any]
) -> None:
    line = incumbent(metric=metric, **limit)
    assert policy(gating=[line, CHALLENGER]).gating[0].kind == "challenger"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metric": "tpr"}, "compares auroc or brier or net_benefit"),
        ({"group": "sex"}, "compares auroc or brier or net_benefit"),
        ({"at_least": 0.01}, "at_least: 0 or a tolerated loss below 0"),
        ({"at_least": None, "at_most": 0.1}, "at_least: 0 or a tolerated loss below 0"),
        ({"metric": "brier"}, "at_most: 0 or a tolerated loss above 0"),
        ({"metric": "brier", "at_least": None, "at_most": -0.1}, "at_most: 0 or a tolerated"),
    ],
)
def test_a_line_against_the_release_that_stands_has_a_limit_that_can_close(
    changes: dict[str, Any], words: str
) -> None:
    assert words in refusal(gating=[incumbent(**changes), CHALLENGER])


def test_the_release_that_stands_is_no_simple_model() -> None:
    assert "best_challenger" in refusal(gating=[incumbent()])


def test_reported_lines_keep_the_rules_of_gating_lines_and_share_their_names() -> None:
    assert "named twice: ['auroc']" in refusal(reported=[gating_line()])
    assert "group 'race' is neither" in refusal(
        reported=[gating_line(line="r", group="race", between=[-0.1, 0.1])]
    )
    assert "best_challenger" in refusal(
        gating=[gating_line()], reported=[CHALLENGER | {"line": "reported"}]
    )

"""The verdict on an explanation: what passes, what fails, and that nothing missing ever passes."""

import math
from typing import Any

import pytest

from validation.faithfulness import judge_faithfulness

FAITHFUL: dict[str, Any] = {
    "method": "integrated_gradients",
    "adds_up": True,
    "subjects": 200,
    "comprehensiveness_gain_low": 0.2,
    "sufficiency_gain_low": 0.1,
    "redrawn_correlation": -0.05,
    "redrawn_size_correlation": 0.4,
    "additivity_error": 2e-5,
    "answer_range": 4.0,
    "not_adding_up_share": 0.0,
}
MEASURED = (
    *("subjects", "comprehensiveness_gain_low", "sufficiency_gain_low"),
    *("redrawn_correlation", "redrawn_size_correlation"),
    *("additivity_error", "not_adding_up_share"),
)


def test_a_faithful_explanation_passes_every_line() -> None:
    found = judge_faithfulness(FAITHFUL)
    assert found.is_faithful
    assert found.method == "integrated_gradients"
    assert [line.verdict for line in found.lines] == ["pass"] * 7


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subjects", 29),
        ("comprehensiveness_gain_low", 0.0),
        ("comprehensiveness_gain_low", -0.1),
        ("sufficiency_gain_low", -1e-9),
        ("redrawn_correlation", 0.31),
        ("redrawn_correlation", -0.31),
        ("redrawn_size_correlation", 0.51),
        ("redrawn_size_correlation", 1.0),
        ("not_adding_up_share", 0.011),
        ("additivity_error", 1.1e-3),
        ("additivity_error", -1e-6),
    ],
)
def test_one_broken_limit_fails_the_explanation(name: str, value: float) -> None:
    found = judge_faithfulness(FAITHFUL | {name: value})
    assert found.verdict == "fail"
    assert not found.is_faithful
    assert [line.verdict for line in found.lines].count("fail") == 1


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, "0.9", True])
@pytest.mark.parametrize("name", MEASURED)
def test_what_is_no_number_was_not_measured_and_nobody_can_tell(name: str, value: Any) -> None:
    assert judge_faithfulness(FAITHFUL | {name: value}).verdict == "cannot_tell"
    assert judge_faithfulness({k: v for k, v in FAITHFUL.items() if k != name}).verdict != "pass"


def test_nothing_measured_at_all_is_no_pass() -> None:
    assert judge_faithfulness({}).verdict == "cannot_tell"


def test_only_a_method_that_never_promised_it_need_not_add_up() -> None:
    assert judge_faithfulness(FAITHFUL | {"adds_up": False, "additivity_error": 0.9}).is_faithful
    undeclared = {k: v for k, v in FAITHFUL.items() if k != "adds_up"}
    assert not judge_faithfulness(undeclared | {"additivity_error": 0.9}).is_faithful

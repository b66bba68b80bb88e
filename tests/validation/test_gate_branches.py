"""The words with which a gate stays closed, one reason at a time, and nothing else beside it."""

from typing import Any

import pytest

from tests.validation.audit_examples import gating_line, policy, sound_data
from tests.validation.gate_examples import (
    challenger,
    evidence,
    interval,
    with_overall,
    with_population,
)
from validation.config import AuditConfig
from validation.estimates import Estimate
from validation.evidence import Evidence
from validation.gate import closed, judge
from validation.incumbent import IncumbentEvidence

NO_LINE = policy().model_copy(update={"gating": ()})
UNREADABLE = evidence().model_copy(update={"populations": None})


@pytest.mark.parametrize(
    ("found", "asked", "reason"),
    [
        (None, policy(), "there is no evidence: the audit did not finish"),
        (evidence(), None, "the study has no gating line"),
        (evidence(), NO_LINE, "the study has no gating line"),
        (UNREADABLE, policy(), "the gate could not judge the evidence (TypeError)"),
        (
            evidence(data=sound_data().model_copy(update={"files": ()})),
            policy(),
            "the evidence does not say what became of the source's rows",
        ),
        (
            evidence(prediction_source=None),
            policy(),
            "the evidence does not name the predictions it was measured on",
        ),
        (evidence(data=sound_data("audit")), policy(), "the evidence holds no audit check"),
    ],
)
def test_a_closed_gate_says_why_and_asks_nobody(
    found: Evidence | None, asked: AuditConfig | None, reason: str
) -> None:
    verdict = judge(found, asked)
    assert verdict.reasons == (reason,)
    assert (verdict.verdict, verdict.decision, verdict.is_open) == ("cannot_tell", "close", False)


VALUE_LINES = [
    ({"at_most": 0.5}, interval(0.75), "0.750 (0.730 to 0.770), must be at most 0.5: shown not to"),
    ({"at_least": 0.5}, interval(0.75), "0.750 (0.730 to 0.770), must be at least 0.5: shown to"),
    ({"between": [0.5, 1.0]}, interval(0.75), "0.750 (0.730 to 0.770), must lie between 0.5 and"),
    ({"at_least": 0.5}, Estimate(value=0.9, low=0.95, high=0.8), "the interval is upside down"),
    ({"at_least": 0.5}, Estimate(value=0.9, low=0.9, high=0.9), "the interval is a point, which"),
    ({"at_least": 0.5}, Estimate(value=0.9, low=0.7, high=0.8), "the value or its interval lies"),
    ({"at_least": 0.5}, Estimate(value=0.9), "cannot tell, not measured"),
    ({"at_least": 0.5}, Estimate(reason="nobody"), "cannot tell, nobody"),
]


@pytest.mark.parametrize(("limit", "measured", "words"), VALUE_LINES)
def test_a_line_begins_with_what_was_seen_or_what_is_amiss(
    limit: dict[str, Any], measured: Estimate, words: str
) -> None:
    lines = [
        gating_line(**limit),
        gating_line(line="n", against="best_challenger", at_least=-0.02),
        gating_line(line="i", against="incumbent", at_least=-0.02),
    ]
    config = policy(gating=lines)
    nothing = IncumbentEvidence(stands=False)
    found = with_overall(measured).model_copy(update={"policy": config, "incumbent": nothing})
    value, _, incumbent = judge(found, config).lines
    assert value.words.startswith(words)
    if value.estimate.value is None:
        assert value.estimate == Estimate(reason=measured.reason or "not measured")
    assert incumbent.words == "no release stands to be inferior to"


def test_a_line_that_lacks_its_numbers_says_which() -> None:
    lines = [line.model_dump() for line in policy().gating]
    config = policy(gating=[*lines, gating_line(line="i", against="incumbent", at_least=-0.02)])
    liar = (challenger("boosting", 0.74, best=False), challenger("constant", 0.5, best=True))
    stands = IncumbentEvidence(stands=True, differences={"holdout": {}})
    found = with_population(challengers=liar).model_copy(
        update={"policy": config, "incumbent": stands}
    )
    *_, best, incumbent = judge(found, config).lines
    assert best.words == "the evidence names another challenger the best than its numbers do"
    assert incumbent.words == "the difference to the release that stands was not measured"


def test_a_reason_of_the_callers_closes_the_gate() -> None:
    verdict = closed("the audit ran out of time")
    assert verdict.reasons == ("the audit ran out of time",)
    assert (verdict.lines, verdict.decision) == ((), "close")

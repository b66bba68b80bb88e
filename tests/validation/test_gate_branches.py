"""The words with which a gate stays closed, one reason at a time, and nothing else beside it."""

import pytest

from tests.validation.audit_examples import policy, sound_data
from tests.validation.gate_examples import evidence
from validation.config import AuditConfig
from validation.evidence import Evidence
from validation.gate import closed, judge

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


def test_a_reason_of_the_callers_closes_the_gate() -> None:
    verdict = closed("the audit ran out of time")
    assert verdict.reasons == ("the audit ran out of time",)
    assert (verdict.lines, verdict.decision) == ((), "close")

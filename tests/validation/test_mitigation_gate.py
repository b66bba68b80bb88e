"""The gate asks for what an audit under a mitigation owes, whatever its lines say."""

from typing import Any

import pytest

from tests.validation.audit_examples import policy
from tests.validation.gate_examples import evidence, interval
from validation.estimates import Estimate
from validation.evidence import Evidence
from validation.gate import judge
from validation.mitigation.duties import is_of_mitigation
from validation.mitigation.records import BeforeAfter, MitigatedPopulation, MitigationEvidence

ASKING = policy(approval={"when_cannot_tell": "ask", "narrow_fail_share": 0.25})


def selects(attribute: str, level: str, after: Estimate) -> BeforeAfter:
    return BeforeAfter(
        metric="selection_rate",
        attribute=attribute,
        level=level,
        is_gap=False,
        before=interval(0.30),
        after=after,
        change=interval(0.0),
    )


def mitigated(women: Estimate | None, everybody: Estimate, **changes: Any) -> Evidence:
    """Evidence that the gate opens for, and a mitigation under which so many are selected."""
    measured = [selects("overall", "all", everybody), selects("sex", "m", interval(0.3))]
    if women is not None:
        measured.append(selects("sex", "f", women))
    told = MitigationEvidence(
        kinds=("reweighing",),
        attribute="sex",
        least_selected_share=0.5,
        populations=(MitigatedPopulation(population="holdout", measured=tuple(measured)),),
    )
    return evidence(ASKING, mitigation=told.model_copy(update=changes))


def test_the_gate_opens_for_a_mitigation_that_still_selects_everybody_who_was() -> None:
    verdict = judge(mitigated(interval(0.25), interval(0.28)), ASKING)
    assert (verdict.verdict, verdict.decision, verdict.reasons) == ("pass", "release", ())


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (mitigated(interval(0.14), interval(0.28)), "selects 14.0% of sex f, 30.0% before"),
        (mitigated(interval(0.25), Estimate(value=0.0)), "selects 0.0% of all, 30.0% before"),
        (mitigated(Estimate(reason="too few"), interval(0.28)), "sex f cannot be told, too few"),
        (mitigated(None, interval(0.28)), "whether it still selects sex f was not measured"),
        (
            mitigated(interval(0.25), interval(0.28), populations=()),
            "the mitigation was not compared with before",
        ),
        (
            mitigated(interval(0.25), interval(0.28), kinds=("group_thresholds",)),
            "there is no table of thresholds",
        ),
    ],
)
def test_the_gate_closes_on_a_mitigation_that_selects_nobody_or_does_not_say(
    measured: Evidence, words: str
) -> None:
    verdict = judge(measured, ASKING)
    assert (verdict.verdict, verdict.decision) == ("cannot_tell", "close")
    assert words in " ".join(verdict.reasons)
    # Readers are told these apart from what lines say.
    assert all(is_of_mitigation(reason) for reason in verdict.reasons)
    assert not is_of_mitigation("tpr by sex: f: cannot tell, fewer than 30 positives")

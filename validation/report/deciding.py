"""What follows from a verdict by the study's own policy: who must decide what."""

from typing import Final

from validation.config import ApprovalConfig
from validation.estimates import Estimate
from validation.evidence import Evidence, GateVerdict, LimitsOrder, LineVerdict
from validation.report.formatting import count, detail, percent

NO_ORDER: Final = (
    "Whether the limits were fixed before anybody saw the test split, this evidence does not say."
)


def what_follows(evidence: Evidence) -> list[str]:
    """Sentences: released by itself, put before people (whom, and what they decide), or closed."""
    gate, policy = evidence.gate, evidence.policy.approval
    if gate is None:
        return ["Nothing is released: nobody judged this evidence."]
    if gate.decision == "release":
        return ["The study lets a pass release by itself: nobody has to decide anything."]
    if gate.decision == "ask":
        return [f"People decide: {_question(gate)}", _who(policy)]
    return [_closed(gate, policy)]


def _question(gate: GateVerdict) -> str:
    unsure, failed = _named(gate, "cannot_tell"), _named(gate, "fail")
    if not unsure and not failed:
        return "may this model be released, although every line holds? The study asks even then."
    parts = []
    if failed:
        parts.append(f"the limit of {failed} is overstepped by little")
    if unsure:
        parts.append(f"the audit cannot tell whether {unsure} holds")
    return f"may this model be released, although {' and '.join(parts)}?"


def _named(gate: GateVerdict, verdict: str) -> str:
    return "; ".join(f"“{line.line}”" for line in gate.lines if line.verdict == verdict)


def _who(policy: ApprovalConfig) -> str:
    people = "One person" if policy.approvers == 1 else f"{policy.approvers} different people"
    trainer = (
        "who started the training may be among them"
        if policy.trainer_may_approve
        else "who started the training does not count"
    )
    days = "day" if policy.expires_after_days == 1 else "days"
    return (
        f"{people} must approve; {trainer}. One rejection rejects, with its reason. Unanswered, "
        f"the request ends after {detail(policy.expires_after_days)} {days}."
    )


def _closed(gate: GateVerdict, policy: ApprovalConfig) -> str:
    words = "Nothing is released, and nobody is asked:"
    verdicts = {line.verdict for line in gate.lines}
    if gate.is_open:
        return f"{words} the gate says of no decision that follows from its verdict."
    if not gate.lines or verdicts == {"pass"}:
        return f"{words} what closed the gate is no gating line, and no approval can mend it."
    if "fail" in verdicts:
        share = policy.narrow_fail_share
        if share is None:
            return f"{words} by this study's policy a line that fails closes the gate."
        return (
            f"{words} by this study's policy people may decide only where each failed line "
            f"oversteps its limit by at most {percent(share, 1.0)} of it."
        )
    if policy.when_cannot_tell == "close":
        return f"{words} by this study's policy a line that cannot tell closes the gate."
    return f"{words} something besides the gating lines is amiss, and no approval can mend it."


# ---- what else stands beside the lines -------------------------------------------------------


def limits_words(order: LimitsOrder | None) -> str:
    """Whether the limits were fixed before the test split was seen."""
    if order is None:
        return NO_ORDER
    if order.audits_before == 0 and order.registered_before_predictions:
        return (
            "This installation registered them before the first predictions of the test split were "
            "made, and had looked at no audit of it."
        )
    seen = (
        "no audit of this test split had been looked at"
        if order.audits_before == 0
        else "1 audit of this test split had been looked at"
        if order.audits_before == 1
        else f"{count(order.audits_before)} audits of this test split had been looked at"
    )
    made = "" if order.registered_before_predictions else ", but its predictions were already made"
    warning = " A limit may have been chosen by what it shows." if order.audits_before else ""
    return f"When this installation registered them, {seen}{made}.{warning}"


def needed_words(line: LineVerdict, is_forecast: bool) -> str:
    """How many more would tell, where a line cannot; nothing where that is not known."""
    if line.verdict != "cannot_tell" or line.subjects_needed is None:
        return ""
    what = "blocks of time" if is_forecast else "subjects"
    of = f" of {line.level}" if line.kind == "gap" and line.level else ""
    return f"about {count(line.subjects_needed)} more {what}{of} would tell"


def at_once(estimate: Estimate) -> Estimate | None:
    """The interval that holds for all gaps of the audit at once, where there is one."""
    if estimate.simultaneous_low is None or estimate.simultaneous_high is None:
        return None
    return Estimate(
        value=estimate.value, low=estimate.simultaneous_low, high=estimate.simultaneous_high
    )

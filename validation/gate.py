"""The gate: evidence and policy in, a verdict out. Whatever is missing or odd closes it.

A line passes when its whole interval lies on the allowed side, fails when all of it lies outside,
and is otherwise "cannot tell", which does not open the gate. The gate opens only if every line
passes. What follows from a verdict (release, ask people, close) is the study's to say, but only of
sound evidence: what is missing, broken or crashed is closed whatever the study says. There is no
way around: no flag, no default limit, and an exception is a closed gate.
"""

from collections.abc import Iterable, Sequence

from validation.compression.duties import broken_compression
from validation.config import AuditConfig
from validation.estimates import VerdictName
from validation.evidence import DecisionName, Evidence, GateVerdict
from validation.forecast_duties import broken_forecast
from validation.gate_lines import Judged, judge_line
from validation.mitigation.duties import broken_mitigation
from validation.tasks import BEST_CHALLENGER


def judge(evidence: Evidence | None, policy: AuditConfig | None) -> GateVerdict:
    """Judge an audit of a model. Never raises; evidence of None is an audit that crashed."""
    try:
        return _judge(evidence, policy)
    except Exception as error:  # whatever it is, it must not open the gate
        return closed(f"the gate could not judge the evidence ({type(error).__name__})")


def closed(reason: str) -> GateVerdict:
    """The verdict on something that could not be judged at all."""
    return GateVerdict(verdict="cannot_tell", reasons=(reason,))


def _judge(evidence: Evidence | None, policy: AuditConfig | None) -> GateVerdict:
    if evidence is None:
        return closed("there is no evidence: the audit did not finish")
    if policy is None or not policy.gating:
        return closed("the study has no gating line")
    if evidence.policy != policy:
        return closed("the evidence was measured under another policy than the study's")
    judged = [judge_line(line, evidence) for line in policy.gating]
    broken = tuple(_broken(evidence, policy))
    lines = tuple(one.verdict for one in judged)
    verdict = _overall([line.verdict for line in lines], broken)
    untrue = [f"{line.line}: {line.words}" for line in lines if line.verdict != "pass"]
    return GateVerdict(
        verdict=verdict,
        lines=lines,
        reported=tuple(judge_line(line, evidence).verdict for line in policy.reported),
        reasons=(*broken, *untrue),
        decision="close" if broken else _decision(verdict, judged, policy),
    )


def _overall(verdicts: Sequence[VerdictName], broken: Sequence[str]) -> VerdictName:
    if "fail" in verdicts:
        return "fail"
    return "pass" if set(verdicts) == {"pass"} and not broken else "cannot_tell"


def _decision(verdict: VerdictName, judged: Sequence[Judged], policy: AuditConfig) -> DecisionName:
    """What follows from the lines of evidence that is otherwise whole."""
    approval = policy.approval
    if verdict == "pass":
        return "release" if approval.when_passed == "release" else "ask"
    failed = [one for one in judged if one.verdict.verdict == "fail"]
    if not all(one.sound for one in judged) or not all(one.narrow for one in failed):
        return "close"
    if any(one.untold for one in judged) and approval.when_cannot_tell != "ask":
        return "close"
    return "ask"


def _broken(evidence: Evidence, policy: AuditConfig) -> Iterable[str]:
    """What no line asks for and every audit owes."""
    if not any(line.against == BEST_CHALLENGER for line in policy.gating):
        yield "no line compares the network with the best challenger"
    if evidence.prediction_source is None:
        yield "the evidence does not name the predictions it was measured on"
    kinds = {check.kind for check in evidence.data.checks}
    for kind in sorted({"contract", "leakage", "audit"} - kinds):
        yield f"the evidence holds no {kind} check"
    if not evidence.data.files:
        yield "the evidence does not say what became of the source's rows"
    for file in evidence.data.files:
        if not file.adds_up:
            yield f"{file.file}: rows in are not accepted + quarantined + duplicates + empty"
    for check in evidence.data.checks:
        if not check.passed:
            yield f"check {check.name} on {check.table} did not pass"
    yield from broken_mitigation(evidence)
    yield from broken_compression(evidence, policy)
    if policy.is_forecast:
        yield from broken_forecast(evidence, policy)

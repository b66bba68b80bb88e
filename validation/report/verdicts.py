"""The verdict in words: the first thing that a reader of a report sees."""

from dataclasses import dataclass, replace
from typing import Final

from validation.estimates import VerdictName
from validation.evidence import Evidence, GateVerdict, LineVerdict
from validation.report.deciding import what_follows
from validation.report.names import metric_short, model_name, population_name, spoken
from validation.tasks import LOWER_IS_BETTER

TITLES: Final[dict[VerdictName, str]] = {
    "pass": "Passed",
    "fail": "Failed",
    "cannot_tell": "Cannot tell",
}
RULES: Final = (
    "A line passes when its whole interval lies within the study's limit, fails when all of it "
    "lies outside, and is otherwise “cannot tell”; the gate opens only if every line passes. "
    "A network shown to be worse than the best simple model fails, whatever loss is tolerated."
)
AT_ONCE: Final = " A gap is judged by the interval that holds for all gaps of this audit at once."
PREDICTION_RULES: Final = (
    "Every measurement must lie within the limit that the study sets; what could not be measured "
    "closes the gate."
)


@dataclass(frozen=True)
class VerdictWords:
    """``kind`` colours the page; ``title`` and ``words`` say what was decided, ``follows`` what
    the study's own policy makes of it."""

    kind: VerdictName
    title: str
    words: str
    about: str
    rule: str
    follows: tuple[str, ...] = ()


def model_verdict(evidence: Evidence) -> VerdictWords:
    """What the gate decided about a model, and who must decide what now."""
    gate = evidence.gate
    lines = (*gate.lines, *gate.reported) if gate else ()
    has_family = any(line.estimate.simultaneous_low is not None for line in lines)
    about = f"Audit of the model of the study {evidence.study}"
    opened = "This model may be released."
    rule = RULES + AT_ONCE if has_family else RULES
    words = _verdict(gate, about, "gating lines", opened, "No model is released.", rule)
    return replace(words, follows=tuple(what_follows(evidence)))


def prediction_verdict(study: str, rows: int, gate: GateVerdict | None) -> VerdictWords:
    """What the gate decided about a generation of predictions."""
    about = f"Audit of a generation of {rows:,} predictions of the study {study}"
    opened = "These predictions may be published."
    return _verdict(gate, about, "limits", opened, "Nothing is published.", PREDICTION_RULES)


def crash_verdict(study: str) -> VerdictWords:
    """The audit crashed: nothing was decided, and nothing goes through."""
    return VerdictWords(
        kind="cannot_tell",
        title="Not decided",
        words="The gate is closed: the audit did not finish. Nothing is released or published.",
        about=f"Unfinished audit of the study {study}",
        rule="",
    )


def _verdict(
    gate: GateVerdict | None, about: str, noun: str, opened: str, closed: str, rule: str
) -> VerdictWords:
    if gate is None:
        words = f"The gate is closed: the evidence was never judged. {closed}"
        return VerdictWords("cannot_tell", "Not decided", words, about, rule)
    title = TITLES[gate.verdict]
    outcome = f"The gate is open. {opened}" if gate.is_open else f"The gate is closed. {closed}"
    if gate.decision == "ask":
        outcome = "The gate waits for people."
    if (
        gate.decision != "ask"
        and not gate.is_open
        and {line.verdict for line in gate.lines} == {"pass"}
    ):
        outcome = f"Something else is amiss. {outcome}"
    words = f"{_count_words(gate.lines, noun)} {outcome}"
    return VerdictWords(gate.verdict, title, words, about, rule)


def _count_words(lines: tuple[LineVerdict, ...], noun: str) -> str:
    verdicts = [line.verdict for line in lines]
    if not verdicts:
        return f"No {noun} were judged."
    if set(verdicts) == {"pass"}:
        return f"All {len(verdicts)} {noun} hold."
    failed, unsure = verdicts.count("fail"), verdicts.count("cannot_tell")
    parts = [f"{failed} {'does' if failed == 1 else 'do'} not hold"] if failed else []
    parts += [f"{unsure} cannot be told"] if unsure else []
    return f"Of {len(verdicts)} {noun}, {' and '.join(parts)}."


def line_about(line: LineVerdict) -> str:
    """What a gating line compares, on whom."""
    words = f"{metric_short(line.metric)}, {population_name(line.on)}"
    if line.kind == "challenger":
        # Simple models of forecasts have names for a sentence.
        named = model_name if line.metric in LOWER_IS_BETTER else spoken
        return f"{words}: network minus {named(line.level or 'the best challenger')}"
    if line.kind == "gap":
        level = f", decided by {line.level}" if line.level else ""
        return f"{words}: gap by {spoken(line.group)}{level}"
    return f"{words}, {spoken(line.group)}"


def group_about(line: LineVerdict) -> str:
    """The group that a measurement of predictions is about."""
    if line.level in (None, "all"):
        return "all" if line.group == "overall" else spoken(line.group)
    return f"{spoken(line.group)}: {line.level}"

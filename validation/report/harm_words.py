"""Harms in words: what was looked for, what was found, and what cannot be seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from validation.evidence import Evidence, HarmFinding
from validation.report.formatting import joined
from validation.report.names import spoken
from validation.tasks import HarmName

State = Literal["no_alarm", "alarm", "cannot_be_seen"]

# state -> (colour of the verdicts, sign, words)
STATES: Final[dict[State, tuple[str, str, str]]] = {
    "no_alarm": ("pass", "\N{CHECK MARK}", "no alarm"),
    "alarm": ("fail", "!", "alarm"),
    "cannot_be_seen": ("cannot_tell", "?", "cannot be seen"),
}
LOOK_AHEAD: Final = (
    "Does anything reach a forecast that was known only later? Asked by the checks against "
    "leakage, which are listed one by one under “Validation and quarantine”."
)
LOOKED_FOR: Final[dict[HarmName, tuple[str, str]]] = {
    "unequal_error": (
        "Unequal error",
        "Are some kinds of instruments forecast worse, or with another bias, than the rest?",
    ),
    "regime": (
        "Regime",
        "Do the forecasts lean on one era or one state of the market, and fail in another?",
    ),
    "survivorship": (
        "Survivorship",
        "Do the forecasts look better because names that were delisted later are left out? All "
        "rows are compared with those of names still listed.",
    ),
}


@dataclass(frozen=True)
class Harm:
    """A row of the table of harms."""

    name: str
    looked_for: str
    found: str
    state: State


def harms_looked_for(evidence: Evidence) -> list[Harm]:
    """Look-ahead first, then every harm of the evidence, also those that nothing was found of."""
    return [
        _look_ahead(evidence),
        *(
            _harm(name, [each for each in evidence.harms if each.harm == name], evidence)
            for name in LOOKED_FOR
        ),
    ]


def alarms_in_short(evidence: Evidence) -> str:
    """One sentence or two for the first page."""
    harms = harms_looked_for(evidence)
    named = {
        state: [harm.name.lower() for harm in harms if harm.state == state] for state in STATES
    }
    said = []
    if named["alarm"]:
        said.append(f"An alarm was raised for {joined(named['alarm'])}.")
    if named["no_alarm"]:
        said.append(f"No alarm for {joined(named['no_alarm'])}.")
    if named["cannot_be_seen"]:
        said.append(f"Cannot be seen: {joined(named['cannot_be_seen'])}.")
    return " ".join(said)


def finding_group(finding: HarmFinding) -> str:
    """Which rows are compared with which."""
    if finding.level is None:
        return (
            "all rows less those still listed"
            if finding.harm == "survivorship"
            else spoken(finding.attribute)
        )
    return f"{spoken(finding.attribute)}: {finding.level}"


def state_of(alarm: bool | None) -> State:
    """Of one finding; unknown is neither an alarm nor its absence."""
    if alarm is None:
        return "cannot_be_seen"
    return "alarm" if alarm else "no_alarm"


def _look_ahead(evidence: Evidence) -> Harm:
    checks = [check for check in evidence.data.checks if check.kind == "leakage"]
    broken = [spoken(check.name) for check in checks if not check.passed]
    state: State = "alarm" if broken else "no_alarm" if checks else "cannot_be_seen"
    found = {
        "alarm": f"{len(broken)} of {len(checks)} checks do not hold: {joined(broken or [''])}.",
        "no_alarm": f"All {len(checks)} checks hold: "
        f"{joined([spoken(check.name) for check in checks] or [''])}.",
        "cannot_be_seen": "No check against leakage is in the evidence.",
    }[state]
    return Harm("Look-ahead", LOOK_AHEAD, found, state)


def _harm(name: HarmName, findings: Sequence[HarmFinding], evidence: Evidence) -> Harm:
    title, looked_for = LOOKED_FOR[name]
    alarms = [each for each in findings if each.alarm]
    seen = [each for each in findings if each.alarm is not None]
    state: State = "alarm" if alarms else "no_alarm" if seen else "cannot_be_seen"
    if name == "survivorship" and evidence.is_point_in_time is not True and not alarms:
        # Nothing that was left out can be missed: a quiet test says nothing here.
        return Harm(title, looked_for, _unseen(findings, evidence), "cannot_be_seen")
    return Harm(title, looked_for, _found(findings, alarms, len(seen)), state)


def _found(findings: Sequence[HarmFinding], alarms: Sequence[HarmFinding], seen: int) -> str:
    if not seen:
        reasons = dict.fromkeys(each.estimate.reason or each.words for each in findings)
        return f"Cannot be seen: {joined(list(reasons)) if reasons else 'nothing was measured'}."
    silent = len(findings) - seen
    also = f" {silent} more cannot be told." if silent else ""
    if not alarms:
        return f"Not one of {_gaps(seen)} is shown to differ from zero.{also}"
    named = joined(list(dict.fromkeys(finding_group(each) for each in alarms)))
    return f"{len(alarms)} of {_gaps(seen)} {_differ(len(alarms))} from zero: {named}.{also}"


def _gaps(found: int) -> str:
    return "1 gap" if found == 1 else f"{found} gaps"


def _differ(found: int) -> str:
    return "differs" if found == 1 else "differ"


def _unseen(findings: Sequence[HarmFinding], evidence: Evidence) -> str:
    reasons = dict.fromkeys(each.estimate.reason for each in findings if each.estimate.reason)
    why = (
        "the universe holds only names that are still there"
        if evidence.is_point_in_time is False
        else "nobody said whether the universe holds names that were delisted"
    )
    return f"Cannot be seen: {joined([why, *(reason for reason in reasons if reason)])}."

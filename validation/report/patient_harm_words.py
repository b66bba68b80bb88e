"""Harms to patients arranged for the page: what was asked, what was found, in words and tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from validation.estimates import Estimate
from validation.evidence import Evidence
from validation.patient_harms.family import SAID
from validation.patient_harms.readers import harms_for_readers
from validation.patient_harms.records import (
    OtherLabel,
    PairedGap,
    PatientHarm,
    PatientHarmName,
    PatientHarms,
)
from validation.report.formatting import Unit, interval, number
from validation.report.names import metric_short, spoken

State = Literal["alike", "differs", "cannot_tell"]

# state -> (colour of the verdicts, sign, words)
STATES: Final[Mapping[State, tuple[str, str, str]]] = {
    "alike": ("pass", "\N{CHECK MARK}", "not shown to differ"),
    "differs": ("fail", "!", "shown to differ"),
    "cannot_tell": ("cannot_tell", "?", "cannot tell"),
}
LOOKED_FOR: Final[Mapping[PatientHarmName, tuple[str, str]]] = {
    "calibration": (
        "Calibration within groups",
        "Are the risks of a group too low, too high or too extreme? Farthest from 1 first.",
    ),
    "alert_burden": (
        "Alert burden",
        "Who is called how often, how many are called for one case found, and how many in vain? "
        "Alerts are counted over all who were scored.",
    ),
    "exclusion": (
        "Exclusion",
        "Who entered the records and is not in this audit? The intervals take subjects one by one.",
    ),
    "censoring": (
        "Lost follow-up",
        "Whose outcome is not known, because follow-up ended before the horizon?",
    ),
    "measurement": (
        "Measurement bias",
        "Who was tested less, so that the model knows less of them? Tests known at the index time.",
    ),
    "label_choice": (
        "Label-choice bias",
        "Whose cases would another definition of the outcome count more of?",
    ),
}


@dataclass(frozen=True)
class HarmRow:
    """One quantity of one group; `about` says what it is."""

    group: str
    about: str
    value: str
    rest: str
    difference: str
    reason: str
    state: State


@dataclass(frozen=True)
class HarmTable:
    """All findings of one harm; `found` says what is shown to differ, one finding each."""

    title: str
    looked_for: str
    found: tuple[str, ...]
    rows: tuple[HarmRow, ...]


@dataclass(frozen=True)
class PairRow:
    """A gap as the audit holds it and as it is otherwise."""

    metric: str
    group: str
    declared: str
    otherwise: str


@dataclass(frozen=True)
class LabelTable:
    """A result under one definition of the outcome; of the declared one there are no gaps."""

    title: str
    auroc: str
    observed_expected: str
    gaps: tuple[PairRow, ...]


@dataclass(frozen=True)
class PatientHarmView:
    """All that templates/patient_harms.html.j2 shows."""

    on: str
    tables: tuple[HarmTable, ...]
    unweighted: tuple[PairRow, ...]
    weighting: str
    labels: tuple[LabelTable, ...]
    unseen: tuple[str, ...]
    states: Mapping[State, tuple[str, str, str]]


def patient_harm_view(evidence: Evidence) -> PatientHarmView | None:
    """What the page shows of harms to patients; None where they were not looked for."""
    harms = harms_for_readers(evidence).patient_harms
    if harms is None:
        return None
    return PatientHarmView(
        on=harms.on,
        tables=tuple(_table(name, harms) for name in LOOKED_FOR),
        unweighted=tuple(_pair(gap) for gap in harms.unweighted),
        weighting=_weighting(harms),
        labels=tuple(_labels(harms)),
        unseen=harms.unseen,
        states=STATES,
    )


def _table(name: PatientHarmName, harms: PatientHarms) -> HarmTable:
    title, looked_for = LOOKED_FOR[name]
    findings = [each for each in harms.findings if each.harm == name]
    return HarmTable(title, looked_for, _found(findings), tuple(_row(each) for each in findings))


def _found(findings: Sequence[PatientHarm]) -> tuple[str, ...]:
    """What is shown to differ, with its numbers; last, how much cannot be told."""
    if not findings:
        return ("Not looked for.",)
    alarms = [each for each in findings if each.alarm]
    untold = sum(each.alarm is None for each in findings)
    said = [f"{_capital(each.words)}." for each in _one_of_each_pair(alarms)]
    if not said and untold < len(findings):
        said = ["Nothing is shown to differ."]
    return (*said, f"{untold} of {len(findings)} cannot be told.") if untold else tuple(said)


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _one_of_each_pair(alarms: Sequence[PatientHarm]) -> list[PatientHarm]:
    """Of two levels the second says the first again, with its sign turned."""
    found: list[PatientHarm] = []
    for each in alarms:
        mirrored = any(
            (one.quantity, one.attribute, one.label) == (each.quantity, each.attribute, each.label)
            and one.difference.value == -(each.difference.value or 0.0)
            for one in found
        )
        if not mirrored:
            found.append(each)
    return found


def _row(each: PatientHarm) -> HarmRow:
    said, decimals = SAID[each.quantity]
    unit = Unit(decimals)
    state: State = "cannot_tell" if each.alarm is None else "differs" if each.alarm else "alike"
    is_told = each.alarm is not None
    return HarmRow(
        group=f"{spoken(each.attribute)}: {each.level}",
        about=said if each.label is None else f"{said} ({each.label})",
        value=interval(each.value, unit) if is_told else "cannot tell",
        rest=interval(each.rest, unit) if is_told and each.rest.value is not None else "",
        difference=interval(_at_once(each.difference), unit) if is_told else "",
        reason="" if is_told else each.difference.reason or "",
        state=state,
    )


def _at_once(found: Estimate) -> Estimate:
    """The interval that holds for all findings together, in place of its own."""
    return Estimate(value=found.value, low=found.simultaneous_low, high=found.simultaneous_high)


def _pair(gap: PairedGap) -> PairRow:
    return PairRow(
        metric=metric_short(gap.metric),
        group=f"{spoken(gap.attribute)}: {gap.level}",
        declared=interval(gap.declared),
        otherwise=interval(gap.otherwise),
    )


def _labels(harms: PatientHarms) -> list[LabelTable]:
    if not harms.other_labels:
        return []
    auroc, observed = harms.declared_auroc, harms.declared_observed_expected
    declared = LabelTable("the declared outcome", interval(auroc), interval(observed), ())
    return [declared, *(_label(other) for other in harms.other_labels)]


def _label(other: OtherLabel) -> LabelTable:
    return LabelTable(
        title=other.title,
        auroc=interval(other.auroc),
        observed_expected=interval(other.observed_expected),
        gaps=tuple(_pair(gap) for gap in other.gaps),
    )


def _weighting(harms: PatientHarms) -> str:
    """How far the weights for censoring move the gaps, in one sentence."""
    moved = [(abs(gap.moved), gap) for gap in harms.unweighted if gap.moved is not None]
    if not moved:
        return "No gap of a line could be measured both with and without the weights for censoring."
    most, gap = max(moved, key=lambda one: one[0])
    return (
        f"Without the weights for censoring no gap of a line moves by more than {number(most)} "
        f"({metric_short(gap.metric)}, {spoken(gap.attribute)} {gap.level})."
    )

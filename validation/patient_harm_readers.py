"""Harms to patients and mitigations as people read them: nothing that the tables withhold."""

from collections.abc import Iterable

from validation.estimates import Estimate
from validation.evidence import Evidence
from validation.mitigation_records import BeforeAfter, MitigationEvidence
from validation.patient_harm_records import PairedGap, PatientHarm, PatientHarms
from validation.tasks import OVERALL, PopulationName

NOT_SHOWN = Estimate(reason="not shown: too few subjects, or it would give away how few")
_Place = tuple[str, str, str, str]  # population, attribute, level, metric


def harms_for_readers(evidence: Evidence) -> Evidence:
    """The evidence without those numbers here whose own table withholds them.

    A metric of a group is withheld with its gap: one gives the other, and so does the same metric
    by another label, without weights or before a mitigation.
    """
    hidden = frozenset(_hidden(evidence))
    harms, mitigation = evidence.patient_harms, evidence.mitigation
    return evidence.model_copy(
        update={
            "patient_harms": None if harms is None else _harms(harms, hidden),
            "mitigation": None if mitigation is None else _mitigation(mitigation, hidden),
        }
    )


def _hidden(evidence: Evidence) -> Iterable[_Place]:
    for population in evidence.populations:
        for group in population.groups:
            for metric, found in group.metrics.items():
                withheld = metric in group.withheld or metric in population.overall.withheld
                if withheld or found.value is None:
                    yield population.population, group.attribute, group.level, metric


def _harms(harms: PatientHarms, hidden: frozenset[_Place]) -> PatientHarms:
    def pairs(gaps: Iterable[PairedGap]) -> tuple[PairedGap, ...]:
        return tuple(_pair(gap, harms.on, hidden) for gap in gaps)

    labels = (one.model_copy(update={"gaps": pairs(one.gaps)}) for one in harms.other_labels)
    return harms.model_copy(
        update={
            "findings": tuple(_finding(each, harms.on, hidden) for each in harms.findings),
            "unweighted": pairs(harms.unweighted),
            "other_labels": tuple(labels),
        }
    )


def _pair(gap: PairedGap, on: PopulationName, hidden: frozenset[_Place]) -> PairedGap:
    if (on, gap.attribute, gap.level, gap.metric) not in hidden:
        return gap
    return gap.model_copy(update={"declared": NOT_SHOWN, "otherwise": NOT_SHOWN, "moved": None})


def _finding(each: PatientHarm, on: PopulationName, hidden: frozenset[_Place]) -> PatientHarm:
    if (on, each.attribute, each.level, each.quantity) not in hidden or each.alarm is None:
        return each
    subject = f"{each.attribute.replace('_', ' ')} {each.level}"
    nothing = dict.fromkeys(("value", "rest", "difference"), NOT_SHOWN)
    said = {"alarm": None, "words": f"{subject}: {NOT_SHOWN.reason}"}
    return each.model_copy(update=nothing | said)


def _mitigation(told: MitigationEvidence, hidden: frozenset[_Place]) -> MitigationEvidence:
    def effect(each: BeforeAfter, on: PopulationName) -> BeforeAfter:
        place = (on, each.attribute, each.level, each.metric)
        if each.attribute == OVERALL or place not in hidden:
            return each
        return each.model_copy(update=dict.fromkeys(("before", "after", "change"), NOT_SHOWN))

    return told.model_copy(
        update={
            "populations": tuple(
                one.model_copy(
                    update={"measured": tuple(effect(e, one.population) for e in one.measured)}
                )
                for one in told.populations
            )
        }
    )

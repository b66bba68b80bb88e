"""Harms to patients and mitigations as people read them: nothing that the tables withhold."""

from collections.abc import Iterable, Mapping
from typing import Final

from validation.estimates import Estimate
from validation.evidence import Evidence, GroupPerformance, PopulationEvidence
from validation.mitigation.records import BeforeAfter, MitigationEvidence
from validation.patient_harms.records import PairedGap, PatientHarm, PatientHarms, QuantityName
from validation.tasks import OVERALL, MetricName, PopulationName

NOT_SHOWN = Estimate(reason="not shown: too few subjects, or it would give away how few")
# What counts people of a group -> the metrics whose counts it gives away, besides those shown.
COUNTING: Final[Mapping[QuantityName, tuple[MetricName, ...]]] = {
    "alerts_per_100": ("selection_rate",),
    "alerts_per_case": ("selection_rate", "tpr", "ppv"),
    "false_alerts_per_100": ("fpr",),
    "censored_per_100": (),
    "cases_per_declared_case": (),
}
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
            yield from _counted(population, group)


def _counted(population: PopulationEvidence, group: GroupPerformance) -> Iterable[_Place]:
    """Numbers per 100 of a group: hidden with its counts, and with the rates that give them."""
    counts = group.counts
    is_hidden = None in (counts.subjects, counts.positives, counts.censored)
    withheld = {*group.withheld, *population.overall.withheld}
    withheld |= {name for name, found in group.metrics.items() if found.value is None}
    for quantity, metrics in COUNTING.items():
        if is_hidden or withheld.intersection(metrics):
            yield population.population, group.attribute, group.level, quantity


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

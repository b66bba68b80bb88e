"""A mitigation arranged for the page: what was done, and fairness and utility before and after."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from validation.evidence import Evidence
from validation.mitigation.duties import broken_mitigation, is_of_mitigation
from validation.mitigation.records import BeforeAfter, MitigationName, ThresholdTable
from validation.patient_harms.readers import harms_for_readers
from validation.report.formatting import interval, joined, number
from validation.report.names import metric_short, spoken
from validation.tasks import OVERALL

DONE: Final[Mapping[MitigationName, str]] = {
    "reweighing": "the training rows were weighed so that group and outcome are independent "
    "among them (Kamiran and Calders 2012)",
    "group_robust": "the network was trained for the group with the highest loss "
    "(group DRO, Sagawa et al. 2020)",
    "group_thresholds": "each group has a threshold of its own",
}


@dataclass(frozen=True)
class EffectRow:
    """One metric before and after."""

    about: str
    before: str
    after: str
    change: str
    reason: str


@dataclass(frozen=True)
class EffectTable:
    """The effects in one population: on fairness (gaps), on groups, on all (utility)."""

    population: str
    parts: tuple[tuple[str, tuple[EffectRow, ...]], ...]


@dataclass(frozen=True)
class ThresholdRow:
    """A group's threshold, and how it was found."""

    level: str
    threshold: str
    words: str


@dataclass(frozen=True)
class MitigationView:
    """All that templates/mitigation.html.j2 shows. refused: why the gate closes on it."""

    done: str
    attribute: str
    words: tuple[str, ...]
    refused: tuple[str, ...]
    thresholds: tuple[ThresholdRow, ...]
    overall: str
    tables: tuple[EffectTable, ...]


def mitigation_view(evidence: Evidence) -> MitigationView | None:
    """What the page shows of a mitigation; None where there was none."""
    told = harms_for_readers(evidence).mitigation
    if told is None:
        return None
    done = joined([DONE[kind] for kind in told.kinds])
    return MitigationView(
        done=f"By {spoken(told.attribute)}, {done}.",
        attribute=spoken(told.attribute),
        words=told.words if told.table is None else (*told.words, told.table.words),
        refused=_refused(evidence),
        thresholds=() if told.table is None else _thresholds(told.table),
        overall="" if told.table is None else number(told.table.overall),
        tables=tuple(_table(each.population, each.measured) for each in told.populations),
    )


def _refused(evidence: Evidence) -> tuple[str, ...]:
    """As the gate said it: what readers do not see, it saw."""
    if evidence.gate is None:
        return tuple(broken_mitigation(evidence))
    return tuple(reason for reason in evidence.gate.reasons if is_of_mitigation(reason))


def _thresholds(table: ThresholdTable) -> tuple[ThresholdRow, ...]:
    return tuple(
        ThresholdRow(group.level, number(group.threshold), group.words) for group in table.groups
    )


def _table(population: str, measured: tuple[BeforeAfter, ...]) -> EffectTable:
    parts = {
        "Fairness: each group minus the rest": [e for e in measured if e.is_gap],
        "Utility, all subjects": [e for e in measured if e.attribute == OVERALL],
        "Each group": [e for e in measured if not e.is_gap and e.attribute != OVERALL],
    }
    rows = {title: tuple(_row(each) for each in found) for title, found in parts.items()}
    return EffectTable(population, tuple((title, found) for title, found in rows.items() if found))


def _row(each: BeforeAfter) -> EffectRow:
    about = metric_short(each.metric)
    if each.attribute != OVERALL:
        about = f"{about}, {spoken(each.attribute)} {each.level}"
    return EffectRow(
        about=about,
        before=interval(each.before),
        after=interval(each.after),
        change=interval(each.change),
        reason=each.change.reason or "",
    )

"""The evidence as people read it: what the auditor's file holds, less what gives few people away.

The gate judges the evidence; a report, its PDF and JSON, the console and a notice are made from
this view. A number of a group that was withheld, one that does not exist because the group has
too few subjects: both read the same, or the words themselves would say how few there are.
"""

from collections.abc import Mapping
from typing import Final

from validation.compression.records import CompressionEvidence
from validation.estimates import Estimate
from validation.evidence import (
    Evidence,
    Gap,
    GateVerdict,
    GroupPerformance,
    LineVerdict,
    PopulationEvidence,
)
from validation.patient_harms.readers import harms_for_readers
from validation.tasks import OVERALL, MetricName

# As many as the page prints: with more, a rate tells its denominator.
DECIMALS: Final = 3
NOT_SHOWN: Final = "not shown: too few subjects, or it would give away how few"
_VERDICT_WORDS: Final[Mapping[str, str]] = {
    "pass": "shown to hold",
    "fail": "shown not to hold",
    "cannot_tell": "cannot tell",
}
_Withheld = Mapping[tuple[str, str, str], frozenset[MetricName]]


def for_readers(evidence: Evidence) -> Evidence:
    """The same evidence without what is for the auditor's role only.

    Forecasts are of instruments: nothing of them is withheld.
    """
    if evidence.policy.is_forecast:
        return evidence
    withheld = _withheld(evidence)
    evidence = harms_for_readers(evidence)
    return evidence.model_copy(
        update={
            "populations": tuple(_population(one, withheld) for one in evidence.populations),
            "gate": None if evidence.gate is None else _gate(evidence.gate, withheld),
            "compression": _compression(evidence.compression),
        }
    )


def _compression(told: CompressionEvidence | None) -> CompressionEvidence | None:
    """Without its numbers: the change of a rate tells of how few the decision changed."""
    return None if told is None else told.model_copy(update={"populations": ()})


def _withheld(evidence: Evidence) -> _Withheld:
    """By population, attribute and level. A metric of everybody minus one of a group is the
    group's: it is withheld with either."""
    found: dict[tuple[str, str, str], frozenset[MetricName]] = {}
    for population in evidence.populations:
        total = frozenset(population.overall.withheld)
        for group in population.groups:
            key = (population.population, group.attribute, group.level)
            found[key] = total | frozenset(group.withheld) | _untold(group)
    return found


def _untold(group: GroupPerformance) -> frozenset[MetricName]:
    return frozenset(name for name, found in group.metrics.items() if found.value is None)


def _population(population: PopulationEvidence, withheld: _Withheld) -> PopulationEvidence:
    name = population.population
    return population.model_copy(
        update={
            "groups": tuple(
                _group(group, withheld[name, group.attribute, group.level])
                for group in population.groups
            ),
            "gaps": tuple(
                _gap(gap, withheld.get((name, gap.attribute, gap.level))) for gap in population.gaps
            ),
        }
    )


def _group(group: GroupPerformance, withheld: frozenset[MetricName]) -> GroupPerformance:
    return group.model_copy(
        update={
            "metrics": {
                name: Estimate(reason=NOT_SHOWN) if name in withheld else rounded(estimate)
                for name, estimate in group.metrics.items()
            },
            "pooled": {
                name: round(value, DECIMALS)
                for name, value in group.pooled.items()
                if name not in withheld
            },
            "withheld": (),
        }
    )


def _gap(gap: Gap, withheld: frozenset[MetricName] | None) -> Gap:
    # A gap of a group that the evidence does not hold: nobody decided that it may be read.
    if withheld is None or gap.metric in withheld or gap.estimate.value is None:
        hidden = {"estimate": Estimate(reason=NOT_SHOWN), "detectable": None}
        return gap.model_copy(update=hidden | {"permutation_share": None})
    detectable = None if gap.detectable is None else round(gap.detectable, DECIMALS)
    shown = {"estimate": rounded(gap.estimate), "detectable": detectable}
    return gap.model_copy(update=shown)


def rounded(estimate: Estimate) -> Estimate:
    """An estimate to the decimals that are printed."""
    numbers = estimate.model_dump(exclude={"reason"}, exclude_none=True)
    return estimate.model_copy(
        update={name: round(value, DECIMALS) for name, value in numbers.items()}
    )


# ---- lines -----------------------------------------------------------------------------------


def _gate(gate: GateVerdict, withheld: _Withheld) -> GateVerdict:
    lines = {line.line: _line(line, withheld) for line in (*gate.lines, *gate.reported)}
    said = {f"{one.line}: {one.words}": one.line for one in gate.lines}
    reasons = (
        f"{said[reason]}: {lines[said[reason]].words}" if reason in said else reason
        for reason in gate.reasons
    )
    return gate.model_copy(
        update={
            "lines": tuple(lines[one.line] for one in gate.lines),
            "reported": tuple(lines[one.line] for one in gate.reported),
            "reasons": tuple(reasons),
        }
    )


def _line(line: LineVerdict, withheld: _Withheld) -> LineVerdict:
    if line.kind != "gap" or line.group == OVERALL or line.level is None:
        return line
    hidden = withheld.get((line.on, line.group, line.level))
    if hidden is not None and line.metric not in hidden and line.estimate.value is not None:
        return line.model_copy(update={"estimate": rounded(line.estimate)})
    return line.model_copy(
        update={
            "estimate": Estimate(reason=NOT_SHOWN),
            "detectable": None,
            "subjects_needed": None,
            "words": f"{line.level}: {_VERDICT_WORDS[line.verdict]}; {NOT_SHOWN}",
        }
    )

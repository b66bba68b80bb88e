"""What an audit under a mitigation owes, whatever its lines say: the gate asks for it."""

from collections.abc import Iterator

from validation.evidence import Evidence
from validation.mitigation.records import MitigatedPopulation, MitigationEvidence
from validation.tasks import OVERALL

# How every reason here begins, by which it is known among those of a gate.
_BEGINNINGS = ("mitigation on ", "the mitigation ", "group_thresholds: ")
# Below it a selection rate is nobody's.
NOBODY = 1e-3


def is_of_mitigation(reason: str) -> bool:
    """Whether a reason of a closed gate is one of these."""
    return reason.startswith(_BEGINNINGS)


def broken_mitigation(evidence: Evidence) -> Iterator[str]:
    """Why a mitigation closes the gate, whatever the lines say; nothing where none was made."""
    told = evidence.mitigation
    if told is None:
        return
    if not told.populations:
        yield "the mitigation was not compared with before"
    if {each.population for each in told.populations} != {
        each.population for each in evidence.populations
    }:
        yield "the mitigation was not compared with before in every population"
    if "group_thresholds" in told.kinds:
        yield from _broken_table(evidence, told)
    for population in told.populations:
        yield from _nobody_selected(population, told, _withheld(population, evidence))
        yield from _left_out(population, evidence, told)


def _broken_table(evidence: Evidence, told: MitigationEvidence) -> Iterator[str]:
    if told.table is None:
        yield "group_thresholds: there is no table of thresholds"
        return
    if told.table.attribute != told.attribute or told.table.overall != evidence.policy.threshold:
        yield "group_thresholds: the table is of another attribute or threshold than the study's"
    if not any(group.fitted for group in told.table.groups):
        yield "group_thresholds: no two groups had enough cases to fit thresholds on"
    levels = [group.level for group in told.table.groups]
    if len(set(levels)) != len(levels):
        yield "group_thresholds: the table names a group twice"


def _left_out(
    population: MitigatedPopulation, evidence: Evidence, told: MitigationEvidence
) -> Iterator[str]:
    """Levels that the audit knows and the comparison passes over in silence."""
    levels = {
        each.level
        for audited in evidence.populations
        if audited.population == population.population
        for each in audited.groups
        if each.attribute == told.attribute
    }
    compared = {
        each.level
        for each in population.measured
        if (each.metric, each.attribute, each.is_gap) == ("selection_rate", told.attribute, False)
    }
    for level in sorted(levels - compared):
        yield (
            f"mitigation on {population.population}: whether it still selects"
            f" {told.attribute} {level} was not measured"
        )


def _withheld(population: MitigatedPopulation, evidence: Evidence) -> set[tuple[str, str]]:
    """Groups whose share selected is for the auditor alone: a reason is read by everybody."""
    return {
        (group.attribute, group.level)
        for audited in evidence.populations
        if audited.population == population.population
        for group in audited.groups
        if "selection_rate" in (*group.withheld, *audited.overall.withheld)
    }


def _nobody_selected(
    population: MitigatedPopulation, told: MitigationEvidence, withheld: set[tuple[str, str]]
) -> Iterator[str]:
    where = population.population
    rates = [
        each for each in population.measured if each.metric == "selection_rate" and not each.is_gap
    ]
    if not any(each.attribute == OVERALL for each in rates):
        yield f"mitigation on {where}: the share selected of all was not measured"
    if not any(each.attribute == told.attribute for each in rates):
        yield f"mitigation on {where}: the share selected by {told.attribute} was not measured"
    for each in rates:
        who = "all" if each.attribute == OVERALL else f"{each.attribute} {each.level}"
        before, after = each.before.value, each.after.value
        if before is None or after is None:
            why = each.after.reason or each.before.reason or "not measured"
            yield f"mitigation on {where}: whether it still selects {who} cannot be told, {why}"
        elif after < NOBODY or after < told.least_selected_share * before:
            shares = f"{after:.1%} of {who}, {before:.1%} before"
            if (each.attribute, each.level) in withheld:
                shares = f"far fewer of {who} than before"
            yield (
                f"mitigation on {where}: it selects {shares}; "
                f"less than {told.least_selected_share:.0%} of that is equality by selecting "
                "nobody"
            )

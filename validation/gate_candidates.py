"""Which numbers of the evidence a line of the gate is about; a missing one is said, never guessed.

Hostile evidence may name things twice, flag another challenger the best, or leave things out:
each of these is a line that nothing can be told of.
"""

import math
from dataclasses import dataclass

from validation.config import AuditConfig, GatingLine
from validation.estimates import Counts, Estimate
from validation.evidence import Challenger, Evidence, PopulationEvidence
from validation.sample_size import Limits
from validation.tasks import (
    BEST_CHALLENGER,
    INCUMBENT,
    LOWER_IS_BETTER,
    PRIMARY_LOSS,
    MetricName,
    metric_names,
)


class Missing(Exception):
    """A line has nothing to judge; the message says what is missing."""


class NothingStands(Exception):
    """A line compares with the release that stands, and none does."""


@dataclass(frozen=True)
class Candidate:
    """A number that a line is about; for a gap there is one per level.

    counts: whom it was measured on.   together: it must hold with all other gaps at once.
    may_be_exact: the difference of two models, which is exactly 0 of a model and itself.
    """

    level: str | None
    estimate: Estimate
    limits: Limits
    counts: Counts
    together: bool = False
    may_be_exact: bool = False


def candidates_of(line: GatingLine, evidence: Evidence) -> list[Candidate]:
    """The numbers that decide a line, at least one. Raises Missing or NothingStands."""
    limits = _limits(line, evidence.policy)
    found = [each for each in evidence.populations if each.population == line.on]
    if len(found) != 1:
        raise Missing(f"the evidence holds {len(found)} populations {line.on}")
    if line.kind == "gap":
        return _gaps(line, found[0], limits)
    counts = found[0].overall.counts
    if line.kind == "value":
        if line.metric not in found[0].overall.metrics:
            raise Missing(f"{line.metric} was not measured")
        return [Candidate(None, found[0].overall.metrics[line.metric], limits, counts)]
    name, difference = _difference(line, evidence, found[0])
    return [Candidate(name, difference, _not_worse(line, limits), counts, may_be_exact=True)]


def _limits(line: GatingLine, policy: AuditConfig) -> Limits:
    given = [limit for limit in (line.lower, line.upper) if limit is not None]
    if not given or not all(math.isfinite(limit) for limit in given):
        raise Missing("the line has no limit")
    if line.metric not in metric_names(policy.task):
        raise Missing(f"{line.metric} is no metric")
    lower = -math.inf if line.lower is None else line.lower
    upper = math.inf if line.upper is None else line.upper
    return Limits(lower, upper, lower, upper)


def _not_worse(line: GatingLine, limits: Limits) -> Limits:
    # Worse beyond its interval is a failure, whatever loss is tolerated.
    if line.metric in LOWER_IS_BETTER:
        return limits._replace(fails_above=min(limits.upper, 0.0))
    return limits._replace(fails_below=max(limits.lower, 0.0))


def _gaps(line: GatingLine, population: PopulationEvidence, limits: Limits) -> list[Candidate]:
    groups = [group for group in population.groups if group.attribute == line.group]
    if len({group.level for group in groups}) != len(groups) or len(groups) < 2:
        raise Missing(f"no two groups by {line.group} were measured once")
    candidates = []
    for group in groups:
        gaps = [
            gap
            for gap in population.gaps
            if (gap.attribute, gap.level, gap.metric) == (line.group, group.level, line.metric)
        ]
        if len(gaps) != 1:
            raise Missing(f"{line.metric} of {group.level} against the rest was not measured once")
        candidates.append(
            Candidate(group.level, gaps[0].estimate, limits, group.counts, together=True)
        )
    return candidates


# ---- against another model -------------------------------------------------------------------


def _difference(
    line: GatingLine, evidence: Evidence, population: PopulationEvidence
) -> tuple[str, Estimate]:
    """The other model's name, and network minus it."""
    if line.against == INCUMBENT:
        return INCUMBENT, _to_incumbent(line, evidence)
    chosen = _challenger(line, population, evidence.policy)
    if line.metric not in chosen.difference:
        raise Missing(f"the difference to {chosen.name} was not measured")
    return chosen.name, chosen.difference[line.metric]


def _to_incumbent(line: GatingLine, evidence: Evidence) -> Estimate:
    found = evidence.incumbent
    if found is None:
        raise Missing("nobody looked for the release that stands")
    if not found.stands:
        raise NothingStands
    if not found.differences and found.reason is not None:
        return Estimate(reason=found.reason)
    differences = found.differences.get(line.on, {})
    if line.metric not in differences:
        raise Missing("the difference to the release that stands was not measured")
    return differences[line.metric]


def _challenger(
    line: GatingLine, population: PopulationEvidence, policy: AuditConfig
) -> Challenger:
    _check_flags(population, policy)
    if line.against == BEST_CHALLENGER:
        # The best in the line's own metric: a sceptic would ask for no other.
        return _best(population, line.metric)
    named = [each for each in population.challengers if each.name == line.against]
    if len(named) != 1:
        raise Missing(f"challenger {line.against} was not measured once")
    return named[0]


def _check_flags(population: PopulationEvidence, policy: AuditConfig) -> None:
    """Two of one name, or a flag on another one, are evidence that somebody wrote by hand."""
    best = _best(population, PRIMARY_LOSS.get(policy.task, "auroc"))
    names = {challenger.name for challenger in population.challengers}
    flagged = [challenger.name for challenger in population.challengers if challenger.best]
    if len(names) != len(population.challengers) or flagged != [best.name]:
        raise Missing("the evidence names another challenger the best than its numbers do")


def _best(population: PopulationEvidence, metric: MetricName) -> Challenger:
    values = []
    for challenger in population.challengers:
        value = challenger.metrics.get(metric, Estimate()).value
        if value is None or not math.isfinite(value):
            raise Missing(f"{metric} of challenger {challenger.name} was not measured")
        values.append(-value if metric in LOWER_IS_BETTER else value)
    if not values:
        raise Missing("no challenger was measured")
    return population.challengers[values.index(max(values))]

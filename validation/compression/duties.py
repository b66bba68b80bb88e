"""What the audit of a smaller model owes beside its lines: the gate asks for it.

Judged are the gaps of all groups, crossings too, in each metric and population of which a line
judges a gap. One that has too few subjects to be told closes the gate only where a line is about
its attribute: of the others the audit tells no gap either.
"""

from collections.abc import Iterator

from validation.compression.records import CompressedPopulation, CompressionEvidence
from validation.config import AuditConfig
from validation.evidence import Evidence
from validation.tasks import MetricName

# What the evidence of a model says of one that nobody made smaller.
TRAINED = "trained"
# How every reason here begins, by which it is known among those of a gate.
_BEGINNING = "the smaller model"


def is_of_compression(reason: str) -> bool:
    """Whether a reason of a closed gate is one of these."""
    return reason.startswith(_BEGINNING)


def broken_compression(evidence: Evidence, policy: AuditConfig) -> Iterator[str]:
    """Why a smaller model closes the gate, whatever the lines say; nothing of a trained one."""
    told = evidence.compression
    form = None if evidence.model is None else evidence.model.details.get("form")
    if told is None:
        if form not in (None, TRAINED):
            yield f"{_BEGINNING} was not compared with the one it was made of"
        return
    if form != told.form:
        yield f"{_BEGINNING} is of another form than the one that was compared"
    if told.reason is not None:
        yield f"{_BEGINNING} cannot be judged: {told.reason}"
        return
    judged = _judged(policy)
    if not judged:
        yield f"{_BEGINNING} cannot be judged: no line of the study judges a gap"
    for (population, metric), attributes in sorted(judged.items()):
        yield from _worsened(evidence, told, population, metric, attributes)


def _judged(policy: AuditConfig) -> dict[tuple[str, MetricName], set[str]]:
    """Population and metric of the gaps that lines judge -> the attributes they are about."""
    found: dict[tuple[str, MetricName], set[str]] = {}
    for line in (*policy.gating, *policy.reported):
        if line.kind == "gap":
            found.setdefault((line.on, line.metric), set()).add(line.group)
    return found


def _worsened(
    evidence: Evidence,
    told: CompressionEvidence,
    population: str,
    metric: MetricName,
    attributes: set[str],
) -> Iterator[str]:
    margin = evidence.policy.compressed_gap_margins.get(metric)
    if margin is None:
        yield f"{_BEGINNING} cannot be judged: the study has no margin for gaps in {metric}"
        return
    found = [each for each in told.populations if each.population == population]
    if len(found) != 1:
        yield f"{_BEGINNING} was not compared on {population}"
        return
    yield from _left_out(evidence, found[0], metric)
    for change in found[0].gaps:
        if change.metric != metric:
            continue
        gap = f"the gap in {metric} of {change.attribute} {change.level} on {population}"
        if change.worsening is None:
            if change.attribute in attributes:
                yield f"{_BEGINNING}: by how much {gap} worsened cannot be told"
        elif change.worsening > margin:
            yield f"{_BEGINNING}: {gap} is not shown to have worsened by at most {margin:g}"


def _left_out(
    evidence: Evidence, compared: CompressedPopulation, metric: MetricName
) -> Iterator[str]:
    """Groups that the audit knows and the comparison passes over, or names twice."""
    named = [(each.attribute, each.level) for each in compared.gaps if each.metric == metric]
    audited = {
        (group.attribute, group.level)
        for population in evidence.populations
        if population.population == compared.population
        for group in population.groups
    }
    if len(set(named)) != len(named) or set(named) != audited:
        yield f"{_BEGINNING} was not compared once in {metric} in every group"

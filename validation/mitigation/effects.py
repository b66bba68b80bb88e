"""Each metric before and after a mitigation, on the same subjects and the same draws."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from validation.config import AuditConfig
from validation.disclosure.group_counts import ALL_LEVELS
from validation.estimates import Estimate
from validation.groups import Group
from validation.intervals import bootstrap
from validation.mitigation.records import BeforeAfter, MitigatedPopulation
from validation.patient_harms.gaps import single_groups
from validation.patient_harms.ratios import (
    Key,
    Ratio,
    Sampled,
    estimate_of,
    sample_ratios,
    untold,
)
from validation.populations import Population
from validation.ranking import FloatArray, auroc
from validation.tasks import OVERALL, MetricName

BEFORE, AFTER = "before", "after"
# Metrics that are a sum over a sum, with the words for what they count.
RATES: Mapping[MetricName, str] = {
    "selection_rate": "selected",
    "tpr": "cases found",
    "fpr": "false alarms",
    "ppv": "cases found",
    "net_benefit": "cases found",
    "brier": "cases",
}
# Of a group the gap to the rest is told too, where a gap means something.
GAPS: tuple[MetricName, ...] = ("selection_rate", "tpr", "fpr", "ppv")


def effects(
    now: Population, twin: Population, limits: FloatArray, policy: AuditConfig, attribute: str
) -> MitigatedPopulation:
    """All metrics of a population and of the attribute's levels.

    now, twin: the same subjects, with the mitigation's scores and with those without it.
    limits [n]: each subject's threshold now; before, all have the study's.
    """
    one = policy.model_copy(update={"attributes": (attribute,)})
    levels = single_groups(now.attributes.select(attribute), one)
    everybody = np.arange(len(now.y), dtype=np.intp)
    groups = [Group(OVERALL, ALL_LEVELS, everybody, everybody[:0]), *levels]
    selected = {
        BEFORE: (twin.score >= policy.selected_from).astype(np.float64),
        AFTER: (now.score >= limits).astype(np.float64),
    }
    ratios = [
        ratio
        for when, population in ((BEFORE, twin), (AFTER, now))
        for ratio in _ratios(when, population, selected[when], policy.selected_from)
    ]
    sampled = sample_ratios(
        ratios, groups, now.clusters, draws=policy.bootstrap_draws, seed=policy.bootstrap_seed
    )
    reasons = {ratio.name: _reasons(ratio, levels, policy) for ratio in ratios}
    measured = [_auroc(now, twin, policy)]
    for metric in RATES:
        measured += _measured(metric, groups, sampled, reasons)
    return MitigatedPopulation(population=now.name, measured=tuple(measured))


def _ratios(
    when: str, population: Population, selected: FloatArray, threshold: float
) -> list[Ratio]:
    y, weight = population.y, population.weight
    known, chosen = weight > 0, selected == 1.0
    case, other = known & (y == 1.0), known & (y == 0.0)
    w, odds = weight * selected, threshold / (1.0 - threshold)
    found, false = case & chosen, other & chosen
    sums: dict[MetricName, tuple[FloatArray, FloatArray]] = {
        "selection_rate": (w, weight),
        "tpr": (w * y, weight * y),
        "fpr": (w * (1.0 - y), weight * (1.0 - y)),
        "ppv": (w * y, w),
        "net_benefit": (w * (y - odds * (1.0 - y)), weight),
        "brier": (weight * (population.score - y) ** 2, weight),
    }
    counted = {
        "selection_rate": (known & chosen, known & ~chosen),
        "tpr": (found, case & ~chosen),
        "fpr": (false, other & ~chosen),
        "ppv": (found, false),
        "net_benefit": (found, known & ~found),
        "brier": (case, other),
    }
    return [
        Ratio(f"{when} {name}", *sums[name], 1.0, *counted[name], said)
        for name, said in RATES.items()
    ]


def _reasons(each: Ratio, levels: Sequence[Group], policy: AuditConfig) -> Mapping[str, str]:
    # Even few events are compared, as long as they give nobody away: a mitigation must be seen.
    smallest = policy.minimum_cell_subjects
    return untold(each, levels, smallest, smallest)


def _measured(
    metric: MetricName,
    groups: Sequence[Group],
    sampled: Mapping[Key, Sampled],
    reasons: Mapping[str, Mapping[str, str]],
) -> Iterator[BeforeAfter]:
    names = {when: f"{when} {metric}" for when in (BEFORE, AFTER)}
    for group in groups:
        pair = [sampled[names[when], group.attribute, group.level] for when in (BEFORE, AFTER)]
        why = [reasons[names[when]].get(group.level) for when in (BEFORE, AFTER)]
        reason = None if group.attribute == OVERALL else why[0] or why[1]
        yield _compared(metric, group, False, [(p.inside, p.inside_samples) for p in pair], reason)
        if metric in GAPS and group.attribute != OVERALL:
            gaps = [(p.inside - p.outside, p.inside_samples - p.outside_samples) for p in pair]
            yield _compared(metric, group, True, gaps, reason)


def _compared(
    metric: MetricName,
    group: Group,
    is_gap: bool,
    pair: Sequence[tuple[float, FloatArray]],
    reason: str | None,
) -> BeforeAfter:
    (before, before_samples), (after, after_samples) = pair
    nothing = None if reason is None else Estimate(reason=reason)
    return BeforeAfter(
        metric=metric,
        attribute=group.attribute,
        level=group.level,
        is_gap=is_gap,
        before=nothing or estimate_of(before, before_samples),
        after=nothing or estimate_of(after, after_samples),
        change=nothing or estimate_of(after - before, after_samples - before_samples),
    )


def _auroc(now: Population, twin: Population, policy: AuditConfig) -> BeforeAfter:
    """AUROC of all; where the scores are the same it is measured once."""
    same = np.array_equal(now.score, twin.score)
    scores = [twin.score] if same else [twin.score, now.score]

    def both(weights: FloatArray) -> FloatArray:
        return np.stack([auroc(now.y, score, weights) for score in scores], axis=1)

    points = both(now.weight[None])[0]
    draws, seed = policy.bootstrap_draws, policy.bootstrap_seed
    samples = bootstrap(both, now.clusters, now.weight, draws=draws, seed=seed)
    nobody = np.empty(0, np.intp)
    pair = [(float(points[i]), samples[:, i]) for i in (0, -1)]
    return _compared("auroc", Group(OVERALL, ALL_LEVELS, nobody, nobody), False, pair, None)

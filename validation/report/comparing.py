"""What changed since the last audit, and whether that is more than chance.

Two audits are compared number by number. Where the evidence holds the difference to the release
that stands, measured on the same subjects, that one is taken; else the difference of two
estimates, as if they had nothing in common, which is too wide rather than too narrow where both
audits saw the same subjects. The intervals hold for all numbers that are compared at once
(Bonferroni), or among many numbers one would change by chance alone.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final

from validation.estimates import Estimate, VerdictName
from validation.evidence import Evidence, LineVerdict, PopulationEvidence
from validation.tasks import LineKind, MetricName, Task

LEVEL: Final = 0.95
# What whoever signs asks of besides the gating lines.
HEADLINES: Final[dict[Task, tuple[MetricName, ...]]] = {
    "risk": ("auroc", "observed_expected", "net_benefit"),
    "volatility": ("skill_mae", "skill_qlike"),
    "quantiles": ("skill", "coverage_90"),
    "direction": ("skill_brier", "hit_rate"),
}


@dataclass(frozen=True)
class Change:
    """One number then and now. line: of a gating line, its name; of a headline metric, null.

    difference: now minus before; its interval holds for all changes of a comparison at once.
    paired: both models were measured on the same subjects. significant: the interval excludes 0;
    null where there is none.
    """

    line: str | None
    kind: LineKind
    metric: MetricName
    on: str
    group: str
    level: str | None
    before: Estimate
    now: Estimate
    difference: Estimate
    paired: bool
    verdict_before: VerdictName | None = None
    verdict_now: VerdictName | None = None

    @property
    def significant(self) -> bool | None:
        low, high = self.difference.low, self.difference.high
        return None if low is None or high is None else low > 0.0 or high < 0.0


def compare_audits(before: Evidence | None, now: Evidence) -> tuple[Change, ...]:
    """Gating lines first, then the headline metrics of every population.

    before: the audit before this one; of None only what is paired with the release that stands.
    """
    changes = [*_lines(before, now), *_headlines(before, now)]
    family = sum(change.difference.standard_error is not None for change in changes)
    return tuple(_with_interval(change, family) for change in changes)


def limits_changed(before: Evidence, now: Evidence) -> list[str]:
    """Names of gating lines that are new, gone, or have another limit than before."""
    then = {line.line: line for line in before.policy.gating}
    today = {line.line: line for line in now.policy.gating}
    return [name for name in dict.fromkeys([*then, *today]) if then.get(name) != today.get(name)]


# ---- one number ------------------------------------------------------------------------------


def _lines(before: Evidence | None, now: Evidence) -> Iterator[Change]:
    earlier = before.gate.lines if before is not None and before.gate is not None else ()
    for line in now.gate.lines if now.gate is not None else ():
        if line.kind == "predictions":
            continue
        then = _same(line, earlier)
        estimate = _then(line, then, before)
        if estimate is None:
            continue
        yield Change(
            line=line.line,
            kind=line.kind,
            metric=line.metric,  # type: ignore[arg-type]
            on=line.on,
            group=line.group,
            level=line.level,
            before=estimate,
            now=line.estimate,
            difference=_unpaired(estimate, line.estimate),
            paired=False,
            verdict_before=then.verdict if then else None,
            verdict_now=line.verdict,
        )


def _same(line: LineVerdict, earlier: tuple[LineVerdict, ...]) -> LineVerdict | None:
    place = (line.kind, line.metric, line.on, line.group)
    alike = [each for each in earlier if (each.kind, each.metric, each.on, each.group) == place]
    named = [each for each in alike if each.line == line.line]
    return next(iter([*named, *alike]), None)


def _then(line: LineVerdict, then: LineVerdict | None, before: Evidence | None) -> Estimate | None:
    """What the same line found before; of a gap, of the very level that decides it now."""
    if then is None or before is None:
        return None
    if line.kind != "gap" or then.level == line.level:
        return then.estimate
    populations = (p for p in before.populations if p.population == line.on)
    place = (line.group, line.level, line.metric)
    found = (
        gap.estimate
        for population in populations
        for gap in population.gaps
        if (gap.attribute, gap.level, gap.metric) == place
    )
    return next(found, None)


def _headlines(before: Evidence | None, now: Evidence) -> Iterator[Change]:
    for population in now.populations:
        for metric in HEADLINES[now.policy.task]:
            if (change := _headline(before, now, population, metric)) is not None:
                yield change


def _headline(
    before: Evidence | None, now: Evidence, population: PopulationEvidence, metric: MetricName
) -> Change | None:
    found = population.overall.metrics.get(metric)
    if found is None:
        return None
    change = Change(
        line=None,
        kind="value",
        metric=metric,
        on=population.population,
        group="overall",
        level=None,
        before=Estimate(reason="not measured in the audit before"),
        now=found,
        difference=Estimate(reason="not measured in the audit before"),
        paired=False,
    )
    paired = _paired(now, population, metric)
    if paired is not None and paired.value is not None and found.value is not None:
        # Both on the same draws: what the release that stands reached on these very subjects.
        then = Estimate(value=found.value - paired.value)
        return replace(change, before=then, difference=paired, paired=True)
    earlier = before.population(population.population) if before is not None else None
    then_found = earlier.overall.metrics.get(metric) if earlier is not None else None
    if then_found is None:
        return None
    return replace(change, before=then_found, difference=_unpaired(then_found, found))


def _paired(now: Evidence, population: PopulationEvidence, metric: MetricName) -> Estimate | None:
    if now.incumbent is None or not now.incumbent.stands:
        return None
    return now.incumbent.differences.get(population.population, {}).get(metric)


def _unpaired(before: Estimate, now: Estimate) -> Estimate:
    if before.value is None or now.value is None:
        return Estimate(reason="one of the two audits cannot tell it")
    if before.standard_error is None or now.standard_error is None:
        return Estimate(value=now.value - before.value, reason="one of them has no interval")
    error = math.hypot(before.standard_error, now.standard_error)
    return Estimate(value=now.value - before.value, standard_error=error)


def _with_interval(change: Change, family: int) -> Change:
    found = change.difference
    if found.value is None or found.standard_error is None:
        return change
    reach = NormalDist().inv_cdf(1.0 - (1.0 - LEVEL) / (2 * family)) * found.standard_error
    interval = {"low": found.value - reach, "high": found.value + reach}
    return replace(change, difference=found.model_copy(update=interval))

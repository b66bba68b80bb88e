"""Intervals of all gaps that an audit's lines judge, right together and not only one by one.

With twelve gaps at 95 % each, a fair model has one outside its own interval in every other audit.
So all gaps of gating and reported lines are one family: the critical value is the .95 quantile of
the largest |t| among them over the bootstrap's draws, which knows how they go together (Westfall
and Young, Resampling-Based Multiple Testing, 1993; Romano and Wolf, Econometrica 2005). It is
kept between that of one interval alone and Bonferroni's of them all.

A study that mitigates by thresholds of groups is measured twice, at its own threshold and at
theirs, and takes from each what its decisions change or do not: each is a family of its own, so
their intervals hold at once with .95 for either and with .90 at least for both.

Of forecasts it is Bonferroni's: over 25 to 75 blocks of time, whose shocks outlive a block, 13 of
120 clean markets had a gap outside the intervals of the largest |t|.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from validation.config import AuditConfig
from validation.intervals import LEVEL
from validation.ranking import FloatArray
from validation.sampled import SINGLE_TAIL, Sampled
from validation.tasks import MetricName, PopulationName

_ROUNDING = 1e-10
# A gap by population, attribute, level and metric, and its two sides.
GapKey = tuple[PopulationName, str, str, MetricName]
Sides = tuple[Sampled, Sampled]


def judged_gaps(config: AuditConfig) -> frozenset[tuple[PopulationName, str, MetricName]]:
    """Population, attribute and metric of every gap line, gating or reported."""
    return frozenset(
        (line.on, line.group, line.metric)
        for line in (*config.gating, *config.reported)
        if line.kind == "gap"
    )


@dataclass(frozen=True)
class Family:
    """The gaps that are judged together, and what each of their intervals leaves to each end."""

    keys: frozenset[GapKey]
    tail: float

    def tail_of(self, key: GapKey) -> float | None:
        """The tail of a gap's simultaneous interval; None of one that no line judges."""
        return self.tail if key in self.keys else None


def family_of(gaps: Mapping[GapKey, Sides], config: AuditConfig) -> Family:
    """The family of the measurable gaps that a line judges.

    The tail becomes a critical value by the t distribution of each side, so few clusters are paid
    for even where the draws do not show it. Draws of two populations are their own: their gaps
    count as independent, which widens.
    """
    judged = judged_gaps(config)
    members = {
        key: sides
        for key, sides in gaps.items()
        if (key[0], key[1], key[3]) in judged and all(side.is_defined for side in sides)
    }
    bonferroni = SINGLE_TAIL / max(_hypotheses(members), 1)
    tail = bonferroni if config.is_forecast else max(bonferroni, _largest_tail(members))
    return Family(frozenset(members), tail)


def _largest_tail(members: Mapping[GapKey, Sides]) -> float:
    """The tail beyond the .95 quantile of the largest |t|, at most that of one interval."""
    if not members:
        return SINGLE_TAIL
    largest = np.fmax.reduce([_standardised(*sides) for sides in members.values()])
    critical = float(np.nanquantile(largest, LEVEL, method="higher"))
    return min(float(stats.norm.sf(critical)), SINGLE_TAIL)


def _standardised(inside: Sampled, outside: Sampled) -> FloatArray:
    """|draw - value| / standard deviation, [draws]; 0 of a gap that does not vary."""
    apart = np.abs(inside.samples - outside.samples - (inside.value - outside.value))
    spread = float(np.nanstd(inside.samples - outside.samples))
    return apart / spread if spread > 0.0 else np.zeros_like(apart)


def _hypotheses(family: Mapping[GapKey, Sides]) -> int:
    """How many of the gaps can be wrong by themselves."""
    alike: dict[tuple[str, ...], list[Sides]] = defaultdict(list)
    for (on, attribute, _, metric), sides in family.items():
        alike[on, attribute, metric].append(sides)
    return sum(1 if _mirrored(gaps) else len(gaps) for gaps in alike.values())


def told_hypotheses(gaps: Iterable[tuple[Hashable, bool]]) -> int:
    """How many of the told gaps can be wrong by themselves, where none is measured twice.

    gaps: of each level, told or not, what it is a level of, and whether its gap is told. Of two
    levels, one gap is the other's mirror; as in `_mirrored`, not beside a third one.
    """
    levels, told = Counter[Hashable](), Counter[Hashable]()
    for table, is_told in gaps:
        levels[table] += 1
        told[table] += is_told
    return sum(1 if number == levels[table] == 2 else number for table, number in told.items())


def _mirrored(gaps: Sequence[Sides]) -> bool:
    """Whether these are the two gaps of an attribute of two levels, each the other's mirror.

    Where a third level is too small to be measured, it is on both other sides: no mirror.
    """
    if len(gaps) != 2:
        return False
    (inside, outside), (other_inside, other_outside) = gaps
    return _same(inside, other_outside) and _same(outside, other_inside)


def _same(one: Sampled, other: Sampled) -> bool:
    """Whether these are the same rows, measured twice: sums may differ by their rounding."""
    pairs = ((one.samples, other.samples), (one.value, other.value))
    return all(np.allclose(a, b, rtol=_ROUNDING, atol=_ROUNDING, equal_nan=True) for a, b in pairs)

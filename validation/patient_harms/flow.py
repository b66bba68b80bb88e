"""Who was excluded, by group: from the flow as it may be shown, so no hidden count comes back.

Nobody who was excluded has a cluster or a score: the intervals take subjects one by one (Wilson,
J Am Stat Assoc 1927; of a difference, Newcombe, Stat Med 1998, method 10).
"""

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist

from validation.data_evidence import FlowStep
from validation.estimates import Estimate
from validation.intervals import LEVEL
from validation.patient_harms.records import PatientHarm
from validation.proportions import wilson

_Z = NormalDist().inv_cdf(0.5 + 0.5 * LEVEL)
_HIDDEN = "fewer than 11 at some step, or a count that would give one away"


def exclusions(flow: Sequence[FlowStep], attributes: Sequence[str]) -> Iterator[PatientHarm]:
    """Excluded per 100 who entered the flow, each level against all others."""
    for attribute in attributes:
        counts = _counts(flow, attribute)
        for level in counts:
            inside = counts[level]
            others = [each for name, each in counts.items() if name != level]
            yield PatientHarm(
                harm="exclusion",
                quantity="excluded_per_100",
                attribute=attribute,
                level=level,
                **_estimates(inside, others),
                words="",
            )


def _counts(flow: Sequence[FlowStep], attribute: str) -> dict[str, tuple[int, int] | None]:
    """Level -> (excluded, entered); None where a count of it is hidden."""
    levels = dict.fromkeys(
        group.level
        for step in flow
        for group in (*step.excluded_groups, *step.remaining_groups)
        if group.attribute == attribute
    )
    return {level: _count(flow, attribute, level) for level in levels}


def _count(flow: Sequence[FlowStep], attribute: str, level: str) -> tuple[int, int] | None:
    place = (attribute, level)
    gone = [g.subjects for s in flow for g in s.excluded_groups if (g.attribute, g.level) == place]
    left = [g.subjects for g in flow[-1].remaining_groups if (g.attribute, g.level) == place]
    known = [count for count in (*gone, *left) if count is not None]
    if len(known) < len(gone) + len(left) or not known:
        return None
    excluded = sum(count for count in gone if count is not None)
    return excluded, sum(known)


def _estimates(
    inside: tuple[int, int] | None, others: Sequence[tuple[int, int] | None]
) -> dict[str, Estimate]:
    shown = [each for each in others if each is not None]
    if inside is None or len(shown) < len(others) or not shown:
        return dict.fromkeys(("value", "rest", "difference"), Estimate(reason=_HIDDEN))
    rest = (sum(gone for gone, _ in shown), sum(all_ for _, all_ in shown))
    if 0 in (inside[1], rest[1]):
        return dict.fromkeys(("value", "rest", "difference"), Estimate(reason="nobody"))
    one, other = _share(*inside), _share(*rest)
    return {"value": one, "rest": other, "difference": _difference(one, other)}


def _share(events: int, of: int) -> Estimate:
    share = events / of
    low, high = wilson(share, of, _Z)
    return Estimate(
        value=100 * share,
        low=100 * low,
        high=100 * high,
        standard_error=100 * math.sqrt(share * (1 - share) / of),
    )


def _difference(one: Estimate, other: Estimate) -> Estimate:
    a, low_a, high_a, error_a = _numbers(one)
    b, low_b, high_b, error_b = _numbers(other)
    return Estimate(
        value=a - b,
        low=a - b - math.hypot(a - low_a, high_b - b),
        high=a - b + math.hypot(high_a - a, b - low_b),
        standard_error=math.hypot(error_a, error_b),
    )


def _numbers(estimate: Estimate) -> tuple[float, ...]:
    numbers = (estimate.value, estimate.low, estimate.high, estimate.standard_error)
    return tuple(0.0 if number is None else number for number in numbers)

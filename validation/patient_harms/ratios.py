"""Ratios of sums by group, each group beside everybody else, under draws of whole clusters.

Alerts per case, tests per subject: all are a sum over a sum, so a draw needs the sums of each
cluster alone and not its rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from validation.estimates import Estimate
from validation.groups import Group
from validation.intervals import draw_weights, percentile_interval, standard_error
from validation.ranking import FloatArray, ratio

Key = tuple[str, str, str]  # ratio, attribute, level


@dataclass(frozen=True)
class Ratio:
    """above and below [n], summed over a group's rows and divided; times scale.

    events, others [n] (bool) or None: the subjects that the sums count and those that they do not;
    where a group has few of either, the ratio cannot be told, or would tell who they are.
    """

    name: str
    above: FloatArray
    below: FloatArray
    scale: float = 1.0
    events: npt.NDArray[np.bool_] | None = None
    others: npt.NDArray[np.bool_] | None = None
    of_events: str = "subjects"


@dataclass(frozen=True)
class Sampled:
    """A ratio in a group and in the rest: points, and samples [draws], NaN where undefined."""

    inside: float
    outside: float
    inside_samples: FloatArray
    outside_samples: FloatArray


def sample_ratios(
    ratios: Sequence[Ratio],
    groups: Sequence[Group],
    clusters: npt.NDArray[np.int64],
    *,
    draws: int,
    seed: int,
) -> dict[Key, Sampled]:
    """Every ratio of every group, on the same draws. clusters [n]: cluster of each row."""
    _, member = np.unique(clusters, return_inverse=True)
    units = int(member.max()) + 1
    summands = []
    for each in ratios:
        for values in (each.above, each.below):
            summands.append(np.bincount(member, values, units))
            for group in groups:
                rows = group.rows
                summands.append(np.bincount(member[rows], values[rows], units))
    sums = np.stack(summands, axis=1)  # [clusters, ratios x 2 x (1 + groups)]
    ones = np.ones(units)
    drawn = np.concatenate(
        [w @ sums for w in draw_weights(np.arange(units), ones, draws=draws, seed=seed)]
    )
    everything = np.concatenate([sums.sum(axis=0)[None], drawn])  # the first row is the point
    shape = (draws + 1, len(ratios), 2, 1 + len(groups))
    return _named(everything.reshape(shape), ratios, groups)


def _named(
    sums: FloatArray, ratios: Sequence[Ratio], groups: Sequence[Group]
) -> dict[Key, Sampled]:
    found: dict[Key, Sampled] = {}
    for i, each in enumerate(ratios):
        above, below = sums[:, i, 0], sums[:, i, 1]  # [1 + draws, 1 + groups]
        for j, group in enumerate(groups, start=1):
            inside = each.scale * ratio(above[:, j], below[:, j])
            outside = each.scale * ratio(above[:, 0] - above[:, j], below[:, 0] - below[:, j])
            found[each.name, group.attribute, group.level] = Sampled(
                float(inside[0]), float(outside[0]), inside[1:], outside[1:]
            )
    return found


def estimate_of(value: float, samples: FloatArray) -> Estimate:
    """A value with its percentile interval, or the reason why there is none."""
    low, high = percentile_interval(samples)
    error = standard_error(samples)
    if not np.isfinite([value, low, high, error]).all():
        return Estimate(reason="not defined on these subjects")
    return Estimate(value=float(value), low=low, high=high, standard_error=error)


def untold(each: Ratio, groups: Sequence[Group], least: int, smallest: int) -> Mapping[str, str]:
    """Level -> why this ratio is not told of it; groups: all levels of one attribute.

    Too few events to have an interval; or a small cell, in the group or by subtraction from the
    total: then a further level is withheld until what is withheld could hold `smallest` or more.
    """
    found: dict[str, str] = {}
    counts: dict[str, tuple[int, int]] = {}
    for group in groups:
        if min(len(group.rows), len(group.rest)) < smallest:
            found[group.level] = f"fewer than {smallest} subjects"
        if each.events is None or each.others is None:
            continue
        cells = [
            (int(each.events[rows].sum()), int(each.others[rows].sum()))
            for rows in (group.rows, group.rest)
        ]
        counts[group.level] = cells[0]
        if min(events for events, _ in cells) < max(least, smallest):
            found.setdefault(group.level, f"fewer than {max(least, smallest)} {each.of_events}")
        if min(others for _, others in cells) < smallest:
            found.setdefault(group.level, f"fewer than {smallest} others")
    for level in _given_away(counts, set(found), smallest):
        found[level] = "withheld, since it would give a small group away"
    return found


def _given_away(
    counts: Mapping[str, tuple[int, int]], hidden: set[str], smallest: int
) -> list[str]:
    """Further levels to withhold: those of the fewest events first."""
    more: list[str] = []
    for cell in (0, 1):
        if not any(0 < counts[level][cell] < smallest for level in hidden if level in counts):
            continue
        free = sorted(counts.keys() - hidden - set(more), key=lambda name: counts[name])
        while free and _withheld(counts, hidden | set(more), cell) < smallest:
            more.append(free.pop(0))
        if len(hidden | set(more)) == 1 and free:
            more.append(free.pop(0))
    return more


def _withheld(counts: Mapping[str, tuple[int, int]], hidden: set[str], cell: int) -> int:
    return sum(counts[level][cell] for level in hidden if level in counts)

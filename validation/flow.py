"""The exclusions flow as it may be shown: who left at each step, by group, in no small cell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from validation.data_evidence import FlowGroup, FlowStep
from validation.disclosure.cells import Cell, Key, hidden_cells
from validation.evidence import PopulationEvidence

_EXCLUDED, _REMAINING = "excluded", "remaining"
_EVERYBODY = ""


@dataclass(frozen=True)
class StepCounts:
    """A step as counted. groups: (attribute, level, excluded, remaining)."""

    step: str
    words: str
    excluded: int
    remaining: int
    groups: Sequence[tuple[str, str, int, int]]


def disclosed_flow(
    steps: Sequence[StepCounts], minimum: int, audited: PopulationEvidence | None = None
) -> tuple[FlowStep, ...]:
    """The flow with every count by group hidden that is, or gives away, one below minimum.

    audited: the population of all who remained, if the report shows its counts too; the flow's
    last row then agrees with it. Raises ValueError if that is another number of subjects, or if a
    step does not follow from the one before.
    """
    _check(steps, audited)
    groups: dict[int, list[tuple[FlowGroup, FlowGroup]]] = {i: [] for i in range(len(steps))}
    for attribute in dict.fromkeys(group[0] for step in steps for group in step.groups):
        for i, excluded, remaining in _by_attribute(steps, attribute, minimum, audited):
            groups[i].append((excluded, remaining))
    return tuple(
        FlowStep(
            step=step.step,
            words=step.words,
            excluded=step.excluded,
            remaining=step.remaining,
            excluded_groups=tuple(excluded for excluded, _ in groups[i]),
            remaining_groups=tuple(remaining for _, remaining in groups[i]),
        )
        for i, step in enumerate(steps)
    )


def _check(steps: Sequence[StepCounts], audited: PopulationEvidence | None) -> None:
    for before, after in pairwise(steps):
        if before.remaining != after.excluded + after.remaining:
            raise ValueError(f"flow: step {after.step!r} does not start with those who remained")
    if audited is not None and audited.overall.counts.subjects not in (None, steps[-1].remaining):
        raise ValueError("flow: it ends with another number of subjects than was audited")


def _by_attribute(
    steps: Sequence[StepCounts],
    attribute: str,
    minimum: int,
    audited: PopulationEvidence | None,
) -> Iterator[tuple[int, FlowGroup, FlowGroup]]:
    counts = [
        {level: (gone, left) for name, level, gone, left in step.groups if name == attribute}
        for step in steps
    ]
    levels = sorted({level for step in counts for level in step})
    # Finest cells: the step at which a subject left (or stayed to the end), by level.
    leaving = [[step.get(level, (0, 0))[0] for level in levels] for step in counts]
    staying = [counts[-1].get(level, (0, 0))[1] for level in levels]
    finest = np.array([*leaving, staying], dtype=np.int64)
    hidden_before, shown_before = _decided(attribute, len(steps), audited)
    hidden = hidden_cells(
        finest.ravel(),
        list(_cells(finest.shape, levels)),
        minimum,
        hidden_elsewhere=hidden_before,
        shown_elsewhere=shown_before,
    )

    def shown(kind: str, i: int, level: str, count: int) -> FlowGroup:
        visible = None if (kind, str(i), level) in hidden else count
        return FlowGroup(attribute=attribute, level=level, subjects=visible)

    for i in range(len(steps)):
        for j, level in enumerate(levels):
            remaining = int(finest[i + 1 :, j].sum())
            yield (
                i,
                shown(_EXCLUDED, i, level, int(finest[i, j])),
                shown(_REMAINING, i, level, remaining),
            )


def _cells(shape: tuple[int, ...], levels: Sequence[str]) -> Iterator[Cell]:
    steps = shape[0] - 1
    for i in range(steps):
        for kind, rows in ((_EXCLUDED, slice(i, i + 1)), (_REMAINING, slice(i + 1, None))):
            for columns, level, rank in [
                *((slice(j, j + 1), level, 0) for j, level in enumerate(levels)),
                (slice(None), _EVERYBODY, 1),
            ]:
                members = np.zeros(shape, dtype=np.bool_)
                members[rows, columns] = True
                yield Cell((kind, str(i), level), members.ravel(), rank)


def _decided(
    attribute: str, steps: int, audited: PopulationEvidence | None
) -> tuple[frozenset[Key], frozenset[Key]]:
    """What the performance tables and the totals of the flow have hidden, and shown, before."""
    last = str(steps - 1)
    groups = [] if audited is None else [g for g in audited.groups if g.attribute == attribute]
    totals = {(kind, str(i), _EVERYBODY) for kind in (_EXCLUDED, _REMAINING) for i in range(steps)}
    final = {(_REMAINING, last, g.level): g.counts.subjects is None for g in groups}
    hidden = frozenset(key for key, is_hidden in final.items() if is_hidden)
    return hidden, frozenset(totals | (final.keys() - hidden))

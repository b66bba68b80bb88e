"""Examples: a subject and an index time, with what a domain says of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import polars as pl


@dataclass(frozen=True)
class FlowCount:
    """One step of the exclusions flow; ``groups``: (attribute, level, excluded, remaining)."""

    step: str
    words: str
    excluded: int
    remaining: int
    groups: list[tuple[str, str, int, int]]

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Examples:
    """The examples of a study and how many subjects each step excluded.

    ``frame``: subject_id, index_time, cluster (what is drawn and split as one: a matched set, a
    block of sessions), scale (f32 > 0, the unit in which a naive observer would measure the label),
    the domain's static columns (named in ``statics``, numeric, null = unknown), the audit's group
    columns (named in ``groups``), label (f32, null = not known) and label_end_time (when it is
    decided and known), and what else the domain wants to find again after scoring.
    ``is_current``, where it stands: false for rows that only tell how the past was predicted.
    """

    frame: pl.DataFrame
    statics: tuple[str, ...]
    groups: tuple[str, ...]
    flow: list[FlowCount]


def exclude(
    frame: pl.DataFrame,
    flow: list[FlowCount],
    groups: tuple[str, ...],
    excluded: pl.Expr,
    step: str,
    words: str,
) -> pl.DataFrame:
    """Drop the rows of ``frame`` for which ``excluded`` holds, and append the step to ``flow``."""
    marked = frame.with_columns(excluded.fill_null(False).alias("_excluded"))
    counts = [
        (group, str(level), int(gone), int(total - gone))
        for group in groups
        for level, gone, total in marked.group_by(pl.col(group).fill_null("unknown"))
        .agg(pl.col("_excluded").sum(), pl.len())
        .sort(group)
        .iter_rows()
    ]
    remaining = marked.filter(~pl.col("_excluded")).drop("_excluded")
    flow.append(FlowCount(step, words, frame.height - remaining.height, remaining.height, counts))
    return remaining


def flow_together(flows: Sequence[Sequence[FlowCount]]) -> list[FlowCount]:
    """The flows of several sets of subjects as one: every step counts them all."""
    return [_step_together(steps) for steps in zip(*flows, strict=True)]


def _step_together(steps: Sequence[FlowCount]) -> FlowCount:
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for step in steps:
        for attribute, level, gone, stay in step.groups:
            before = counts.get((attribute, level), (0, 0))
            counts[attribute, level] = before[0] + gone, before[1] + stay
    attributes = list(dict.fromkeys(attribute for attribute, _ in counts))
    # As `exclude` counts them: attributes in their order, levels in that of their names.
    ordered = sorted(counts, key=lambda place: (attributes.index(place[0]), place[1]))
    return FlowCount(
        steps[0].step,
        steps[0].words,
        sum(step.excluded for step in steps),
        sum(step.remaining for step in steps),
        [(*place, *counts[place]) for place in ordered],
    )

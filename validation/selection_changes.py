"""Does a generation of scores select about as many of every group as its release did?

A row is selected by the threshold that decides on it: its own where the release has a table of
them, else the study's.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from validation.config import AuditConfig
from validation.evidence import Measurement
from validation.groups import numbers_of, with_named_levels
from validation.mitigation.records import THRESHOLD
from validation.prediction_gate import SELECTION_CHANGE
from validation.ranking import FloatArray
from validation.tasks import OVERALL

_Place = tuple[str, str]


@dataclass(frozen=True)
class _Selected:
    """Rows of a group, and how many of them are selected."""

    rows: int = 0
    selected: int = 0

    @property
    def rate(self) -> float:
        return self.selected / self.rows

    def gives_away(self, smallest: int) -> bool:
        """Whether fewer than `smallest`, yet somebody, are selected or are not."""
        return any(0 < count < smallest for count in (self.selected, self.rows - self.selected))


def is_probability(values: FloatArray) -> npt.NDArray[np.bool_]:
    """[n] whether a number lies in 0 to 1; NaN does not."""
    return (values >= 0.0) & (values <= 1.0)


def selection_changes(
    scores: pl.DataFrame, reference: pl.DataFrame, config: AuditConfig
) -> tuple[list[Measurement], tuple[str, ...]]:
    """Selection rate minus the release's, overall and by level; and the levels too small.

    Never raises: what cannot be measured is null with a reason.
    """
    if not config.has_threshold:
        return [], ()
    try:
        if (THRESHOLD in scores.columns) != (THRESHOLD in reference.columns):
            raise ValueError("only one side has thresholds of its own")
        now, before = _selected(scores, config), _selected(reference, config)
    except Exception as error:  # not measured, whatever the cause: the gate closes on it
        reason = f"could not be measured ({type(error).__name__})"
        return [Measurement(name=SELECTION_CHANGE, reason=reason)], ()
    # Small cells protect people; of instruments nothing is hidden.
    withheld = _withheld((now, before), 1 if config.is_forecast else config.minimum_cell_subjects)
    places = sorted(now.keys() | before.keys())
    nobody = _Selected()
    sides = {place: (now.get(place, nobody), before.get(place, nobody)) for place in places}
    least = {p: 1 if p[0] == OVERALL else config.predictions.minimum_group_subjects for p in places}
    too_small = tuple(
        f"{group} {level}: fewer than {least[group, level]} subjects, then and now"
        for group, level in places
        if all(side.rows < least[group, level] for side in sides[group, level])
    )
    return list(_changes(sides, least, withheld)), too_small


def _changes(
    sides: Mapping[_Place, tuple[_Selected, _Selected]],
    least: Mapping[_Place, int],
    withheld: frozenset[str],
) -> Iterator[Measurement]:
    for (group, level), (now, before) in sides.items():
        enough = [side.rows >= least[group, level] for side in (now, before)]
        if not any(enough):
            continue
        why = f"fewer than {least[group, level]} subjects, then or now"
        yield Measurement(
            name=SELECTION_CHANGE,
            group=group,
            level=level,
            value=now.rate - before.rate if all(enough) else None,
            reason=None if all(enough) else why,
            withheld=all(enough) and group in withheld,
        )


def _withheld(sides: Iterable[Mapping[_Place, _Selected]], smallest: int) -> frozenset[str]:
    """Attributes of which a level's rate gives few people away.

    All their levels: one level's number follows from the others' and everybody's.
    """
    return frozenset(
        group
        for side in sides
        for (group, _), found in side.items()
        if group != OVERALL and found.gives_away(smallest)
    )


def _selected(frame: pl.DataFrame, config: AuditConfig) -> dict[_Place, _Selected]:
    """Rows and how many are selected, per (attribute, level) and overall."""
    score = numbers_of(frame, "score")
    limits: FloatArray = np.full(len(score), config.selected_from)
    if THRESHOLD in frame.columns:
        limits = numbers_of(frame, THRESHOLD)
    if len(score) == 0 or not (is_probability(score) & is_probability(limits)).all():
        raise ValueError("a selection rate needs whole scores")
    levels = with_named_levels(frame, config.attributes)
    table = levels.with_columns(pl.lit("all").alias(OVERALL), selected=score >= limits)
    found = {}
    for group in (OVERALL, *config.attributes):
        counts = table.group_by(group).agg(pl.len(), pl.col("selected").sum())
        for level, rows, selected in counts.iter_rows():
            found[group, str(level)] = _Selected(int(rows), int(selected))
    return found

"""Forests of gaps between groups, as inline SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from validation.estimates import Estimate
from validation.report.charts import dot
from validation.report.formatting import PLAIN, Unit, interval
from validation.report.svg import Scale, drawing, element, line, text, tick_label

FOREST_WIDTH, ROW_HEIGHT = 408.0, 19.0
# Room for names and numbers of so many letters; each letter more needs about so many pixels.
LABEL_WIDTH, LABEL_LETTERS, MOST_LETTERS = 88.0, 14, 22
NUMBERS_WIDTH, NUMBERS_LETTERS = 140.0, 25
LETTER_WIDTH = 5.6
MOST_NARROW = 1e-9


@dataclass(frozen=True)
class ForestRow:
    """A group's gap to the rest; limits where a gating line judges it."""

    heading: str
    label: str
    estimate: Estimate
    detectable: float | None
    lower: float | None
    upper: float | None


def forest_chart(title: str, rows: Sequence[ForestRow], unit: Unit = PLAIN) -> Markup:
    """Gaps with intervals around a line at zero.

    The band is what this sample would miss (gaps below the smallest detectable one); brackets
    are the limits of a gating line. Limits and intervals set the scale, bands are clipped.
    """
    headings = len({row.heading for row in rows})
    bottom = 8 + ROW_HEIGHT * (len(rows) + headings)
    x = _scale(rows, unit)
    parts = [_axis(x, bottom, unit)]
    y, heading = 4.0, ""
    for row in rows:
        if row.heading != heading:
            heading = row.heading
            parts.append(text(0, y + 13, heading, "heading"))
            y += ROW_HEIGHT
        parts.append(_row(x, y, row, unit))
        y += ROW_HEIGHT
    said = "; ".join(f"{row.heading} {row.label}: {interval(row.estimate, unit)}" for row in rows)
    label = f"{title}: each group minus all others. {said}."
    return drawing(FOREST_WIDTH, bottom + 18, label, *parts)


def _scale(rows: Sequence[ForestRow], unit: Unit) -> Scale:
    labels = max(len(_short(row.label)) for row in rows)
    numbers = max(len(_written(row.estimate, unit)) for row in rows)
    reach = _reach(rows)
    return Scale(
        -reach,
        reach,
        LABEL_WIDTH + LETTER_WIDTH * max(0, labels - LABEL_LETTERS) + 6,
        FOREST_WIDTH - NUMBERS_WIDTH - LETTER_WIDTH * max(0, numbers - NUMBERS_LETTERS),
    )


def _reach(rows: Sequence[ForestRow]) -> float:
    found = [
        abs(value)
        for row in rows
        for value in (row.estimate.low, row.estimate.high, row.lower, row.upper)
        if value is not None
    ]
    # A scale needs a width, also where every gap is zero.
    return 1.08 * max([*found, MOST_NARROW])


def _axis(x: Scale, bottom: float, unit: Unit) -> Markup:
    scaled = Scale(x.low * unit.factor, x.high * unit.factor, x.start, x.end)
    ticks = [
        line(scaled.at(tick), 6, scaled.at(tick), bottom, "grid" if tick else "zero")
        + text(scaled.at(tick), bottom + 13, _tick(tick, unit), "tick", "middle")
        for tick in scaled.ticks(4)
    ]
    return Markup("").join(ticks)


def _tick(tick: float, unit: Unit) -> str:
    return tick_label(tick, max(3, unit.decimals))


def _short(label: str) -> str:
    return label if len(label) <= MOST_LETTERS else f"{label[: MOST_LETTERS - 1]}…"


def _written(estimate: Estimate, unit: Unit) -> str:
    # The unit stands above the chart: once is enough.
    return interval(estimate, Unit(unit.decimals, unit.factor))


def _row(x: Scale, top: float, row: ForestRow, unit: Unit) -> Markup:
    middle, estimate = top + ROW_HEIGHT / 2, row.estimate
    parts = [text(8, middle + 3.5, _short(row.label), "label")]
    if row.detectable is not None:
        left, right = x.at(-row.detectable), x.at(row.detectable)
        box = {"x": left, "y": top + 2.0, "width": right - left, "height": ROW_HEIGHT - 4}
        parts.append(element("rect", **box, class_="blind"))
    parts += [
        line(x.at(value), top + 1, x.at(value), top + ROW_HEIGHT - 1, "limit")
        for value in (row.lower, row.upper)
        if value is not None
    ]
    if estimate.value is not None:
        if estimate.low is not None and estimate.high is not None:
            parts.append(line(x.at(estimate.low), middle, x.at(estimate.high), middle, "whisker"))
        said = f"{row.label}: {interval(estimate, unit)}"
        parts.append(dot(x.at(estimate.value), middle, said))
    parts.append(text(FOREST_WIDTH, middle + 3.5, _written(estimate, unit), "number", "end"))
    return Markup("").join(parts)

"""The charts of forecasts, as inline SVG: skill by year, and coverage by level."""

from collections.abc import Sequence

from markupsafe import Markup

from validation.estimates import Estimate
from validation.evidence import CoveragePoint, SeriesPoint
from validation.report.charts import CURVE_HEIGHT, CURVE_WIDTH, dot, frame, scales
from validation.report.formatting import Unit, interval, number
from validation.report.svg import Scale, drawing, line, text, tick_label

SERIES_WIDTH, SERIES_HEIGHT = 820.0, 220.0


def coverage_chart(points: Sequence[CoveragePoint]) -> Markup | None:
    """Share of outcomes at or below each quantile against its level, with the diagonal."""
    shown = [point for point in points if point.observed.value is not None]
    if not shown:
        return None
    x, y = scales()
    parts = [
        frame(x, y, "Level of the quantile", "Outcomes at or below it"),
        line(x.at(0), y.at(0), x.at(1), y.at(1), "reference"),
        *(_coverage_point(x, y, point) for point in shown),
    ]
    said = "; ".join(f"{number(p.level, LEVEL)}: {interval(p.observed, SHARE)}" for p in shown)
    label = f"Share of outcomes at or below each quantile, by its level. {said}."
    return drawing(CURVE_WIDTH, CURVE_HEIGHT, label, *parts)


LEVEL = Unit(0, 100.0, " %")
SHARE = Unit(1, 100.0, " %")


def _coverage_point(x: Scale, y: Scale, point: CoveragePoint) -> Markup:
    at, observed = x.at(point.level), point.observed
    said = f"level {number(point.level, LEVEL)}: {interval(observed, SHARE)}"
    return _whisker(at, y, observed) + dot(at, y.at(observed.value or 0.0), said)


def _whisker(at: float, y: Scale, found: Estimate) -> Markup:
    if found.low is None or found.high is None:
        return Markup("")
    return line(at, y.at(found.low), at, y.at(found.high), "whisker")


def series_chart(points: Sequence[SeriesPoint], unit: Unit) -> Markup | None:
    """Skill over the reference by year, with intervals; the full line is no skill."""
    shown = [point for point in points if point.skill.value is not None]
    if not shown:
        return None
    x, y = _series_scales(points, shown, unit.factor)
    parts = [_series_axis(x, y), *(_year(x, y, point, unit) for point in points)]
    said = "; ".join(f"{point.year}: {interval(point.skill, unit)}" for point in points)
    return drawing(
        SERIES_WIDTH, SERIES_HEIGHT, f"Skill over the reference by year. {said}.", *parts
    )


def _series_scales(
    points: Sequence[SeriesPoint], shown: Sequence[SeriesPoint], factor: float
) -> tuple[Scale, Scale]:
    ends = [
        value * factor
        for point in shown
        for value in (point.skill.value, point.skill.low, point.skill.high)
        if value is not None
    ]
    low, high = min(0.0, *ends), max(0.0, *ends)
    room = 0.06 * (high - low) or 1.0
    years = [point.year for point in points]
    x = Scale(min(years) - 0.5, max(years) + 0.5, 44.0, SERIES_WIDTH - 4)
    return x, Scale(low - room, high + room, SERIES_HEIGHT - 24, 20.0)


def _series_axis(x: Scale, y: Scale) -> Markup:
    ticks = [
        line(x.start, y.at(tick), x.end, y.at(tick), "grid" if tick else "zero")
        + text(x.start - 6, y.at(tick) + 3.5, tick_label(tick, 3), "tick", "end")
        for tick in y.ticks(5)
    ]
    return Markup("").join(
        [*ticks, text(0, 9, "Skill: % of the loss of the reference saved", "axis")]
    )


def _year(x: Scale, y: Scale, point: SeriesPoint, unit: Unit) -> Markup:
    at, skill = x.at(point.year), point.skill
    label = text(at, SERIES_HEIGHT - 8, str(point.year), "tick", "middle")
    if skill.value is None:
        # Nothing is drawn where nothing can be said; the table beneath says why.
        return label + text(at, y.at(0) - 6, "?", "tick", "middle")
    scaled = Estimate(
        low=None if skill.low is None else skill.low * unit.factor,
        high=None if skill.high is None else skill.high * unit.factor,
    )
    said = f"{point.year}: {interval(skill, unit)}"
    return label + _whisker(at, y, scaled) + dot(at, y.at(skill.value * unit.factor), said)

"""The charts of a report, as inline SVG: curves of one population and forests of gaps."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from validation.evidence import CalibrationBin, CurvePoint, Estimate
from validation.report.formatting import interval, number
from validation.report.svg import Scale, drawing, element, line, polyline, text, tick_label

CURVE_WIDTH, CURVE_HEIGHT = 264.0, 250.0
FOREST_WIDTH, ROW_HEIGHT = 408.0, 19.0
LABEL_WIDTH, NUMBERS_WIDTH = 88.0, 140.0


def _frame(x: Scale, y: Scale, x_title: str, y_title: str) -> Markup:
    """Grid, tick labels and axis titles of a curve."""
    parts = [
        line(x.at(tick), y.start, x.at(tick), y.end, "grid")
        + text(x.at(tick), y.start + 13, tick_label(tick), "tick", "middle")
        for tick in x.ticks(4)
    ]
    parts += [
        line(x.start, y.at(tick), x.end, y.at(tick), "grid")
        + text(x.start - 5, y.at(tick) + 3.5, tick_label(tick), "tick", "end")
        for tick in y.ticks(4)
    ]
    parts.append(text((x.start + x.end) / 2, y.start + 29, x_title, "axis", "middle"))
    parts.append(text(x.start - 30, y.end - 9, y_title, "axis"))
    return Markup("").join(parts)


def _scales(x_high: float = 1.0, y_high: float = 1.0) -> tuple[Scale, Scale]:
    x = Scale(0.0, x_high, 38.0, CURVE_WIDTH - 8)
    return x, Scale(0.0, y_high, CURVE_HEIGHT - 36, 22.0)


def _dot(x: float, y: float, label: str, class_: str = "dot") -> Markup:
    return element("circle", element("title", label), cx=x, cy=y, r=4.0, class_=class_)


def roc_chart(points: Sequence[CurvePoint], fpr: float | None, tpr: float | None) -> Markup | None:
    """The ROC curve, with a dot at the study's threshold where both rates are known."""
    if not points:
        return None
    x, y = _scales()
    parts = [
        _frame(x, y, "False alarms (FPR)", "Cases found (TPR)"),
        line(x.at(0), y.at(0), x.at(1), y.at(1), "reference"),
        polyline([(x.at(p.x), y.at(p.y)) for p in points], "curve"),
    ]
    label = "ROC curve: cases found against false alarms, over all thresholds."
    if fpr is not None and tpr is not None:
        said = f"At the threshold: FPR {number(fpr)}, TPR {number(tpr)}"
        parts.append(_dot(x.at(fpr), y.at(tpr), said))
        label = f"{label} {said}."
    return drawing(CURVE_WIDTH, CURVE_HEIGHT, label, *parts)


def precision_recall_chart(
    points: Sequence[CurvePoint], baseline: float | None, tpr: float | None, ppv: float | None
) -> Markup | None:
    """The precision-recall curve above the line of a constant guess, where that is known."""
    if not points:
        return None
    # The first points rest on a handful of subjects and jump to 1: they must not set the scale.
    settled = [p.y for p in points if p.x >= 0.05] or [p.y for p in points]
    x, y = _scales(y_high=min(1.0, _round_up(1.15 * max(settled))))
    parts = [_frame(x, y, "Cases found (TPR)", "Cases among selected (PPV)")]
    label = "Precision-recall curve: cases among the selected against cases found."
    if baseline is not None:
        parts.append(line(x.at(0), y.at(baseline), x.at(1), y.at(baseline), "reference"))
        label += f" A constant guess reaches {number(baseline)}."
    parts.append(polyline([(x.at(p.x), y.at(p.y)) for p in points], "curve"))
    if tpr is not None and ppv is not None:
        said = f"At the threshold: TPR {number(tpr)}, PPV {number(ppv)}"
        parts.append(_dot(x.at(tpr), y.at(ppv), said))
        label += f" {said}."
    return drawing(CURVE_WIDTH, CURVE_HEIGHT, label, *parts)


def calibration_chart(bins: Sequence[CalibrationBin]) -> Markup | None:
    """Observed against predicted risk, with the interval of every bin and the diagonal."""
    shown = [b for b in bins if b.observed.value is not None]
    if not shown:
        return None
    tops = [v for b in shown for v in (b.predicted, b.observed.high or b.observed.value or 0.0)]
    high = min(1.0, _round_up(1.05 * max(tops)))
    x, y = _scales(high, high)
    parts = [
        _frame(x, y, "Predicted risk", "Observed risk"),
        line(x.at(0), y.at(0), x.at(high), y.at(high), "reference"),
        *(_calibration_point(x, y, b) for b in shown),
    ]
    label = (
        f"Calibration in {len(shown)} bins of predicted risk, with 95 % intervals; "
        "on the diagonal, predicted and observed risk agree."
    )
    return drawing(CURVE_WIDTH, CURVE_HEIGHT, label, *parts)


def _calibration_point(x: Scale, y: Scale, found: CalibrationBin) -> Markup:
    at, observed = x.at(found.predicted), found.observed
    if observed.value is None:
        return Markup("")
    said = f"predicted {number(found.predicted)}, observed {interval(observed)}"
    dot = _dot(at, y.at(observed.value), f"{found.subjects:,} subjects: {said}")
    if observed.low is None or observed.high is None:
        return dot
    return line(at, y.at(observed.low), at, y.at(observed.high), "whisker") + dot


def _round_up(value: float) -> float:
    """The next tenth (above 0.2) or twentieth: an axis ends on a round number."""
    steps = 10 if value > 0.2 else 20
    return max(1, -int(-value * steps // 1)) / steps


@dataclass(frozen=True)
class ForestRow:
    """A group's gap to the rest; limits where a gating line judges it."""

    heading: str
    label: str
    estimate: Estimate
    detectable: float | None
    lower: float | None
    upper: float | None


def forest_chart(title: str, rows: Sequence[ForestRow]) -> Markup:
    """Gaps with intervals around a line at zero.

    The band is what this sample would miss (gaps below the smallest detectable one); brackets
    are the limits of a gating line. Limits and intervals set the scale, bands are clipped.
    """
    headings = len({row.heading for row in rows})
    bottom = 8 + ROW_HEIGHT * (len(rows) + headings)
    reach = _reach(rows)
    x = Scale(-reach, reach, LABEL_WIDTH + 6, FOREST_WIDTH - NUMBERS_WIDTH)
    parts = [_forest_axis(x, bottom)]
    y, heading = 4.0, ""
    for row in rows:
        if row.heading != heading:
            heading = row.heading
            parts.append(text(0, y + 13, heading, "heading"))
            y += ROW_HEIGHT
        parts.append(_forest_row(x, y, row))
        y += ROW_HEIGHT
    said = "; ".join(f"{row.heading} {row.label}: {interval(row.estimate)}" for row in rows)
    label = f"{title}: each group minus all others. {said}."
    return drawing(FOREST_WIDTH, bottom + 18, label, *parts)


def _reach(rows: Sequence[ForestRow]) -> float:
    found = [
        abs(value)
        for row in rows
        for value in (row.estimate.low, row.estimate.high, row.lower, row.upper)
        if value is not None
    ]
    return 1.08 * max(found, default=0.1) or 0.1


def _forest_axis(x: Scale, bottom: float) -> Markup:
    ticks = [
        line(x.at(tick), 6, x.at(tick), bottom, "grid" if tick else "zero")
        + text(x.at(tick), bottom + 13, tick_label(tick, 3), "tick", "middle")
        for tick in x.ticks(4)
    ]
    return Markup("").join(ticks)


def _forest_row(x: Scale, top: float, row: ForestRow) -> Markup:
    middle, estimate = top + ROW_HEIGHT / 2, row.estimate
    parts = [text(8, middle + 3.5, row.label, "label")]
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
        parts.append(_dot(x.at(estimate.value), middle, f"{row.label}: {interval(estimate)}"))
    parts.append(text(FOREST_WIDTH, middle + 3.5, interval(estimate), "number", "end"))
    return Markup("").join(parts)

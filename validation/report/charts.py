"""The curves of a report, as inline SVG."""

from collections.abc import Sequence

from markupsafe import Markup

from validation.evidence import CalibrationBin, CurvePoint
from validation.report.formatting import interval, number
from validation.report.svg import Scale, drawing, element, line, polyline, text, tick_label

CURVE_WIDTH, CURVE_HEIGHT = 264.0, 250.0


def frame(x: Scale, y: Scale, x_title: str, y_title: str) -> Markup:
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


def scales(x_high: float = 1.0, y_high: float = 1.0) -> tuple[Scale, Scale]:
    """From 0 to the given ends, in the square of a curve."""
    x = Scale(0.0, x_high, 38.0, CURVE_WIDTH - 8)
    return x, Scale(0.0, y_high, CURVE_HEIGHT - 36, 22.0)


def dot(x: float, y: float, label: str, class_: str = "dot") -> Markup:
    """A mark that says its numbers when pointed at."""
    return element("circle", element("title", label), cx=x, cy=y, r=4.0, class_=class_)


def roc_chart(points: Sequence[CurvePoint], fpr: float | None, tpr: float | None) -> Markup | None:
    """The ROC curve, with a dot at the study's threshold where both rates are known."""
    if not points:
        return None
    x, y = scales()
    parts = [
        frame(x, y, "False alarms (FPR)", "Cases found (TPR)"),
        line(x.at(0), y.at(0), x.at(1), y.at(1), "reference"),
        polyline([(x.at(p.x), y.at(p.y)) for p in points], "curve"),
    ]
    label = "ROC curve: cases found against false alarms, over all thresholds."
    if fpr is not None and tpr is not None:
        said = f"At the threshold: FPR {number(fpr)}, TPR {number(tpr)}"
        parts.append(dot(x.at(fpr), y.at(tpr), said))
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
    x, y = scales(y_high=min(1.0, _round_up(1.15 * max(settled))))
    parts = [frame(x, y, "Cases found (TPR)", "Cases among selected (PPV)")]
    label = "Precision-recall curve: cases among the selected against cases found."
    if baseline is not None:
        parts.append(line(x.at(0), y.at(baseline), x.at(1), y.at(baseline), "reference"))
        label += f" A constant guess reaches {number(baseline)}."
    parts.append(polyline([(x.at(p.x), y.at(p.y)) for p in points], "curve"))
    if tpr is not None and ppv is not None:
        said = f"At the threshold: TPR {number(tpr)}, PPV {number(ppv)}"
        parts.append(dot(x.at(tpr), y.at(ppv), said))
        label += f" {said}."
    return drawing(CURVE_WIDTH, CURVE_HEIGHT, label, *parts)


def calibration_chart(bins: Sequence[CalibrationBin]) -> Markup | None:
    """Observed against predicted risk, with the interval of every bin and the diagonal."""
    shown = [b for b in bins if b.observed.value is not None]
    if not shown:
        return None
    tops = [v for b in shown for v in (b.predicted, b.observed.high or b.observed.value or 0.0)]
    high = min(1.0, _round_up(1.05 * max(tops)))
    x, y = scales(high, high)
    parts = [
        frame(x, y, "Predicted risk", "Observed risk"),
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
    mark = dot(at, y.at(observed.value), f"{found.subjects:,} subjects: {said}")
    if observed.low is None or observed.high is None:
        return mark
    return line(at, y.at(observed.low), at, y.at(observed.high), "whisker") + mark


def _round_up(value: float) -> float:
    """The next tenth (above 0.2) or twentieth: an axis ends on a round number."""
    steps = 10 if value > 0.2 else 20
    return max(1, -int(-value * steps // 1)) / steps

"""The plot of a comparison: each model's metric with its interval, its folds and its seeds."""

from collections.abc import Sequence

from markupsafe import Markup

from validation.comparison import Comparison, ModelResult
from validation.report.charts import dot
from validation.report.formatting import Unit, interval
from validation.report.svg import Scale, drawing, element, line, text, tick_label

WIDTH, ROW = 860.0, 30.0
LABEL, NUMBER = 220.0, 210.0
MARGIN = 0.06


def comparison_chart(comparison: Comparison, names: dict[str, str], unit: Unit) -> Markup:
    """One row per model, best first; a dashed line through the best challenger."""
    models, primary = comparison.models, comparison.primary
    x = _scale(comparison, unit)
    bottom = 8 + ROW * len(models)
    scaled = Scale(x.low * unit.factor, x.high * unit.factor, x.start, x.end)
    parts = [
        line(scaled.at(tick), 6, scaled.at(tick), bottom, "grid")
        + text(scaled.at(tick), bottom + 14, tick_label(tick, 4), "tick", "middle")
        for tick in scaled.ticks(6)
    ]
    if comparison.best_challenger is not None:
        value = comparison.model(comparison.best_challenger).metrics[primary].value
        if value is not None:
            parts.append(line(x.at(value), 6, x.at(value), bottom, "reference"))
    for number, model in enumerate(models):
        parts.append(_row(x, 6 + ROW * number, model, comparison, names[model.name], unit))
    said = "; ".join(
        f"{names[model.name]} {interval(model.metrics[primary], unit)}" for model in models
    )
    label = f"The metric that decides, with its interval, best first: {said}."
    return drawing(WIDTH, bottom + 20, label, *parts)


def _row(
    x: Scale, top: float, model: ModelResult, comparison: Comparison, name: str, unit: Unit
) -> Markup:
    estimate, middle = model.metrics[comparison.primary], top + ROW / 2
    parts = [text(0, middle + 4, name if len(name) <= 32 else f"{name[:31]}…", "label")]
    parts += [_mark(x, value, middle - 8) for value in model.by_fold if value is not None]
    parts += [_mark(x, value, middle + 8, "limit") for value in model.by_seed if value is not None]
    if estimate.value is not None:
        if estimate.low is not None and estimate.high is not None:
            parts.append(line(x.at(estimate.low), middle, x.at(estimate.high), middle, "whisker"))
        said = f"{name}: {interval(estimate, unit)}"
        parts.append(dot(x.at(estimate.value), middle, said))
    plain = Unit(unit.decimals, unit.factor)
    parts.append(text(WIDTH, middle + 4, interval(estimate, plain), "number", "end"))
    return element("g", *parts)


def _mark(x: Scale, value: float, middle: float, class_: str = "zero") -> Markup:
    return line(x.at(value), middle - 3, x.at(value), middle + 3, class_)


def _scale(comparison: Comparison, unit: Unit) -> Scale:
    low, high = _reach(comparison.models, comparison)
    margin = MARGIN * (high - low) or abs(high) or 1.0
    return Scale(low - margin, high + margin, LABEL, WIDTH - NUMBER)


def _reach(models: Sequence[ModelResult], comparison: Comparison) -> tuple[float, float]:
    """From the least to the most of all that is drawn."""
    found = []
    for model in models:
        estimate = model.metrics[comparison.primary]
        found += [estimate.value, estimate.low, estimate.high, *model.by_fold, *model.by_seed]
    known = [value for value in found if value is not None]
    return (min(known), max(known)) if known else (0.0, 1.0)

"""The exclusions flow as a diagram: who came in, who left and why, and how the rest was split."""

from collections.abc import Iterator
from textwrap import wrap

from markupsafe import Markup

from validation.data_evidence import DataEvidence, FlowStep, SplitSize
from validation.report.formatting import count, tally
from validation.report.svg import drawing, element, line, text

WIDTH = 760.0
LEFT_WIDTH, RIGHT_X, RIGHT_WIDTH = 250.0, 330.0, 430.0
LINE_HEIGHT, PADDING, GAP = 15.0, 9.0, 22.0
LEFT_LETTERS, RIGHT_LETTERS = 36, 64


def flow_chart(data: DataEvidence, is_forecast: bool) -> Markup | None:
    """Boxes from top to bottom; None where no step is known. The label says all of it in words."""
    if not data.flow:
        return None
    noun = "rows" if is_forecast else "subjects"
    first = data.flow[0].remaining + data.flow[0].excluded
    parts = [_box(0, 0, LEFT_WIDTH, [f"{count(first)} {noun} in the source"])]
    bottom = _height(1)
    # A step that nobody left by stands in the table and would only lengthen the diagram.
    for step in (step for step in data.flow if step.excluded):
        drawn, bottom = _step(step, bottom, noun)
        parts.append(drawn)
    parts.append(_splits(data.splits, bottom, is_forecast))
    height = bottom + (GAP + _height(2) if data.splits else 0)
    return drawing(WIDTH, height + 2, flow_words(data, is_forecast), *parts)


def flow_words(data: DataEvidence, is_forecast: bool) -> str:
    """The same as a sentence: what a screen reader says, and the text beneath the diagram."""
    return " ".join(_sentences(data, "rows" if is_forecast else "subjects"))


def _sentences(data: DataEvidence, noun: str) -> Iterator[str]:
    if data.flow:
        first = data.flow[0].remaining + data.flow[0].excluded
        yield f"Of {count(first)} {noun} in the source"
        for step in data.flow:
            left = f"{count(step.excluded)} left ({_reason(step)})"
            yield f"{left} and {count(step.remaining)} stayed;"
    if data.splits:
        named = ", ".join(f"{split.split} {_size(split)}" for split in data.splits)
        yield f"split into {named}."


def _reason(step: FlowStep) -> str:
    return step.words or step.step.replace("_", " ")


def _size(split: SplitSize) -> str:
    counts = split.counts
    return tally(counts.rows) if counts.rows is not None else count(counts.subjects)


def _step(step: FlowStep, top: float, noun: str) -> tuple[Markup, float]:
    """The exclusion to the right of the arrow, who stayed beneath it; and where that ends."""
    reason = wrap(f"{count(step.excluded)} left: {_reason(step)}", RIGHT_LETTERS)
    aside = _height(len(reason))
    middle = top + GAP / 2 + aside / 2
    below = top + GAP + aside
    centre = LEFT_WIDTH / 2
    parts = [
        line(centre, top, centre, below, "flow"),
        line(centre, middle, RIGHT_X, middle, "flow"),
        _box(RIGHT_X, top + GAP / 2, RIGHT_WIDTH, reason),
        _box(0, below, LEFT_WIDTH, [f"{count(step.remaining)} {noun} stayed"]),
    ]
    return Markup("").join(parts), below + _height(1)


def _splits(splits: tuple[SplitSize, ...], top: float, is_forecast: bool) -> Markup:
    if not splits:
        return Markup("")
    wide = (WIDTH - 14.0 * (len(splits) - 1)) / len(splits)
    parts = [line(LEFT_WIDTH / 2, top, LEFT_WIDTH / 2, top + GAP / 2, "flow")]
    ends = [index * (wide + 14.0) + wide / 2 for index in range(len(splits))]
    left, right = min(*ends, LEFT_WIDTH / 2), max(*ends, LEFT_WIDTH / 2)
    parts.append(line(left, top + GAP / 2, right, top + GAP / 2, "flow"))
    for index, (split, centre) in enumerate(zip(splits, ends, strict=True)):
        parts.append(line(centre, top + GAP / 2, centre, top + GAP, "flow"))
        words = [f"{split.split}: {_size(split)}", _outcomes(split, is_forecast)]
        parts.append(_box(index * (wide + 14.0), top + GAP, wide, words))
    return Markup("").join(parts)


def _outcomes(split: SplitSize, is_forecast: bool) -> str:
    counts = split.counts
    if is_forecast:
        return f"{tally(counts.blocks)} blocks of time, {tally(counts.unknown)} unknown"
    return f"{count(counts.positives)} cases, {count(counts.censored)} censored"


def _height(lines: int) -> float:
    return lines * LINE_HEIGHT + PADDING


def _box(x: float, y: float, width: float, lines: list[str]) -> Markup:
    box = element(
        "rect", x=x + 0.5, y=y + 0.5, width=width - 1, height=_height(len(lines)) - 1, class_="box"
    )
    words = [
        text(x + 9, y + PADDING / 2 + LINE_HEIGHT * (index + 0.75), said, "label")
        for index, said in enumerate(lines)
    ]
    return Markup("").join([box, *words])

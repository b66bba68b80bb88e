"""SVG elements, scales and axes: the little that the report's charts need.

Drawn by hand rather than by a plotting library: the text is the page's own (selectable, read
aloud, in the page's font), the bytes depend on nothing but the evidence, and a chart is a few
kilobytes without ids, scripts or addresses.
"""

import math
from dataclasses import dataclass

from markupsafe import Markup, escape


@dataclass(frozen=True)
class Scale:
    """Maps ``low``..``high`` of the data to ``start``..``end`` in pixels; outside is clipped."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Round numbers within the scale, about as many as asked for."""
        step = nice_step((self.high - self.low) / about)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def nice_step(rough: float) -> float:
    """The smallest of 1, 2, 2.5, 5 or 10 times a power of ten that is not below ``rough``."""
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * (1 - 1e-9))


def element(tag: str, *children: Markup | str, **attributes: str | float) -> Markup:
    """An element with escaped attributes and children; ``stroke_width`` is ``stroke-width``."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_text(value))}"'
        for name, value in attributes.items()
    )
    inner = Markup("").join(children)
    # Tag and attribute names are this module's own words, values are escaped above.
    return Markup(f"<{tag}{written}>") + inner + Markup(f"</{tag}>")  # noqa: S704


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def text(x: float, y: float, words: str, class_: str = "", anchor: str = "start") -> Markup:
    return element("text", words, x=x, y=y, text_anchor=anchor, class_=class_)


def polyline(points: list[tuple[float, float]], class_: str) -> Markup:
    """A line through pixel positions; those that round to the one before are dropped."""
    kept: list[str] = []
    for x, y in points:
        place = f"{_text(x)},{_text(y)}"
        if not kept or kept[-1] != place:
            kept.append(place)
    return element("polyline", points=" ".join(kept), class_=class_)


def drawing(width: float, height: float, label: str, *children: Markup) -> Markup:
    """A chart that scales with its column; ``label`` says in words what is to be seen."""
    box = f"0 0 {_text(width)} {_text(height)}"
    return element("svg", *children, viewBox=box, role="img", aria_label=label)


def tick_label(value: float, step_decimals: int = 2) -> str:
    """A tick's number without needless zeros."""
    shown = f"{value:.{step_decimals}f}".rstrip("0").rstrip(".")
    return "0" if shown in ("-0", "") else shown.replace("-", "\N{MINUS SIGN}")


def _text(value: str | float) -> str:
    # A tenth of a pixel is finer than a screen, and the same on every machine.
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")

"""Why one subject has its score: what the page shows, put together from plain numbers.

The page holds facts about one person, unlike every other report: it is written for whoever may
read that person's prediction, and kept where predictions are kept. It names channels, times and
contributions, never what was measured.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from markupsafe import Markup

from validation.faithfulness import FaithfulnessVerdict, adds_up, judge_faithfulness
from validation.report.formatting import number
from validation.report.render import render_template
from validation.report.svg import Scale, drawing, element, line, text, tick_label

METHODS: Final[dict[str, tuple[str, str]]] = {
    "integrated_gradients": (
        "Integrated gradients",
        "the gradient along the way from nothing observed to the subject; adds up",
    ),
    "gradient_shap": (
        "Gradient SHAP",
        "the gradient at random places on that way; adds up as they grow many",
    ),
    "kernel_shap": (
        "Kernel SHAP",
        "Shapley values of each channel in each quarter of the history, shared out evenly; adds up",
    ),
    "lime": (
        "LIME",
        "a line fitted to answers with quarters of the history left out; does not add up",
    ),
    "occlusion": ("Occlusion", "the answer without this one observation; does not add up"),
}
UNITS: Final = {
    "risk": "log odds of the outcome",
    "direction": "log odds of a rise",
    "volatility": "log of the volatility",
    "quantiles": "the median, in units of the scale",
}
ROWS_SHOWN: Final = 12
OF_EACH_METHOD: Final = 3
WIDTH, HEIGHT = 760.0, 260.0


@dataclass(frozen=True)
class SubjectPage:
    """One subject's page.

    Attributes:
        explained: what models.explanations.explaining.explained_subject tells; None where the
            explanation is not faithful and nothing may be said.
        facts: what the table of predictions says of the subject, as (name, words).
    """

    study: str
    task: str
    subject: str
    facts: Sequence[tuple[str, str]]
    method: str
    faithfulness: FaithfulnessVerdict
    measured: Mapping[str, Any]
    explained: Mapping[str, Any] | None
    impossible: str | None = None

    @classmethod
    def judged(
        cls,
        measured: Mapping[str, Any],
        explain: Callable[[], Mapping[str, Any] | None],
        **said: Any,
    ) -> Self:
        """The page of a subject whose prediction was explained and measured.

        Judged anew: limits of today hold, whatever was written.

        Args:
            measured: of the explanation of all that was published with the subject, as
                ``faithfulness.json`` keeps it.
            explain: explains the subject, None if it cannot; called only if that explanation is
                faithful.
            said: study, task, subject and facts.
        """
        verdict = judge_faithfulness(measured)
        told = explain() if verdict.is_faithful else None
        impossible = measured.get("impossible")
        if verdict.is_faithful and told is None:
            impossible = "this subject cannot be explained"
        elif told is not None and not _accounts(told, verdict.method, measured):
            told, impossible = None, "this subject's contributions do not add up to its answer"
        return cls(
            **said,
            method=verdict.method,
            faithfulness=verdict,
            measured=measured,
            explained=told,
            impossible=impossible,
        )

    @property
    def method_words(self) -> str:
        """What the table of checks is headed with; an older explanation may name no method."""
        return METHODS[self.method][0] if self.method in METHODS else "No method"


@dataclass(frozen=True)
class Row:
    """One observation or static feature beside all methods; a place is None for no contribution."""

    channel: str
    when: str
    contributions: tuple[str, ...]


def render_subject_page(page: SubjectPage) -> str:
    """The page of ``equipoise why``: one subject's reasons, beside how faithful they are."""
    told = page.explained or {}
    return render_template(
        "why.html.j2",
        page=page,
        unit=UNITS[page.task],
        methods=METHODS,
        rows=rows_of(page),
        chart=chart_of(page),
        attention=[
            (when_words(one["days_before"]), number(one["weight"]))
            for one in told.get("attention") or ()
        ],
    )


def rows_of(page: SubjectPage) -> list[Row]:
    """The first three of every method, in the order of the method that gives the reasons."""
    if page.explained is None:
        return []
    by_method = {name: _sized(one) for name, one in page.explained["methods"].items()}
    chosen = {who for sizes in by_method.values() for who in list(sizes)[:OF_EACH_METHOD]}
    order = sorted(chosen, key=lambda who: -abs(by_method[page.method].get(who, 0.0)))
    return [
        Row(
            channel,
            when_words(days),
            tuple(number(by_method[name].get((channel, days), 0.0)) for name in by_method),
        )
        for channel, days in order[:ROWS_SHOWN]
    ]


def when_words(days: float | None) -> str:
    """When, before the index time; a static feature has no time."""
    if days is None:
        return "at any time"
    if days == 0:
        return "at the index time"
    return f"{days:,.0f} days before" if days >= 2 else f"{days:,.1f} days before"


def chart_of(page: SubjectPage) -> Markup | None:
    """Contributions over time: at each time step what raised the answer, and what lowered it."""
    if page.explained is None:
        return None
    raised: dict[float, float] = defaultdict(float)
    lowered: dict[float, float] = defaultdict(float)
    for one in page.explained["methods"][page.method]["contributions"]:
        if one["days_before"] is not None:
            part = raised if one["contribution"] > 0 else lowered
            part[one["days_before"]] += one["contribution"]
    if not raised and not lowered:
        return None
    return _drawn(raised, lowered)


def _accounts(told: Mapping[str, Any], method: str, measured: Mapping[str, Any]) -> bool:
    """Whether the subject's own contributions add up, if the method promises it."""
    found = told["methods"][method]
    total = sum(one["contribution"] for one in found["contributions"])
    missing = told["answer"] - told["reference"] - total
    return not found["adds_up"] or adds_up(missing, measured.get("answer_range"))


def _drawn(raised: Mapping[float, float], lowered: Mapping[float, float]) -> Markup:
    days = sorted({*raised, *lowered})
    high = max([*raised.values(), 0.0])
    low = min([*lowered.values(), 0.0])
    margin = 0.08 * ((high - low) or 1.0)
    x = Scale(-max(days[-1], 1.0), 0.0, 56.0, WIDTH - 14)
    y = Scale(low - margin, high + margin, HEIGHT - 42, 18.0)
    parts = [
        line(x.start, y.at(tick), x.end, y.at(tick), "grid")
        + text(x.start - 6, y.at(tick) + 3.5, tick_label(tick, 3), "tick", "end")
        for tick in y.ticks(5)
    ]
    parts += [text(x.at(t), y.start + 15, tick_label(-t), "tick", "middle") for t in x.ticks(6)]
    parts.append(line(x.start, y.at(0), x.end, y.at(0), "zero"))
    parts.append(text((x.start + x.end) / 2, y.start + 34, "Days before", "axis", "middle"))
    for sizes, class_, words in ((raised, "whisker", "raised"), (lowered, "limit", "lowered")):
        for when, size in sorted(sizes.items()):
            said = f"{when_words(when)}: {words} by {number(abs(size))}"
            mark = line(x.at(-when), y.at(0), x.at(-when), y.at(size), class_)
            parts.append(element("g", element("title", said), mark))
    label = (
        f"Contributions at {len(days)} time steps: above the line what raised the answer, "
        f"{number(sum(raised.values()))} in all, below it what lowered it, "
        f"{number(sum(lowered.values()))} in all."
    )
    return drawing(WIDTH, HEIGHT, label, *parts)


def _sized(method: Mapping[str, Any]) -> dict[tuple[str, float | None], float]:
    return {
        (one["channel"], one["days_before"]): one["contribution"] for one in method["contributions"]
    }

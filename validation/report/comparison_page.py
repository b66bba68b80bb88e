"""The page of a comparison of models: one table, one plot, in words what is more than noise."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from validation.choosing import Choice
from validation.comparison import SHOWN, Comparison, ModelCost, Verdict, verdict_of
from validation.comparison_record import ComparisonRecord
from validation.estimates import Estimate
from validation.report.comparison_chart import comparison_chart
from validation.report.formatting import NOTHING, interval
from validation.report.names import metric_short, model_name
from validation.report.render import render_template
from validation.report.units import Units, units_of
from validation.tasks import LOWER_IS_BETTER

MEBIBYTE = 1024**2
WORDS: dict[Verdict, str] = {
    "better": "more than noise, for the better",
    "worse": "more than noise, for the worse",
    "not more than noise": "not more than noise",
    "cannot tell": "cannot be told",
}


def render_comparison(record: ComparisonRecord) -> str:
    """One self-contained page; the same bytes for the same record."""
    comparison = record.comparison
    written = comparison_units(comparison)
    names = {model.name: shown_name(model.name) for model in comparison.models}
    return render_template(
        "comparison.html.j2",
        record=record,
        comparison=comparison,
        metrics=SHOWN[comparison.task],
        less_is_better=[name for name in SHOWN[comparison.task] if name in LOWER_IS_BETTER],
        names=names,
        units=written,
        chart=comparison_chart(comparison, names, written.value(comparison.primary)),
        sentences=sentences(record),
        costs={name: cost_words(model.cost) for name, model in record.models.items()},
        differences={
            model.name: (
                _difference(model.to_best_challenger, comparison),
                _difference(model.to_best_network, comparison),
            )
            for model in comparison.models
        },
    )


def shown_name(name: str) -> str:
    """A model as it stands in a table: a simple one in its own words, a network as it was named."""
    return "the constant" if name == "prevalence" else model_name(name).replace("the ", "")


def sentences(record: ComparisonRecord) -> list[str]:
    """What the table says, in order of weight."""
    choice, comparison = record.choice, record.comparison
    if choice is None:
        return ["No network could be measured, so nothing is said of any."]
    found = [_against_challengers(choice, comparison), _among_networks(choice)]
    if record.is_choice_marked:
        found.append(_taken(choice))
    if record.not_tried:
        found.append(f"Left out of this table: {', '.join(record.not_tried)}.")
    if record.is_mitigation_left_out:
        found.append(
            "The study's mitigation is left out of this comparison: these networks were trained "
            "without it, and what it costs or gains is not in the table."
        )
    return found


def cost_words(cost: ModelCost) -> dict[str, str]:
    """A model's cost in the words of the table."""
    memory = cost.peak_memory_bytes
    return {
        "parameters": NOTHING if cost.parameters is None else f"{cost.parameters:,}",
        "epochs": f"{cost.epochs:,}" if cost.epochs else NOTHING,
        "seconds": _seconds(cost.seconds),
        "processor_seconds": _seconds(cost.processor_seconds),
        "scoring": _milliseconds(cost.scoring_seconds_per_1000_rows),
        "memory": NOTHING if memory is None else f"{memory / MEBIBYTE:,.0f}",
    }


def _against_challengers(choice: Choice, comparison: Comparison) -> str:
    best = shown_name(choice.best_network)
    if choice.best_challenger is None or choice.network_minus_challenger is None:
        return f"The best network is {best}; no simple model was measured beside it."
    by = _by(choice.network_minus_challenger, comparison)
    return (
        f"The best network, {best}, minus the best simple model, "
        f"{shown_name(choice.best_challenger)}: {by}, {WORDS[choice.network_is]}."
    )


def _among_networks(choice: Choice) -> str:
    others = [shown_name(name) for name in choice.alike if name != choice.best_network]
    best = shown_name(choice.best_network)
    if not others:
        return f"Every other network is worse than {best} by more than noise."
    return f"By no more than noise behind {best}: {', '.join(others)}."


def _taken(choice: Choice) -> str:
    taken = shown_name(choice.taken)
    if not choice.is_noise:
        return f"auto takes {taken}: no smaller network is as good but for noise."
    return f"auto takes {taken}: of the networks that are alike but for noise it is the smallest."


def _by(estimate: Estimate, comparison: Comparison) -> str:
    unit = comparison_units(comparison).value(comparison.primary)
    return f"{metric_short(comparison.primary)} {interval(estimate, unit)}"


def _difference(found: dict[Any, Estimate], comparison: Comparison) -> tuple[Estimate, str] | None:
    """The difference in the primary metric, and its verdict in words; None of a model to itself."""
    estimate = found.get(comparison.primary)
    if estimate is None:
        return None
    return estimate, WORDS[verdict_of(estimate, comparison.primary)]


def comparison_units(comparison: Comparison) -> Units:
    """How many decimals the numbers of each metric need; of a risk three."""
    found = dict(units_of(_estimates(comparison), " %"))
    if comparison.task == "risk":
        found = {}
    return Units(found, {})


def _estimates(comparison: Comparison) -> Iterator[tuple[str, Estimate]]:
    for model in comparison.models:
        yield from chain(
            model.metrics.items(),
            model.to_best_challenger.items(),
            model.to_best_network.items(),
        )


def _seconds(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.1f}"


def _milliseconds(value: float | None) -> str:
    return NOTHING if value is None else f"{1000 * value:,.1f}"

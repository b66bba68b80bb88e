"""The numbers that the first page of forecasts can say in its sentences."""

from collections.abc import Iterator
from typing import Final

from validation.estimates import Estimate
from validation.evidence import Evidence
from validation.report.figures import Figure, values_of
from validation.report.formatting import Unit, count, interval, number, percent
from validation.report.overfitting_words import likelihood
from validation.report.units import Units
from validation.tasks import PRIMARY_SKILL, MetricName, Task, losses_of

SHARE: Final = Unit(1, 100.0, " %")
BASIS_POINTS: Final = Unit(1, 10_000.0)
TOLD: Final[dict[Task, tuple[MetricName, ...]]] = {
    "volatility": ("skill_qlike", "relative_error"),
    "quantiles": ("skill_mae", "coverage_90"),
    "direction": ("hit_rate",),
}


def forecast_figures(evidence: Evidence, written: Units) -> Iterator[Figure]:
    """Of the released model, of all windows, and of the trials."""
    for index, population in enumerate(evidence.populations):
        yield from _metrics(evidence, index, written)
        cost = population.break_even_cost
        if cost is not None and cost.value is not None:
            where = f"populations[{index}].break_even_cost"
            yield Figure("break-even cost", where, values_of(cost), interval(cost, BASIS_POINTS))
        yield from _simple_models(evidence, index, written)
        yield from _rises(evidence, index)
    yield from _trials(evidence)


def _metrics(evidence: Evidence, index: int, written: Units) -> Iterator[Figure]:
    population, task = evidence.populations[index], evidence.policy.task
    for metric in (PRIMARY_SKILL[task], *TOLD[task]):
        found = population.overall.metrics.get(metric)
        if found is None or found.value is None:
            continue
        path = f"populations[{index}].overall.metrics.{metric}"
        said = interval(found, written.value(metric))
        yield Figure(f"{metric}, {population.population}", path, values_of(found), said)
        if metric == "relative_error":
            yield from _level(found, path)


def _level(found: Estimate, path: str) -> Iterator[Figure]:
    """Volatilities too low or too high by so much: 1 less the ratio, or the ratio less 1."""
    if found.value is None or found.low is None or found.high is None:
        return
    if found.high < 1.0:
        off = Estimate(value=1.0 - found.value, low=1.0 - found.high, high=1.0 - found.low)
        yield Figure("understated by", f"1 - {path}", values_of(off), interval(off, SHARE))
    if found.low > 1.0:
        off = Estimate(value=found.value - 1.0, low=found.low - 1.0, high=found.high - 1.0)
        yield Figure("overstated by", f"{path} - 1", values_of(off), interval(off, SHARE))


def _simple_models(evidence: Evidence, index: int, written: Units) -> Iterator[Figure]:
    population = evidence.populations[index]
    models = len(population.challengers)
    where = f"count of populations[{index}].challengers"
    yield Figure("simple models", where, (models,), f"{models} simple model")
    for loss in losses_of(evidence.policy.task):
        known = [
            (found.value, place, challenger)
            for place, challenger in enumerate(population.challengers)
            if (found := challenger.metrics.get(loss)) and found.value is not None
        ]
        if not known:
            continue
        value, place, best = min(known, key=lambda one: (one[0], one[1]))
        unit = written.value(loss)
        path = f"populations[{index}].challengers[{place}]"
        said = number(value, unit)
        yield Figure(f"{loss} of {best.name}", f"{path}.metrics.{loss}.value", (value,), said)
        difference = best.difference.get(loss)
        if difference is None or difference.value is None:
            continue
        if difference.high is not None and difference.high < 0.0 and difference.low is not None:
            # Written as that by which the network leads.
            difference = Estimate(
                value=-difference.value, low=-difference.high, high=-difference.low
            )
        said = interval(difference, unit)
        what = f"{loss}, network against {best.name}"
        yield Figure(what, f"{path}.difference.{loss}", values_of(difference), said)


def _rises(evidence: Evidence, index: int) -> Iterator[Figure]:
    counts = evidence.populations[index].overall.counts
    if evidence.policy.task != "direction" or counts.positives is None or not counts.rows:
        return
    where = f"populations[{index}].overall.counts"
    share = counts.positives / counts.rows
    many = f"{count(counts.positives)} of {count(counts.rows)}"
    said = f"{percent(counts.positives, counts.rows)} ({many})"
    yield Figure("rises", where, (share, counts.positives, counts.rows), said)


def _trials(evidence: Evidence) -> Iterator[Figure]:
    found = evidence.overfitting
    if found is None or not found.chain_is_whole:
        return
    trials = found.trials or 0
    yield Figure("trials", "overfitting.trials", (trials,), count(trials))
    if found.deflated_sharpe is not None:
        path, luck = "overfitting.deflated_sharpe", found.deflated_sharpe
        yield Figure("more than luck", path, (luck,), likelihood(luck))
    if found.pbo is not None:
        yield Figure("PBO", "overfitting.pbo", (found.pbo,), likelihood(found.pbo))

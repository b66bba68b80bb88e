"""How the network compares with simple models in every loss, in words."""

from collections.abc import Iterator

from validation.estimates import Estimate
from validation.evidence import Challenger, PopulationEvidence
from validation.report.formatting import Unit, interval, number
from validation.report.names import metric_short, model_name
from validation.report.skill_words import side_of_zero
from validation.report.units import Units
from validation.tasks import MetricName


def best_words(found: PopulationEvidence, loss: MetricName, written: Units) -> str:
    """The simple model with the smallest loss of this kind, and who of the two is better."""
    best = _best(found, loss)
    if best is None:
        return "Which simple model is the best cannot be told, so nothing is compared with it."
    unit = written.value(loss)
    return (
        f"Of {_models(len(found.challengers))}, {model_name(best.name)} has the smallest "
        f"{metric_short(loss)}, {number(best.metrics[loss].value, unit)}. "
        f"{_against(best, loss, unit)}"
    )


def _best(found: PopulationEvidence, loss: MetricName) -> Challenger | None:
    known = list(_known(found, loss))
    return min(known, key=lambda one: one[0])[1] if known else None


def _known(found: PopulationEvidence, loss: MetricName) -> Iterator[tuple[float, Challenger]]:
    for challenger in found.challengers:
        value = challenger.metrics.get(loss, Estimate()).value
        if value is not None:
            yield value, challenger


def _models(found: int) -> str:
    return "1 simple model" if found == 1 else f"{found} simple models"


def _against(best: Challenger, loss: MetricName, unit: Unit) -> str:
    difference = best.difference.get(loss)
    if difference is None or difference.value is None:
        return "How the network compares with it cannot be told."
    side = side_of_zero(difference)
    if side is None or side == 0:
        said = f"network minus it is {interval(difference, unit)}"
        return f"The network is neither shown to be better nor worse: {said}."
    name, by = metric_short(loss), interval(_as_a_lead(difference), unit)
    if side < 0:
        return f"The network is better in {name} by {by}."
    model = model_name(best.name)
    return f"{model[:1].upper()}{model[1:]} is better in {name} by {by}."


def _as_a_lead(difference: Estimate) -> Estimate:
    """The difference of two losses as that by which the better one leads."""
    if difference.value is None or difference.value >= 0.0:
        return difference
    low = None if difference.high is None else -difference.high
    high = None if difference.low is None else -difference.low
    return Estimate(value=-difference.value, low=low, high=high)

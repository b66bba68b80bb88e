"""What a report of forecasts says first, in sentences that need no statistician."""

from collections.abc import Iterator
from dataclasses import dataclass

from validation.config import PRIMARY_LOSS, PRIMARY_SKILL, MetricName
from validation.evidence import Challenger, Estimate, Evidence, PopulationEvidence
from validation.report.formatting import Unit, count, interval, number, percent
from validation.report.harm_words import alarms_in_short
from validation.report.names import metric_short, model_name, population_name
from validation.report.overfitting_words import trials_in_short
from validation.report.skill_words import side_of_zero, skill_sentence
from validation.report.units import Units, units
from validation.report.views import largest_population

POINT_IN_TIME = {
    True: "yes. The universe holds each name for as long as it was traded, those delisted since "
    "too.",
    False: "no. The universe holds only names that are still there; those that failed, merged or "
    "were delisted are missing, so every figure may look better than it was.",
    None: "nobody said. Whether names that were delisted are missing is not known.",
}


@dataclass(frozen=True)
class Headline:
    title: str
    words: str


def headlines(evidence: Evidence) -> list[Headline]:
    """The first page of a report of forecasts, most weighty first; of risk, nothing."""
    if not evidence.policy.is_forecast:
        return []
    found = largest_population(evidence)
    measured = _measured(evidence, found, units(evidence)) if found else ()
    point_in_time = POINT_IN_TIME[evidence.is_point_in_time]
    return [
        *measured,
        Headline("is_point_in_time", point_in_time),
        Headline("Harms", alarms_in_short(evidence)),
        Headline("Trials", trials_in_short(evidence.overfitting)),
    ]


def _measured(evidence: Evidence, found: PopulationEvidence, written: Units) -> Iterator[Headline]:
    policy, overall = evidence.policy, found.overall
    skill = PRIMARY_SKILL[policy.task]
    where = f" ({population_name(found.population)})"
    yield Headline(
        "Skill" + where, skill_sentence(evidence, skill, overall.metrics.get(skill), written)
    )
    if policy.task == "quantiles":
        median = skill_sentence(evidence, "skill_mae", overall.metrics.get("skill_mae"), written)
        yield Headline("The middle", median)
        yield Headline("The range", _range_words(overall.metrics.get("coverage_90"), written))
    if policy.task == "volatility":
        qlike = skill_sentence(evidence, "skill_qlike", overall.metrics.get("skill_qlike"), written)
        yield Headline("Skill in QLIKE", qlike)
    if policy.task == "direction":
        yield Headline("Direction", _hit_words(found, written))
    yield Headline("Against simple models", _best_words(found, PRIMARY_LOSS[policy.task], written))


# ---- what else stands on the first page --------------------------------------------------------


def _range_words(coverage: Estimate | None, written: Units) -> str:
    if coverage is None or coverage.value is None:
        return "How many outcomes lay between the outer quantiles cannot be told."
    found = interval(coverage, written.value("coverage_90"))
    words = f"Between the outer quantiles lay {found} of the outcomes; 90 % is claimed"
    if coverage.low is None or coverage.high is None:
        return f"{words}."
    if coverage.high < 0.9:
        return f"{words}, so the range is too narrow."
    if coverage.low > 0.9:
        return f"{words}, so the range is too wide."
    return f"{words}, and the interval holds it."


def _hit_words(found: PopulationEvidence, written: Units) -> str:
    hit, counts = found.overall.metrics.get("hit_rate"), found.overall.counts
    if hit is None or hit.value is None:
        return "How often the direction was called right cannot be told."
    words = f"The direction was called right in {interval(hit, written.value('hit_rate'))} of rows"
    if counts.positives is None or not counts.rows:
        return f"{words}."
    return (
        f"{words}; always saying “up” would have been right in "
        f"{percent(counts.positives, counts.rows)} ({count(counts.positives)} of "
        f"{count(counts.rows)})."
    )


def _best_words(found: PopulationEvidence, loss: MetricName, written: Units) -> str:
    best = next((challenger for challenger in found.challengers if challenger.best), None)
    if best is None or best.metrics.get(loss, Estimate()).value is None:
        return "Which simple model is the best cannot be told, so nothing is compared with it."
    unit = written.value(loss)
    return (
        f"Of {_models(len(found.challengers))}, {model_name(best.name)} has the smallest "
        f"{metric_short(loss)}, {number(best.metrics[loss].value, unit)}. "
        f"{_against(best, loss, unit)}"
    )


def _models(found: int) -> str:
    return "1 simple model" if found == 1 else f"{found} simple models"


def _against(best: Challenger, loss: MetricName, unit: Unit) -> str:
    difference = best.difference.get(loss)
    if difference is None or difference.value is None:
        return "How the network compares with it cannot be told."
    said = f"network minus it is {interval(difference, unit)}"
    side = side_of_zero(difference)
    if side is None or side == 0:
        return f"The network is neither shown to be better nor worse: {said}."
    return f"The network is {'better' if side < 0 else 'worse'}: {said}."

"""What a report says first, in sentences that need no statistician."""

from collections.abc import Iterator
from dataclasses import dataclass

from validation.estimates import Estimate
from validation.evidence import Evidence, PopulationEvidence
from validation.report.challenger_words import best_words
from validation.report.formatting import Unit, count, interval, percent
from validation.report.harm_words import alarms_in_short
from validation.report.names import metric_short, population_name
from validation.report.overfitting_words import trials_in_short
from validation.report.risk_headlines import risk_headlines
from validation.report.skill_words import reference_of, side_of_zero, skill_sentence
from validation.report.units import Units, units
from validation.report.views import largest_population
from validation.tasks import PRIMARY_SKILL, MetricName, losses_of

POINT_IN_TIME = {
    True: "yes. The universe holds each name for as long as it was traded, those delisted since "
    "too.",
    False: "no. The universe holds only names that are still there; those that failed, merged or "
    "were delisted are missing, so every figure may look better than it was.",
    None: "nobody said. Whether names that were delisted are missing is not known.",
}

_SHARE = Unit(1, 100.0, " %")
_BASIS_POINTS = Unit(1, 10_000.0)


@dataclass(frozen=True)
class Headline:
    title: str
    words: str


def headlines(evidence: Evidence) -> list[Headline]:
    """What the first page says in short, most weighty first."""
    if not evidence.policy.is_forecast:
        return [Headline(*said) for said in risk_headlines(evidence)]
    found = largest_population(evidence)
    measured = _measured(evidence, found, units(evidence)) if found else ()
    of_released = _released_words(evidence, units(evidence))
    point_in_time = POINT_IN_TIME[evidence.is_point_in_time]
    return [
        *([Headline("The released model itself", of_released)] if of_released else []),
        *measured,
        Headline("is_point_in_time", point_in_time),
        Headline("Harms", alarms_in_short(evidence)),
        Headline("Trials", trials_in_short(evidence.overfitting)),
    ]


def _released_words(evidence: Evidence, written: Units) -> str | None:
    """Said before all else: what decides the gate are mostly other models than the released one."""
    holdout, walked = evidence.population("holdout"), evidence.population("walk_forward")
    if holdout is None or walked is None:
        return None
    metric = PRIMARY_SKILL[evidence.policy.task]
    skill = holdout.overall.metrics.get(metric)
    side = None if skill is None else side_of_zero(skill)
    # Where nothing has skill, the next sentence says so of all.
    has_skill = side_of_zero(walked.overall.metrics.get(metric, Estimate())) == 1
    if side == 1 or (side != -1 and not has_skill):
        return None
    shown = "" if skill is None or skill.value is None else f" ({_skill(skill, metric, written)})"
    over = reference_of(evidence, metric)
    if side == -1:
        return f"in its own test years it is shown to be worse than {over}{shown}."
    return (
        f"its own test years are too few to tell whether it beats {over}{shown}. The rest is of "
        "models made alike, each tested on the years after it."
    )


def _skill(skill: Estimate, metric: MetricName, written: Units) -> str:
    return f"skill {interval(skill, written.value(metric))}"


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
        yield Headline("Level", _level_words(overall.metrics.get("relative_error")))
    if policy.task == "direction":
        yield Headline("Direction", _hit_words(found, written))
        if found.break_even_cost is not None:
            yield Headline("Cost", _cost_words(found.break_even_cost))
    for loss in losses_of(policy.task):
        title = f"Simple models, {metric_short(loss)}"
        yield Headline(title, best_words(found, loss, written))


def _cost_words(cost: Estimate) -> str:
    if cost.value is None:
        return f"What a trade may cost cannot be told: {cost.reason}."
    words = (
        "A signal traded on it (long above 50 %, short below) would break even at "
        f"{interval(cost, _BASIS_POINTS)} basis points per trade"
    )
    if cost.low is not None and cost.low > 0.0:
        return f"{words}."
    return f"{words}; that it would earn anything even without costs is not shown."


def _level_words(ratio: Estimate | None) -> str:
    if ratio is None or ratio.value is None or ratio.low is None or ratio.high is None:
        return "Whether forecast volatilities add up to those that came cannot be told."
    if ratio.high < 1.0:
        off = Estimate(value=1.0 - ratio.value, low=1.0 - ratio.high, high=1.0 - ratio.low)
        return f"Volatilities are understated by {interval(off, _SHARE)}."
    if ratio.low > 1.0:
        off = Estimate(value=ratio.value - 1.0, low=ratio.low - 1.0, high=ratio.high - 1.0)
        return f"Volatilities are overstated by {interval(off, _SHARE)}."
    return f"Forecast volatilities over those that came are {interval(ratio)}; 1 is right."


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

"""Whether forecasts beat their reference, in words."""

from typing import Final

from validation.estimates import Estimate
from validation.evidence import Evidence
from validation.report.formatting import interval, number
from validation.report.names import model_name
from validation.report.units import Units

# skill -> the loss of which a share is saved
LOSSES: Final = {
    "skill": "quantile loss",
    "skill_mae": "absolute error",
    "skill_qlike": "volatility loss (QLIKE)",
    "skill_brier": "squared error",
}


def skill_sentence(evidence: Evidence, metric: str, skill: Estimate | None, written: Units) -> str:
    """Whether the forecasts beat the reference, by how much, or that it cannot be told."""
    subject, reference = _subject(evidence, metric), reference_of(evidence, metric)
    if skill is None or skill.value is None:
        reason = (skill.reason if skill else None) or "it was not measured"
        return f"Whether {subject} {_beat(subject)} {reference} cannot be told: {reason}."
    side = side_of_zero(skill)
    if side is None:
        return (
            f"Whether {subject} {_beat(subject)} {reference} cannot be told: the skill of "
            f"{number(skill.value, written.value(metric))} has no interval."
        )
    claim = skill_claim(evidence, metric, side)
    found = interval(skill, written.value(metric))
    if side > 0:
        return f"{claim} by {found} in {LOSSES[metric]}."
    zero = ", an interval that holds 0" if side == 0 else ", all of it below 0"
    over = f"skill over {reference}" if evidence.policy.task == "direction" else "skill"
    return f"{claim}: {over} {found} in {LOSSES[metric]}{zero}."


def skill_claim(evidence: Evidence, metric: str, side: int) -> str:
    """What an interval above 0 (1), below it (-1) or around it (0) says, without its numbers."""
    subject, reference = _subject(evidence, metric), reference_of(evidence, metric)
    start = subject[:1].upper() + subject[1:]
    if side > 0:
        return f"{start} {_beat(subject)} {reference}"
    if evidence.policy.task == "direction":
        return "Nobody could tell from these forecasts whether the next session closes higher"
    verb = "is" if _beat(subject) == "beats" else "are"
    return f"{start} {verb} {'worse' if side < 0 else 'no better'} than {reference}"


def side_of_zero(found: Estimate) -> int | None:
    """1 above, -1 below, 0 where the interval holds 0; None without an interval."""
    if found.low is None or found.high is None:
        return None
    return 1 if found.low > 0 else -1 if found.high < 0 else 0


def reference_of(evidence: Evidence, metric: str) -> str:
    """The reference of a skill as it stands in a sentence."""
    name = evidence.policy.reference or ""
    if evidence.policy.task == "quantiles" and metric == "skill_mae":
        return "the last price" if name == "random_walk" else f"the median of {model_name(name)}"
    if evidence.policy.task == "direction" and name == "prevalence":
        return "always saying how often prices rise"
    return model_name(name)


def _subject(evidence: Evidence, metric: str) -> str:
    if evidence.policy.task != "quantiles":
        return "the forecasts"
    return "the median" if metric == "skill_mae" else "the quantiles"


def _beat(subject: str) -> str:
    return "beats" if subject == "the median" else "beat"

"""The gate: evidence and policy in, a verdict out. Whatever is missing or odd closes it.

A line passes when its whole interval lies on the allowed side, fails when all of it lies outside,
and is otherwise "cannot tell". The gate opens only if every line passes. There is no way around:
no flag, no default limit, and an exception is a closed gate.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from validation.config import AuditConfig, GatingLine
from validation.estimates import Estimate, VerdictName
from validation.evidence import Challenger, Evidence, GateVerdict, LineVerdict, PopulationEvidence
from validation.forecast_duties import broken_forecast
from validation.interval_words import interval_words
from validation.tasks import (
    BEST_CHALLENGER,
    DETECTABLE_IN_STANDARD_ERRORS,
    LOWER_IS_BETTER,
    PRIMARY_LOSS,
    MetricName,
    Task,
    metric_names,
)


def judge(evidence: Evidence | None, policy: AuditConfig | None) -> GateVerdict:
    """Judge an audit of a model. Never raises; evidence of None is an audit that crashed."""
    try:
        return _judge(evidence, policy)
    except Exception as error:  # whatever it is, it must not open the gate
        return closed(f"the gate could not judge the evidence ({type(error).__name__})")


def closed(reason: str) -> GateVerdict:
    """The verdict on something that could not be judged at all."""
    return GateVerdict(verdict="cannot_tell", reasons=(reason,))


def _judge(evidence: Evidence | None, policy: AuditConfig | None) -> GateVerdict:
    if evidence is None:
        return closed("there is no evidence: the audit did not finish")
    if policy is None or not policy.gating:
        return closed("the study has no gating line")
    if evidence.policy != policy:
        return closed("the evidence was measured under another policy than the study's")
    lines = tuple(_judge_line(line, evidence) for line in policy.gating)
    reasons = list(_broken(evidence, policy))
    reasons += [f"{line.line}: {line.words}" for line in lines if line.verdict != "pass"]
    return GateVerdict(verdict=_overall(lines, reasons), lines=lines, reasons=tuple(reasons))


def _overall(lines: Sequence[LineVerdict], reasons: Sequence[str]) -> VerdictName:
    verdicts = {line.verdict for line in lines}
    if "fail" in verdicts:
        return "fail"
    return "pass" if verdicts == {"pass"} and not reasons else "cannot_tell"


def _broken(evidence: Evidence, policy: AuditConfig) -> Iterable[str]:
    """What no line asks for and every audit owes."""
    if not any(line.against == BEST_CHALLENGER for line in policy.gating):
        yield "no line compares the network with the best challenger"
    if evidence.prediction_source is None:
        yield "the evidence does not name the predictions it was measured on"
    kinds = {check.kind for check in evidence.data.checks}
    for kind in sorted({"contract", "leakage", "audit"} - kinds):
        yield f"the evidence holds no {kind} check"
    if not evidence.data.files:
        yield "the evidence does not say what became of the source's rows"
    for file in evidence.data.files:
        if not file.adds_up:
            yield f"{file.file}: rows in are not accepted + quarantined + duplicates + empty"
    for check in evidence.data.checks:
        if not check.passed:
            yield f"check {check.name} on {check.table} did not pass"
    if policy.is_forecast:
        yield from broken_forecast(evidence, policy)


# ---- one line --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Candidate:
    """A number that a line is about; for a gap there is one per level."""

    level: str | None
    estimate: Estimate
    fails_below: float | None = None
    fails_above: float | None = None


class _CannotTell(Exception):
    """A line has nothing to judge; the message says what is missing."""


def _judge_line(line: GatingLine, evidence: Evidence) -> LineVerdict:
    try:
        task = evidence.policy.task
        _check_policy(line, task)
        judged = [_judge_candidate(line, each, task) for each in _candidates(line, evidence)]
    except _CannotTell as missing:
        return _verdict(line, None, "cannot_tell", str(missing))
    # The worst level decides: a failure, then what cannot be told.
    order: tuple[VerdictName, ...] = ("fail", "cannot_tell", "pass")
    return min(judged, key=lambda one: (order.index(one.verdict), -_excess(one)))


def _check_policy(line: GatingLine, task: Task) -> None:
    limits = [limit for limit in (line.lower, line.upper) if limit is not None]
    if not limits or not all(math.isfinite(limit) for limit in limits):
        raise _CannotTell("the line has no limit")
    if line.metric not in metric_names(task):
        raise _CannotTell(f"{line.metric} is no metric")


def _candidates(line: GatingLine, evidence: Evidence) -> list[_Candidate]:
    found = [each for each in evidence.populations if each.population == line.on]
    if len(found) != 1:
        raise _CannotTell(f"the evidence holds {len(found)} populations {line.on}")
    if line.kind == "challenger":
        return [_against_challenger(line, found[0], evidence.policy.task)]
    if line.kind == "gap":
        return _gaps(line, found[0])
    if line.metric not in found[0].overall.metrics:
        raise _CannotTell(f"{line.metric} was not measured")
    return [_Candidate(None, found[0].overall.metrics[line.metric])]


def _gaps(line: GatingLine, population: PopulationEvidence) -> list[_Candidate]:
    levels = [group.level for group in population.groups if group.attribute == line.group]
    if len(levels) < 2:
        raise _CannotTell(f"no two groups by {line.group} were measured")
    candidates = []
    for level in levels:
        gaps = [
            gap
            for gap in population.gaps
            if (gap.attribute, gap.level, gap.metric) == (line.group, level, line.metric)
        ]
        if len(gaps) != 1:
            raise _CannotTell(f"{line.metric} of {level} against the rest was not measured once")
        candidates.append(_Candidate(level, gaps[0].estimate))
    return candidates


def _against_challenger(line: GatingLine, population: PopulationEvidence, task: Task) -> _Candidate:
    _check_flags(population, task)
    if line.against == BEST_CHALLENGER:
        # The best in the line's own metric: a sceptic would ask for no other.
        chosen = _best(population, line.metric)
    else:
        named = [each for each in population.challengers if each.name == line.against]
        if len(named) != 1:
            raise _CannotTell(f"challenger {line.against} was not measured once")
        chosen = named[0]
    if line.metric not in chosen.difference:
        raise _CannotTell(f"the difference to {chosen.name} was not measured")
    difference = chosen.difference[line.metric]
    # Worse than a simple model beyond its interval is a failure, whatever loss is tolerated.
    if line.metric in LOWER_IS_BETTER:
        return _Candidate(chosen.name, difference, fails_above=0.0)
    return _Candidate(chosen.name, difference, fails_below=0.0)


def _check_flags(population: PopulationEvidence, task: Task) -> None:
    """Two of one name, or a flag on another one, are evidence that somebody wrote by hand."""
    best = _best(population, PRIMARY_LOSS.get(task, "auroc"))
    names = {challenger.name for challenger in population.challengers}
    flagged = [challenger.name for challenger in population.challengers if challenger.best]
    if len(names) != len(population.challengers) or flagged != [best.name]:
        raise _CannotTell("the evidence names another challenger the best than its numbers do")


def _best(population: PopulationEvidence, metric: MetricName) -> Challenger:
    values = []
    for challenger in population.challengers:
        value = challenger.metrics.get(metric, Estimate()).value
        if value is None or not math.isfinite(value):
            raise _CannotTell(f"{metric} of challenger {challenger.name} was not measured")
        values.append(-value if metric in LOWER_IS_BETTER else value)
    if not values:
        raise _CannotTell("no challenger was measured")
    return population.challengers[values.index(max(values))]


def _judge_candidate(line: GatingLine, candidate: _Candidate, task: Task) -> LineVerdict:
    interval = (candidate.estimate.value, candidate.estimate.low, candidate.estimate.high)
    name = "" if candidate.level is None else f"{candidate.level}: "
    numbers = [number for number in interval if number is not None and math.isfinite(number)]
    if len(numbers) < 3:
        reason = candidate.estimate.reason or "not measured"
        candidate = replace(candidate, estimate=Estimate(reason=reason))
        return _verdict(line, candidate, "cannot_tell", f"{name}cannot tell, {reason}")
    value, low, high = numbers
    if low > high:
        return _verdict(line, candidate, "cannot_tell", f"{name}the interval is upside down")
    lower = -math.inf if line.lower is None else line.lower
    upper = math.inf if line.upper is None else line.upper
    fails_below = lower if candidate.fails_below is None else max(lower, candidate.fails_below)
    fails_above = upper if candidate.fails_above is None else min(upper, candidate.fails_above)
    verdict: VerdictName = "cannot_tell"
    if high < fails_below or low > fails_above:
        verdict = "fail"
    elif lower <= low and high <= upper:
        verdict = "pass"
    words = f"{name}{interval_words(value, low, high, task)}, {_limit_words(line)}: "
    return _verdict(line, candidate, verdict, words + _WORDS[verdict])


_WORDS: dict[VerdictName, str] = {
    "pass": "shown to hold",
    "fail": "shown not to hold",
    "cannot_tell": "cannot tell",
}


def _limit_words(line: GatingLine) -> str:
    if line.lower is not None and line.upper is not None:
        return f"must lie between {line.lower:g} and {line.upper:g}"
    if line.lower is not None:
        return f"must be at least {line.lower:g}"
    return f"must be at most {line.upper:g}"


def _excess(judged: LineVerdict) -> float:
    """How near the interval comes to a limit, or how far past it; larger decides first."""
    low, high = judged.estimate.low, judged.estimate.high
    if low is None or high is None:
        return math.inf
    over = -math.inf if judged.upper is None else high - judged.upper
    under = -math.inf if judged.lower is None else judged.lower - low
    return max(over, under)


def _verdict(
    line: GatingLine, candidate: _Candidate | None, verdict: VerdictName, words: str
) -> LineVerdict:
    estimate = Estimate() if candidate is None else candidate.estimate
    error = estimate.standard_error
    return LineVerdict(
        line=line.line,
        kind=line.kind,
        metric=line.metric,
        on=line.on,
        group=line.group,
        level=None if candidate is None else candidate.level,
        lower=_finite(line.lower),
        upper=_finite(line.upper),
        estimate=estimate,
        detectable=None if error is None else DETECTABLE_IN_STANDARD_ERRORS * error,
        verdict=verdict,
        words=words,
    )


def _finite(limit: float | None) -> float | None:
    return limit if limit is not None and math.isfinite(limit) else None

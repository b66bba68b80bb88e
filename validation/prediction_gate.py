"""The gate of a generation of scores: every measurement under its limit, or nothing is published.

These are counts of this very generation and no estimates of something behind it, so they are
judged by their values and have no intervals.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from validation.config import AuditConfig
from validation.estimates import Estimate, VerdictName
from validation.evidence import GateVerdict, LineVerdict, Measurement, PredictionEvidence
from validation.gate import closed
from validation.tasks import OVERALL, Task

ROWS = "rows"
BAD_SCORES = "scores_null_or_outside_0_1"
REPEATED_SUBJECTS = "subjects_scored_twice"
NOT_POSITIVE = "scores_null_or_not_above_0"
CROSSING = "scores_null_or_quantiles_crossing"
REPEATED_EXAMPLES = "examples_scored_twice"
UNKNOWN_CODES = "unknown_code_share"
MISSING = "missing_share"
SHIFT = "score_shift_psi"
OUTSIDE = "outside_reference_share"
SELECTION_CHANGE = "selection_rate_change"

# A verdict's words stand in reports, notices and on the console: people read them.
NOT_SHOWN = "not shown, too few selected or not"

# What makes a score no forecast, by task.
BAD_OF_TASK: Mapping[Task, str] = {
    "risk": BAD_SCORES,
    "direction": BAD_SCORES,
    "volatility": NOT_POSITIVE,
    "quantiles": CROSSING,
}


def repeated_of(policy: AuditConfig) -> str:
    """The name of the count of keys that are there twice: a subject, or one at an index time."""
    return REPEATED_EXAMPLES if policy.is_forecast else REPEATED_SUBJECTS


class _Limits(NamedTuple):
    lower: float | None
    upper: float | None


def judge_predictions(
    evidence: PredictionEvidence | None, policy: AuditConfig | None
) -> GateVerdict:
    """Judge a generation of scores. Never raises; evidence of None is an audit that crashed."""
    try:
        return _judge(evidence, policy)
    except Exception as error:  # whatever it is, it must not open the gate
        return closed(f"the gate could not judge the evidence ({type(error).__name__})")


def _judge(evidence: PredictionEvidence | None, policy: AuditConfig | None) -> GateVerdict:
    if evidence is None:
        return closed("there is no evidence: the audit did not finish")
    if policy is None:
        return closed("the study has no policy")
    if evidence.policy != policy:
        return closed("the evidence was measured under another policy than the study's")
    limits = _limits(policy)
    lines = tuple(_judge_one(found, limits[found.name]) for found in evidence.measurements)
    reasons = _missing(evidence, policy)
    reasons += [f"{line.line}: {line.words}" for line in lines if line.verdict != "pass"]
    verdict: VerdictName = "cannot_tell" if reasons else "pass"
    if any(line.verdict == "fail" for line in lines):
        verdict = "fail"
    return GateVerdict(verdict=verdict, lines=lines, reasons=tuple(reasons))


def _limits(policy: AuditConfig) -> Mapping[str, _Limits]:
    given = policy.predictions
    limits = {
        ROWS: _Limits(given.minimum_rows, None),
        BAD_OF_TASK[policy.task]: _Limits(None, 0.0),
        repeated_of(policy): _Limits(None, 0.0),
        UNKNOWN_CODES: _Limits(None, given.max_unknown_code_share),
        MISSING: _Limits(None, given.max_missing_share),
    }
    if given.max_score_shift_psi is not None:
        limits[SHIFT] = _Limits(None, given.max_score_shift_psi)
    elif not policy.is_forecast:
        raise ValueError("risks need a limit of their shift")
    if policy.is_forecast:
        if given.max_outside_share is None:
            raise ValueError("forecasts need a limit of the share outside the release's")
        limits[OUTSIDE] = _Limits(None, given.max_outside_share)
    if policy.has_threshold:
        change = given.max_selection_rate_change
        if change is None:
            raise ValueError("a task with a threshold needs a limit of the selection rate")
        limits[SELECTION_CHANGE] = _Limits(-change, change)
    return limits


def _missing(evidence: PredictionEvidence, policy: AuditConfig) -> list[str]:
    """What the policy asks for and the evidence does not measure, or measures twice."""
    wanted = [(name, OVERALL) for name in _limits(policy)]
    if policy.has_threshold:
        wanted += [(SELECTION_CHANGE, attribute) for attribute in policy.attributes]
    keys = [(found.name, found.group, found.level) for found in evidence.measurements]
    measured = {(name, group) for name, group, _ in keys}
    reasons = [
        f"{name} of {group} was not measured"
        for name, group in wanted
        if (name, group) not in measured
    ]
    if len(set(keys)) != len(keys):
        reasons.append("a measurement is there twice")
    return reasons


def _judge_one(found: Measurement, limits: _Limits) -> LineVerdict:
    value = found.value
    level = "" if found.level in (None, "all") else f"{found.group} {found.level}: "
    verdict: VerdictName = "cannot_tell"
    if value is None or not math.isfinite(value) or limits == (None, None):
        value = None
        words = f"{level}cannot tell, {found.reason or 'not measured'}"
    else:
        inside = (limits.lower is None or value >= limits.lower) and (
            limits.upper is None or value <= limits.upper
        )
        verdict = "pass" if inside else "fail"
        number = NOT_SHOWN if found.withheld else f"{value:{_written(found)}}"
        words = f"{level}{number}, {_limit_words(limits)}: {'holds' if inside else 'does not'}"
    return LineVerdict(
        line=found.name,
        kind="predictions",
        metric=found.name,
        on="generation",
        group=found.group,
        level=found.level,
        lower=limits.lower,
        upper=limits.upper,
        estimate=Estimate(value=value, reason=found.reason),
        verdict=verdict,
        words=words,
    )


def _written(found: Measurement) -> str:
    """A group's rate to as many decimals as its report prints: with more it tells its counts."""
    return ".4g" if found.group == OVERALL else ".3f"


def _limit_words(limits: _Limits) -> str:
    if limits.lower is not None and limits.upper is not None:
        return f"must lie between {limits.lower:g} and {limits.upper:g}"
    if limits.lower is not None:
        return f"must be at least {limits.lower:g}"
    return f"must be at most {limits.upper:g}"

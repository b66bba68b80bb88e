"""One line of the gate: its numbers against its limits.

A value and a difference to another model are judged by their own 95 % interval: all lines must
hold for the gate to open, and then none needs a correction (intersection-union test, Berger,
Technometrics 1982). A gap is judged by the interval that holds for all gaps at once: of many
levels one would else be shown to fail by chance.
"""

import math
from dataclasses import dataclass

from validation.config import AuditConfig, GatingLine
from validation.estimates import Estimate, VerdictName
from validation.evidence import Evidence, LineVerdict
from validation.gate_candidates import Candidate, Missing, NothingStands, candidates_of
from validation.interval_words import interval_words
from validation.sample_size import (
    Ends,
    Limits,
    detectable,
    judged_ends,
    lacking,
    more_needed,
    times_as_large,
)
from validation.sampled import POINT
from validation.tasks import INCUMBENT
from validation.too_few import reasons_of_too_few

NOTHING_STANDS = "no release stands to be inferior to"


@dataclass(frozen=True)
class Judged:
    """A line's verdict and what may follow from it.

    sound: what cannot be told is a matter of too few subjects, not of evidence that is missing or
    odd.   narrow: if it fails, it oversteps its limit by no more than the study calls narrow.
    untold: some level of it cannot tell, whichever level is shown.
    """

    verdict: LineVerdict
    sound: bool
    narrow: bool = False
    untold: bool = False


def judge_line(line: GatingLine, evidence: Evidence) -> Judged:
    """Judge one line; of a gap, the worst level decides: a failure, then what cannot be told."""
    try:
        judged = [_judge(line, each, evidence.policy) for each in candidates_of(line, evidence)]
    except NothingStands:
        estimate = Estimate(reason=NOTHING_STANDS)
        return Judged(_verdict(line, INCUMBENT, estimate, "pass", NOTHING_STANDS), sound=True)
    except Missing as missing:
        verdict = _verdict(line, None, Estimate(), "cannot_tell", str(missing))
        return Judged(verdict, sound=False, untold=True)
    order: tuple[VerdictName, ...] = ("fail", "cannot_tell", "pass")
    worst = min(judged, key=lambda one: (order.index(one.verdict.verdict), -_excess(one.verdict)))
    failed = [one for one in judged if one.verdict.verdict == "fail"]
    return Judged(
        worst.verdict,
        sound=all(one.sound for one in judged),
        narrow=bool(failed) and all(one.narrow for one in failed),
        untold=any(one.untold for one in judged),
    )


def _judge(line: GatingLine, candidate: Candidate, policy: AuditConfig) -> Judged:
    name = "" if candidate.level is None else f"{candidate.level}: "
    try:
        value, ends = _numbers(candidate)
    except Missing as missing:
        return _untold(line, candidate, policy, f"{name}{missing}")
    limits = candidate.limits
    words = f"{name}{interval_words(value, *ends, policy.task)}, {_limit_words(line)}: "
    if ends.high < limits.fails_below or ends.low > limits.fails_above:
        verdict = _verdict(line, candidate.level, candidate.estimate, "fail", words + FAILED)
        # Of a value the limit is no distance: an AUROC of .5625 is no narrow miss of .75.
        share = policy.approval.narrow_fail_share or 0.0
        narrow = candidate.together and _overstep(value, limits) <= share
        return Judged(verdict, sound=True, narrow=narrow)
    if limits.lower <= ends.low and ends.high <= limits.upper:
        verdict = _verdict(line, candidate.level, candidate.estimate, "pass", words + HELD)
        return Judged(verdict, sound=True)
    more = more_needed(times_as_large(value, ends, limits), candidate.counts, policy.task)
    words += f"{UNTOLD}; {more.words}"
    verdict = _verdict(line, candidate.level, candidate.estimate, "cannot_tell", words, more.number)
    return Judged(verdict, sound=True, untold=True)


def _numbers(candidate: Candidate) -> tuple[float, Ends]:
    """The value and the interval that judges it. Raises Missing where they make no sense."""
    estimate = candidate.estimate
    value, own = estimate.value, (estimate.low, estimate.high)
    both = (estimate.simultaneous_low, estimate.simultaneous_high)
    judging = both if candidate.together else own
    given = [each for each in (value, *own, *judging) if each is not None and math.isfinite(each)]
    if value is None or len(given) < 5:
        missing = estimate.reason or "not measured"
        if own.count(None) == 0 and judging.count(None):
            missing = "no interval that holds for all gaps at once"
        raise Missing(f"cannot tell, {missing}")
    _, low, high, least, most = given
    if low > high:
        raise Missing("the interval is upside down")
    if high - low <= POINT and not (candidate.may_be_exact and low == high == 0.0):
        raise Missing("the interval is a point, which says nothing of how sure it is")
    if not least <= low <= value <= high <= most:
        raise Missing("the value or its interval lies outside the interval that judges it")
    return value, Ends(least, most)


def _untold(line: GatingLine, candidate: Candidate, policy: AuditConfig, words: str) -> Judged:
    """Nothing to judge: honest only where the audit says of what there was too little."""
    found = candidate.estimate
    too_few = found.reason in reasons_of_too_few(policy)
    honest = too_few and found == Estimate(reason=found.reason)
    estimate = Estimate(reason=found.reason or "not measured")
    if not honest:
        verdict = _verdict(line, candidate.level, estimate, "cannot_tell", words)
        return Judged(verdict, sound=False, untold=True)
    more = lacking(candidate.counts, policy)
    words += f"; {more.words}" if more.words else ""
    verdict = _verdict(line, candidate.level, estimate, "cannot_tell", words, more.number)
    return Judged(verdict, sound=True, untold=True)


HELD, FAILED, UNTOLD = "shown to hold", "shown not to hold", "cannot tell"


def _overstep(value: float, limits: Limits) -> float:
    """By which share of its limit a failed gap oversteps it; infinite of a limit of 0."""
    limit = limits.fails_above if value > limits.fails_above else limits.fails_below
    return abs(value - limit) / abs(limit) if limit else math.inf


def _limit_words(line: GatingLine) -> str:
    if line.lower is not None and line.upper is not None:
        return f"must lie between {line.lower:g} and {line.upper:g}"
    if line.lower is not None:
        return f"must be at least {line.lower:g}"
    return f"must be at most {line.upper:g}"


def _excess(judged: LineVerdict) -> float:
    """How near the interval comes to a limit, or how far past it; larger decides first."""
    ends = judged_ends(judged.estimate)
    if ends is None:
        return math.inf
    over = -math.inf if judged.upper is None else ends.high - judged.upper
    under = -math.inf if judged.lower is None else judged.lower - ends.low
    return max(over, under)


def _verdict(
    line: GatingLine,
    level: str | None,
    estimate: Estimate,
    verdict: VerdictName,
    words: str,
    needed: int | None = None,
) -> LineVerdict:
    return LineVerdict(
        line=line.line,
        kind=line.kind,
        metric=line.metric,
        on=line.on,
        group=line.group,
        level=level,
        lower=_finite(line.lower),
        upper=_finite(line.upper),
        estimate=estimate,
        detectable=detectable(estimate),
        subjects_needed=needed,
        verdict=verdict,
        words=words,
    )


def _finite(limit: float | None) -> float | None:
    return limit if limit is not None and math.isfinite(limit) else None

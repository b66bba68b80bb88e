"""What a sample could tell, and how much larger it had to be to tell what it cannot."""

import math
from typing import NamedTuple

from validation.config import AuditConfig
from validation.estimates import Counts, Estimate
from validation.tasks import Task

# The .8 quantile of the normal distribution: with a true gap that far beyond its critical value,
# four of five samples show it.
POWER_IN_STANDARD_ERRORS = 0.8416
# Nobody gathers a hundred times the subjects: a value that near to its limit stays untold.
MOST_TIMES_AS_LARGE = 100.0


class Ends(NamedTuple):
    """The interval that an estimate is judged by."""

    low: float
    high: float


class Limits(NamedTuple):
    """Allowed from lower to upper; shown not to hold wholly below fails_below or above
    fails_above. Infinite where there is none."""

    lower: float
    upper: float
    fails_below: float
    fails_above: float


def judged_ends(estimate: Estimate) -> Ends | None:
    """The simultaneous interval where there is one, else the one for itself; None without."""
    low, high = estimate.simultaneous_low, estimate.simultaneous_high
    if low is None or high is None:
        low, high = estimate.low, estimate.high
    return None if low is None or high is None else Ends(low, high)


def detectable(estimate: Estimate) -> float | None:
    """The smallest true difference from zero that such a sample shows with a power of 80 %.

    (critical value + .84) standard errors (Cohen, Statistical Power Analysis, 1988), the critical
    value being that of the interval which judges: half its width.
    """
    ends, error = judged_ends(estimate), estimate.standard_error
    if ends is None or error is None:
        return None
    return 0.5 * (ends.high - ends.low) + POWER_IN_STANDARD_ERRORS * error


def times_as_large(value: float, ends: Ends, limits: Limits) -> float | None:
    """By what factor the sample had to grow for this value to be told to hold, or not to.

    An interval narrows with the square root of the sample. None: by no factor that is feasible.
    """
    holds = max(
        _share(value - ends.low, value - limits.lower),
        _share(ends.high - value, limits.upper - value),
    )
    does_not = min(
        _share(ends.high - value, limits.fails_below - value),
        _share(value - ends.low, value - limits.fails_above),
    )
    factor = min(holds, does_not) ** 2
    return max(factor, 1.0) if factor <= MOST_TIMES_AS_LARGE else None


def _share(reach: float, distance: float) -> float:
    """How many times an end's reach is its distance to a limit; infinite past the limit."""
    return reach / distance if distance > 0.0 else math.inf


# ---- in words --------------------------------------------------------------------------------


class More(NamedTuple):
    """How many more subjects (of forecasts, blocks of time), and that in words; None: unknown."""

    number: int | None
    words: str


def more_needed(factor: float | None, counts: Counts, task: Task) -> More:
    """What would tell, from :func:`times_as_large` and the counts of whom it was measured on.

    Counts that are hidden stay so: then it is a multiple of what there is.
    """
    what = "subjects" if task == "risk" else "blocks of time"
    if factor is None:
        return More(None, f"so near to its limit that no feasible number of {what} would tell")
    present = counts.subjects if task == "risk" else counts.blocks
    if present is None or counts.hidden:
        return More(None, f"about {factor:.1f} times as many {what} would tell")
    number = _two_digits((factor - 1.0) * present)
    return More(number, f"about {number:,} more {what}, composed alike, would tell")


def lacking(counts: Counts, policy: AuditConfig) -> More:
    """What a group would need to be measured at all; nothing where its counts do not say."""
    if policy.is_forecast:
        missing = policy.least_blocks - (counts.blocks or 0)
        if counts.blocks is None or missing <= 0:
            return NOTHING
        return More(missing, f"{missing:,} more blocks of time would do")
    found, least = counts.positives, policy.least_positives
    if counts.hidden or not found or not counts.subjects or found >= least:
        return NOTHING
    number = _two_digits((least / found - 1.0) * counts.subjects)
    return More(number, f"about {number:,} more subjects would bring {least} positives")


NOTHING = More(None, "")
_ROUNDING = 1e-9


def _two_digits(number: float) -> int:
    """Rounded up to two digits, at least 1: more would claim to be known."""
    whole = max(math.ceil(number - _ROUNDING), 1)
    step: int = 10 ** max(len(str(whole)) - 2, 0)
    return -(-whole // step) * step

"""One family of intervals for all findings of an audit, and what each says in words.

An audit makes dozens of findings. An alarm asks that 0 lies outside an interval that holds for all
at once: estimate +- z * standard error, z being Bonferroni's normal quantile over the family; it
is never narrower than the percentile interval.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

from validation.estimates import Estimate
from validation.intervals import LEVEL
from validation.patient_harms.records import CALIBRATION, PatientHarm, QuantityName
from validation.simultaneous import told_hypotheses

# quantity -> (what is counted, decimals)
SAID: dict[QuantityName, tuple[str, int]] = {
    "observed_expected": ("cases observed per case predicted", 2),
    "calibration_slope": ("calibration slope", 2),
    "alerts_per_100": ("alerts per 100 subjects", 1),
    "alerts_per_case": ("alerts per case found", 1),
    "false_alerts_per_100": ("false alerts per 100 subjects", 1),
    "excluded_per_100": ("excluded per 100 subjects", 1),
    "censored_per_100": ("lost before the horizon per 100 subjects", 1),
    "tests_per_subject": ("tests per subject", 1),
    "channels_never_measured": ("share of channels never measured", 3),
    "cases_per_declared_case": ("cases by this label per case by the declared one", 2),
}
MINUS = "\N{MINUS SIGN}"


def judged(findings: Sequence[PatientHarm]) -> tuple[PatientHarm, ...]:
    """The findings with simultaneous intervals, alarms and words."""
    z = _quantile(findings)
    return tuple(_judged(each, z) for each in findings)


def _quantile(findings: Sequence[PatientHarm]) -> float:
    # Calibration is compared with 1: no level is another's mirror, each is alone in its table.
    hypotheses = told_hypotheses(
        (
            (e.quantity, e.attribute, e.label, e.level if e.quantity in CALIBRATION else None),
            e.difference.value is not None,
        )
        for e in findings
    )
    return NormalDist().inv_cdf(1.0 - 0.5 * (1.0 - LEVEL) / max(hypotheses, 1))


def _judged(each: PatientHarm, z: float) -> PatientHarm:
    found = each.difference
    numbers = (found.value, found.low, found.high, found.standard_error)
    told = [number for number in numbers if number is not None and math.isfinite(number)]
    if len(told) < len(numbers):
        reason = found.reason or each.value.reason or "not measured"
        return each.model_copy(update={"alarm": None, "words": _untold(each, reason)})
    value, low, high, error = told
    below, above = value - z * error, value + z * error
    if each.quantity == "observed_expected":
        below, above = _of_ratio(value, error, z)
    simultaneous = (min(low, below), max(high, above))
    alarm = simultaneous[0] > 0.0 or simultaneous[1] < 0.0
    wider = found.model_copy(
        update={"simultaneous_low": simultaneous[0], "simultaneous_high": simultaneous[1]}
    )
    each = each.model_copy(update={"difference": wider, "alarm": alarm})
    return each.model_copy(update={"words": _words(each)})


def _of_ratio(above_one: float, error: float, z: float) -> tuple[float, float]:
    """Interval of a ratio minus 1, symmetric in its logarithm."""
    value = 1.0 + above_one
    if value <= 0.0:
        return -math.inf, math.inf
    half = z * error / value
    return value * math.exp(-half) - 1.0, value * math.exp(half) - 1.0


def _untold(each: PatientHarm, reason: str) -> str:
    return f"{_subject(each)}: {SAID[each.quantity][0]}, cannot tell, {reason}"


def _subject(each: PatientHarm) -> str:
    subject = f"{each.attribute.replace('_', ' ')} {each.level}"
    return subject if each.label is None else f"{each.label}; {subject}"


def _words(each: PatientHarm) -> str:
    said, decimals = SAID[each.quantity]
    value = interval(each.value, decimals)
    verdict = "shown to differ" if each.alarm else "not shown to differ"
    if each.quantity in CALIBRATION:
        return f"{_subject(each)}: {said} {value}; 1 is right, {verdict} from it"
    return (
        f"{_subject(each)}: {said} {value}, all others {interval(each.rest, decimals)}; difference "
        f"{interval(each.difference, decimals)}, {verdict}"
    )


def interval(estimate: Estimate, decimals: int) -> str:
    """``12.3 (11.2 to 13.4)``; without an interval no number either."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return "cannot tell"
    shown = (
        f"{n:.{decimals}f}".replace("-", MINUS)
        for n in (estimate.value, estimate.low, estimate.high)
    )
    return "{} ({} to {})".format(*shown)

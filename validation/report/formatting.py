"""How the report writes numbers: one way each, so that two places never disagree."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from validation.estimates import Estimate
from validation.evidence import GroupPerformance, LineVerdict
from validation.report.names import COUNTED

MINUS: Final = "\N{MINUS SIGN}"
HIDDEN: Final = "hidden"
NOTHING: Final = "\N{EN DASH}"
DECIMALS: Final = 3


@dataclass(frozen=True)
class Unit:
    """How the numbers of one metric are written: times ``factor``, with ``sign`` behind."""

    decimals: int = DECIMALS
    factor: float = 1.0
    sign: str = ""


PLAIN: Final = Unit()


def number(value: float | None, unit: Unit = PLAIN) -> str:
    """A number with a fixed count of decimals and a true minus sign; a dash for none."""
    return NOTHING if value is None else _digits(value, unit) + unit.sign


def _digits(value: float, unit: Unit) -> str:
    # A small loss stays a loss: -0.0003 is written with its sign, only zero itself has none.
    return f"{value * unit.factor or 0.0:,.{unit.decimals}f}".replace("-", MINUS)


def count(value: int | None) -> str:
    """A count with thousands separated; a hidden one is small or guards one that is."""
    return HIDDEN if value is None else f"{value:,}"


def tally(value: int | None) -> str:
    """A count of what nobody needs to hide; a dash where it was not counted."""
    return NOTHING if value is None else f"{value:,}"


def percent(part: float | None, whole: float | None) -> str:
    """A share with one decimal; a dash where a hidden count leaves none."""
    if part is None or whole is None or whole == 0:
        return NOTHING
    return f"{part / whole:.1%}".replace("%", " %")


def interval(estimate: Estimate, unit: Unit = PLAIN) -> str:
    """``0.783 (0.751 to 0.812)``, or ``cannot tell``."""
    if estimate.value is None:
        return "cannot tell"
    within = bounds(estimate, unit)
    value = number(estimate.value, unit)
    return f"{value} ({within})" if within else value


def bounds(estimate: Estimate, unit: Unit = PLAIN) -> str:
    """``0.751 to 0.812``, or nothing where there is no interval."""
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{_digits(estimate.low, unit)} to {_digits(estimate.high, unit)}"


def spread(values: Sequence[float | None], unit: Unit = PLAIN) -> str:
    """From the least to the most of several values; a dash for fewer than two."""
    known = [value for value in values if value is not None]
    return (
        f"{_digits(min(known), unit)} to {_digits(max(known), unit)}" if len(known) > 1 else NOTHING
    )


def reasons(group: GroupPerformance) -> list[str]:
    """Why some metrics of a group do not exist, each reason once."""
    found = (estimate.reason for estimate in group.metrics.values() if estimate.value is None)
    return list(dict.fromkeys(reason for reason in found if reason))


def quantity(value: float | None, metric: str, unit: Unit = PLAIN) -> str:
    """A measurement of predictions: counts as counts, all else with decimals."""
    if value is not None and metric in COUNTED and value.is_integer():
        return count(int(value))
    return number(value, unit)


def limit(line: LineVerdict, unit: Unit = PLAIN) -> str:
    """At least, at most, or from one to the other, written like what it limits."""
    lower, upper = (quantity(value, line.metric, unit) for value in (line.lower, line.upper))
    if line.lower is not None and line.upper is not None:
        return f"{lower.removesuffix(unit.sign)} to {upper}"
    if line.lower is not None:
        return f"at least {lower}"
    return f"at most {upper}" if line.upper is not None else "no limit"


def detail(value: str | int | float | None) -> str:
    """A setting of the model: as short as it was written, however small."""
    if isinstance(value, float):
        return f"{value:g}".replace("-", MINUS)
    return NOTHING if value is None else str(value)


def joined(words: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)

"""An interval as the words of a verdict write it: value (low to high)."""

import math

from validation.tasks import Task

DECIMALS = 3
MOST_DECIMALS = 9


def interval_words(value: float, low: float, high: float, task: Task) -> str:
    """``0.783 (0.751 to 0.812)``; the three numbers have the same decimals.

    A forecast's loss can be .005, and a difference of two a hundredth of that: so there are as
    many decimals as two digits of the interval's width need. Of a risk there are three.
    """
    decimals = DECIMALS if task == "risk" else _decimals(high - low)
    shown, lower, upper = (f"{number:.{decimals}f}" for number in (value, low, high))
    return f"{shown} ({lower} to {upper})"


def _decimals(width: float) -> int:
    if not width > 10.0**-MOST_DECIMALS:
        return DECIMALS  # a model compared with itself differs by rounding alone
    return min(max(DECIMALS, 1 - math.floor(math.log10(width))), MOST_DECIMALS)

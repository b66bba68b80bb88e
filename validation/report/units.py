"""How many decimals the numbers of each metric need, decided once for a whole report.

A difference in the fourth decimal of a loss near .008 is all that some audits find; one near .5
needs fewer. So a metric has as many decimals as its narrowest interval needs for two digits.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from validation.estimates import Estimate
from validation.evidence import Evidence, LineVerdict, PopulationEvidence
from validation.report.formatting import DECIMALS, PLAIN, Unit
from validation.report.names import PERCENTS

MOST_DECIMALS = 7


@dataclass(frozen=True)
class Units:
    """Metrics without an entry, and all of them where the task is `risk`, have three decimals."""

    of_values: dict[str, Unit]
    of_gaps: dict[str, Unit]

    def value(self, metric: str) -> Unit:
        """The unit of a metric, and of its difference to a challenger."""
        return self.of_values.get(metric, PLAIN)

    def gap(self, metric: str) -> Unit:
        """The unit of the difference between two groups."""
        return self.of_gaps.get(metric, PLAIN)

    def share(self, decimals: int) -> Unit:
        """A share of a hundred."""
        return Unit(decimals, 100.0, " %")

    def line(self, line: LineVerdict) -> Unit:
        """The unit of what a gating line found."""
        return self.gap(line.metric) if line.kind == "gap" else self.value(line.metric)

    def limit(self, line: LineVerdict) -> Unit:
        """The unit of a gating line's limits: of forecasts as many decimals as they are given."""
        unit = self.line(line)
        if not self.of_values:
            return unit
        limits = [limit for limit in (line.lower, line.upper) if limit is not None]
        finest = max((_decimals_of(limit * unit.factor) for limit in limits), default=0)
        return Unit(finest, unit.factor, unit.sign)


def units(evidence: Evidence) -> Units:
    """The units of all that a report of forecasts shows."""
    if not evidence.policy.is_forecast:
        return Units({}, {})
    return Units(
        units_of((each for p in evidence.populations for each in _values(p)), " %"),
        units_of((each for p in evidence.populations for each in _gaps(p)), " points"),
    )


def _values(population: PopulationEvidence) -> Iterator[tuple[str, Estimate]]:
    yield from population.overall.metrics.items()
    for challenger in population.challengers:
        yield from challenger.metrics.items()
        yield from challenger.difference.items()


def _gaps(population: PopulationEvidence) -> Iterator[tuple[str, Estimate]]:
    yield from ((gap.metric, gap.estimate) for gap in population.gaps)


def units_of(found: Iterable[tuple[str, Estimate]], sign: str) -> dict[str, Unit]:
    """The unit of each metric among (metric, estimate); sign: behind a percentage."""
    narrowest: dict[str, float] = {}
    for metric, estimate in found:
        width = _width(estimate)
        narrowest[metric] = min(width, narrowest.get(metric, math.inf))
    return {metric: _unit(metric, width, sign) for metric, width in narrowest.items()}


def _width(estimate: Estimate) -> float:
    if estimate.low is None or estimate.high is None:
        return math.inf
    width = estimate.high - estimate.low
    # A model compared with itself differs by rounding alone.
    return width if width > 10.0**-MOST_DECIMALS else math.inf


def _unit(metric: str, width: float, sign: str) -> Unit:
    is_percent = metric in PERCENTS
    factor, fewest = (100.0, 1) if is_percent else (1.0, DECIMALS)
    # Two digits of the width: 0.0008 needs five decimals.
    needed = fewest if math.isinf(width) else 1 - math.floor(math.log10(width * factor))
    return Unit(min(max(needed, fewest), MOST_DECIMALS), factor, sign if is_percent else "")


def _decimals_of(value: float) -> int:
    written = f"{value:.{MOST_DECIMALS}f}".rstrip("0")
    return len(written) - written.index(".") - 1

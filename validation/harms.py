"""Harms that an audit of forecasts of markets looks for, all of them in one family of intervals.

unequal_error: a group of instruments is forecast worse, or with another bias, than the rest.
regime: one era or one state of the market is. survivorship: the result leans on leaving out what
was delisted later. Each is a gap in a metric without units. An audit makes dozens of such gaps,
so an interval must hold for all at once, or a clean audit would raise an alarm as a rule.

The intervals: estimate +- t * standard error, t being Bonferroni's quantile over all gaps of the
audit, of a t distribution with (effective blocks of the smaller side - 1) degrees of freedom. The
quantile of the largest |t| over bootstrap draws (Romano and Wolf, Econometrica 2005) is narrower,
but does not keep to its level with few blocks of time; this one does
(tests/validation/test_alarm_rates.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from validation.config import AuditConfig
from validation.estimates import Estimate
from validation.evidence import HarmFinding, HarmMetric
from validation.forecast_audit import rows_of
from validation.forecast_measuring import (
    MeasuredForecasts,
    Model,
    Rows,
    measure_forecasts,
    model_of,
    why_not,
)
from validation.forecast_populations import NETWORK, ForecastPopulation, forecast_populations
from validation.groups import Group, groups_of
from validation.interval_words import interval_words
from validation.intervals import LEVEL
from validation.measuring import UNDEFINED
from validation.ranking import FloatArray
from validation.simultaneous import told_hypotheses
from validation.tasks import DELISTED, LISTED, LISTING_STATUS, HarmName, Task

REGIMES = ("volatility_regime", "era")
METRICS: Mapping[Task, tuple[HarmMetric, ...]] = {
    "volatility": ("log_relative_error", "skill_mae"),
    "quantiles": ("coverage_90", "skill"),
    "direction": ("mean_error", "skill_brier"),
}


@dataclass(frozen=True)
class _Gap:
    """One gap before its interval is known.

    without [blocks]: the gap when one block of time is left out.   blocks: effective number of
    them, on the side that has fewer.   reason: why the gap cannot be told, or None.
    """

    harm: HarmName
    attribute: str
    level: str | None
    metric: HarmMetric
    value: float
    without: FloatArray
    blocks: float
    reason: str | None

    @property
    def error(self) -> float:
        """Standard error by leaving out blocks (Tukey 1958), neighbours taken to be alike.

        With few and unequal blocks the bootstrap's is too small. The covariance of neighbouring
        blocks is added on both sides (Hansen and Hodrick, J Political Economy 1980, lag 1) where
        it is above 0: shocks outlive a block.
        """
        apart = self.without - self.without.mean()
        neighbours = max(0.0, float((apart[1:] * apart[:-1]).sum()))
        share = 1.0 - 1.0 / len(apart)
        return float(np.sqrt(share * ((apart**2).sum() + 2.0 * neighbours)))


def harms(
    predictions: pl.DataFrame, config: AuditConfig, challengers: Sequence[str]
) -> tuple[HarmFinding, ...]:
    """Look for every harm in walk_forward, or in the holdout where there is none.

    predictions, challengers: as in audit_forecasts. Raises UnauditableTable as that does.
    """
    population = forecast_populations(predictions, config, challengers)[-1]
    network = model_of(population, NETWORK, config)
    gaps = _group_gaps(population, network, config)
    survivors, unseen = _survivorship(population, network, config)
    found = [*gaps, *survivors]
    tail = _tail(found)
    return (*(_finding(gap, tail, population, config.task) for gap in found), *unseen)


# ---- gaps --------------------------------------------------------------------------------------


def _group_gaps(population: ForecastPopulation, network: Model, config: AuditConfig) -> list[_Gap]:
    groups = [
        group
        for group in groups_of(population.attributes, config)
        if group.attribute in config.attributes and group.attribute != LISTING_STATUS
    ]
    parts: dict[tuple[str, ...], tuple[Model, Rows]] = {}
    for group in groups:
        inside = rows_of(population, group)
        parts["inside", group.attribute, group.level] = (network, inside)
        parts["outside", group.attribute, group.level] = (network, ~inside)
    measured = measure_forecasts(parts, config)
    return [gap for group in groups for gap in _gaps_of(group, measured, config)]


def _gaps_of(
    group: Group, measured: Mapping[tuple[str, ...], MeasuredForecasts], config: AuditConfig
) -> list[_Gap]:
    key = (group.attribute, group.level)
    harm: HarmName = "regime" if group.attribute in REGIMES else "unequal_error"
    pair = measured["inside", *key], measured["outside", *key]
    return _paired(harm, key, pair, config)


def _survivorship(
    population: ForecastPopulation, network: Model, config: AuditConfig
) -> tuple[list[_Gap], list[HarmFinding]]:
    """All rows minus those of names still listed; or the finding that this cannot be seen."""
    key = (LISTING_STATUS, None)
    if LISTING_STATUS not in population.attributes.columns:
        return [], [_unseen("the audit has no attribute listing_status", population)]
    status = population.attributes[LISTING_STATUS].to_numpy()[population.known]
    if not (status == DELISTED).any():
        return [], [_unseen("no instrument here was delisted later", population)]
    everything = np.ones(len(status), dtype=np.bool_)
    parts: dict[tuple[str, ...], tuple[Model, Rows]] = {
        ("all",): (network, everything),
        (LISTED,): (network, status == LISTED),
    }
    measured = measure_forecasts(parts, config)
    return _paired("survivorship", key, (measured["all",], measured[LISTED,]), config), []


def _unseen(words: str, population: ForecastPopulation) -> HarmFinding:
    return HarmFinding(
        harm="survivorship",
        on=population.name,
        attribute=LISTING_STATUS,
        estimate=Estimate(reason=words),
        words=f"cannot be seen: {words}",
    )


def _paired(
    harm: HarmName,
    key: tuple[str, str | None],
    pair: tuple[MeasuredForecasts, MeasuredForecasts],
    config: AuditConfig,
) -> list[_Gap]:
    one, other = pair
    gaps = []
    for name in METRICS[config.task]:
        without = one.without[name] - other.without[name]
        value = one.point[name] - other.point[name]
        reason = why_not(name, one, config.least_blocks) or why_not(
            name, other, config.least_blocks
        )
        if reason is None and not np.isfinite([value, *without]).all():
            reason = UNDEFINED
        blocks = min(one.effective_blocks[name], other.effective_blocks[name])
        gaps.append(_Gap(harm, *key, name, value, without, blocks, reason))
    return gaps


# ---- one interval for all ----------------------------------------------------------------------


def _tail(gaps: Sequence[_Gap]) -> float:
    """The probability left to each end of each interval (Bonferroni)."""
    hypotheses = told_hypotheses(
        ((gap.harm, gap.attribute, gap.metric), gap.reason is None) for gap in gaps
    )
    return 0.5 * (1.0 - LEVEL) / max(hypotheses, 1)


def _finding(gap: _Gap, tail: float, population: ForecastPopulation, task: Task) -> HarmFinding:
    named: dict[str, Any] = {
        "harm": gap.harm,
        "on": population.name,
        "attribute": gap.attribute,
        "level": gap.level,
        "metric": gap.metric,
    }
    if gap.reason is not None:
        return HarmFinding(
            **named, estimate=Estimate(reason=gap.reason), words=f"cannot tell, {gap.reason}"
        )
    half = float(stats.t.isf(tail, df=max(gap.blocks - 1.0, 1.0))) * gap.error
    low, high = gap.value - half, gap.value + half
    alarm = low > 0.0 or high < 0.0
    return HarmFinding(
        **named,
        estimate=Estimate(value=gap.value, low=low, high=high, standard_error=gap.error),
        alarm=alarm,
        words=f"{interval_words(gap.value, low, high, task)}, {'alarm' if alarm else 'no alarm'}",
    )

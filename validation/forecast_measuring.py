"""Point values and bootstrap samples of forecast metrics on many sets of rows, on shared draws.

A draw takes whole blocks of time with all their instruments: rows of one block are alike, across
time and across names. Each part is summed per block once; a draw is counts per block @ sums.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from validation.config import AuditConfig
from validation.effective import kish
from validation.estimates import Estimate
from validation.forecast_populations import ForecastPopulation
from validation.forecasts import (
    RANK_CORRELATION,
    RANKED,
    RATIOS,
    Ratio,
    centre,
    contributions,
)
from validation.interval_forms import form_of
from validation.intervals import draw_weights
from validation.rank_correlation import DailyRanks, daily_ranks
from validation.ranking import FloatArray, IntArray
from validation.sampled import Sampled, estimate_of, gap_between, paired, same_model
from validation.tasks import MetricName, metric_names
from validation.too_few import BLOCKS, RANKED_BLOCKS, fewer, why_not_compared

Rows = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Model:
    """One model's forecasts of the known rows, prepared once: columns {name: [m]}."""

    blocks: IntArray
    number_of_blocks: int
    columns: Mapping[str, FloatArray]
    ranks: DailyRanks
    block_of_day: Mapping[int, int]

    def sums(self, inside: Rows) -> FloatArray:
        """Sums of every column over the rows of `inside` [m], by block: [blocks, columns]."""
        blocks = self.blocks[inside]
        days, correlation = self.ranks.correlations(inside)
        of_day = np.array([self.block_of_day[int(day)] for day in days], dtype=np.intp)
        least = self.number_of_blocks
        summed = [np.bincount(blocks, column[inside], least) for column in self.columns.values()]
        summed += [np.bincount(of_day, weights, least) for weights in (correlation, None)]
        return np.column_stack(summed).astype(np.float64)

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.columns, RANK_CORRELATION, RANKED)


@dataclass(frozen=True)
class MeasuredForecasts:
    """What a part gave, by metric: point, and samples [draws], NaN where undefined.

    rows: with a known label.    blocks: of time, with such a row.
    ranked_blocks: with a day whose ranks can be compared.
    without [blocks of the population]: the metric when one block of time is left out, in order.
    effective_blocks: how many blocks of equal weight would carry as much as these unequal ones:
    (sum of w)^2 / sum of w^2 over the denominators w of the metric (Kish, Survey Sampling, 1965).
    """

    rows: int
    blocks: int
    ranked_blocks: int
    point: Mapping[str, float]
    samples: Mapping[str, FloatArray]
    without: Mapping[str, FloatArray]
    effective_blocks: Mapping[str, float]

    def sampled(self, name: str) -> Sampled:
        """One metric with its draws of blocks."""
        blocks = self.effective_blocks[name]
        return Sampled(self.point[name], self.samples[name], form_of(name), blocks, self.rows)


def model_of(population: ForecastPopulation, name: str, config: AuditConfig) -> Model:
    """The network's (`score`) or a challenger's forecasts of the rows whose label is known."""
    known = population.known
    label, forecast = population.label[known], population.forecasts[name][known]
    reference = population.forecasts[str(config.reference)][known]
    days, blocks = population.days[known], population.blocks[known]
    return Model(
        blocks=blocks,
        number_of_blocks=population.number_of_blocks,
        columns=contributions(config, label, forecast, reference),
        ranks=daily_ranks(days, centre(config.task, forecast), label),
        block_of_day=dict(zip(days.tolist(), blocks.tolist(), strict=True)),
    )


def measure_forecasts(
    parts: Mapping[tuple[str, ...], tuple[Model, Rows]],
    config: AuditConfig,
    ratios: Mapping[str, Ratio] | None = None,
) -> dict[tuple[str, ...], MeasuredForecasts]:
    """Measure every part {key: (model, rows [m])} under the same draws of blocks.

    All models are of one population. ratios: what to measure; the task's metrics by default.
    """
    if not parts:
        return {}
    wanted = RATIOS[config.task] if ratios is None else ratios
    sums = np.stack([model.sums(rows) for model, rows in parts.values()], axis=1)
    blocks = len(sums)
    weights = draw_weights(
        np.arange(blocks, dtype=np.int64),
        np.ones(blocks),
        draws=config.bootstrap_draws,
        seed=config.bootstrap_seed,
    )
    drawn = np.concatenate([block @ sums.reshape(blocks, -1) for block in weights])
    drawn = drawn.reshape(-1, *sums.shape[1:])
    total = sums.sum(axis=0)
    found = {}
    for i, (key, (model, _)) in enumerate(parts.items()):
        names = model.names
        at = dict(zip(names, total[i][:, None], strict=True))
        of_draws = {name: drawn[:, i, j] for j, name in enumerate(names)}
        of_blocks = {name: sums[:, i, j] for j, name in enumerate(names)}
        left = {name: at[name] - of_block for name, of_block in of_blocks.items()}
        found[key] = MeasuredForecasts(
            rows=round(float(total[i, names.index("one")])),
            blocks=int(np.count_nonzero(sums[:, i, names.index("one")])),
            ranked_blocks=int(np.count_nonzero(sums[:, i, names.index(RANKED)])),
            point={name: float(each(at)[0]) for name, each in wanted.items()},
            samples={name: each(of_draws) for name, each in wanted.items()},
            without={name: each(left) for name, each in wanted.items()},
            effective_blocks={
                name: kish(of_blocks[each.denominator]) for name, each in wanted.items()
            },
        )
    return found


def why_not(name: str, found: MeasuredForecasts, least: int) -> str | None:
    """Why a metric cannot be told from these blocks of time; None if it can."""
    if found.blocks < least:
        return fewer(least, BLOCKS)
    if name == "rank_ic" and found.ranked_blocks < least:
        return fewer(least, RANKED_BLOCKS)
    return None


def metric_of(name: str, found: MeasuredForecasts, least: int) -> Estimate:
    """One metric with its interval, or null with the reason."""
    return estimate_of(found.sampled(name), why_not(name, found, least))


def metrics_of(found: MeasuredForecasts, config: AuditConfig) -> dict[MetricName, Estimate]:
    """Every metric of the task."""
    return {name: metric_of(name, found, config.least_blocks) for name in metric_names(config.task)}


def difference(
    first: MeasuredForecasts, second: MeasuredForecasts, name: str, least: int
) -> Estimate:
    """first minus second on the same rows, paired by draw; null where either cannot be told."""
    reason = why_not_both(first, second, name, least)
    same = all(same_model(first.samples[each], second.samples[each]) for each in first.samples)
    return paired(first.sampled(name), second.sampled(name), reason, same_model=same)


def gap(
    inside: MeasuredForecasts,
    outside: MeasuredForecasts,
    name: str,
    least: int,
    tail: float | None = None,
) -> Estimate:
    """A group minus the rest; tail: see :func:`validation.sampled.gap_between`."""
    reason = why_not_both(inside, outside, name, least)
    return gap_between(inside.sampled(name), outside.sampled(name), tail, reason)


def why_not_both(
    first: MeasuredForecasts, second: MeasuredForecasts, name: str, least: int
) -> str | None:
    """Why two parts cannot be compared in a metric; None if they can."""
    return why_not_compared(why_not(name, first, least), why_not(name, second, least))

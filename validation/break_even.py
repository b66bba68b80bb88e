"""The cost of trading at which a signal from forecasts of a direction would earn nothing."""

import numpy as np
import numpy.typing as npt

from validation.config import AuditConfig
from validation.estimates import Estimate
from validation.forecast_populations import NETWORK, ForecastPopulation
from validation.intervals import draw_weights, percentile_interval, standard_error
from validation.ranking import FloatArray


def break_even_cost(population: ForecastPopulation, config: AuditConfig) -> Estimate | None:
    """Gross log return over turnover, with its interval over blocks; None without returns.

    The position of a row is the sign of (probability - .5): long, short or none; its turnover is
    how far that lies from the instrument's position one row before (none before the first), so a
    turn from long to short trades twice. In log return per unit traded; 0.0001 is a basis point.
    It is reported and judges nothing. Rows without a known label or return take no part.
    """
    if population.returns is None:
        return None
    kept = population.known & np.isfinite(population.returns)
    blocks, gross, traded = _rows(population, kept)
    if traded.sum() == 0.0:
        return Estimate(reason="nothing would have been traded")
    names, place = np.unique(blocks, return_inverse=True)
    if len(names) < config.least_blocks:
        return Estimate(reason=f"fewer than {config.least_blocks} blocks of time")
    sums = np.column_stack([np.bincount(place, weights=each) for each in (gross, traded)])
    weights = draw_weights(
        np.arange(len(names)),
        np.ones(len(names)),
        draws=config.bootstrap_draws,
        seed=config.bootstrap_seed,
    )
    drawn = np.concatenate([block @ sums for block in weights])
    with np.errstate(divide="ignore", invalid="ignore"):
        samples = drawn[:, 0] / drawn[:, 1]
    return _estimate(float(gross.sum() / traded.sum()), samples)


def _rows(
    population: ForecastPopulation, kept: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.intp], FloatArray, FloatArray]:
    """Block, return earned and turnover of each kept row, [m], by instrument and time."""
    returns = np.asarray(population.returns)[kept]
    if not kept.any():
        nothing = np.zeros(0)
        return np.zeros(0, dtype=np.intp), nothing, nothing
    subjects, score = population.subjects[kept], population.forecasts[NETWORK][kept, 0]
    order = np.lexsort((population.days[kept], subjects))
    subjects, position = subjects[order], np.sign(score[order] - 0.5)
    before = np.concatenate([[0.0], position[:-1]])
    before[1:][subjects[1:] != subjects[:-1]] = 0.0
    blocks = population.blocks[kept][order]
    return blocks, position * returns[order], np.abs(position - before)


def _estimate(value: float, samples: FloatArray) -> Estimate:
    low, high = percentile_interval(samples)
    if not np.isfinite([low, high]).all():
        return Estimate(value=value, reason="too many draws trade nothing: no interval")
    return Estimate(value=value, low=low, high=high, standard_error=standard_error(samples))

"""Intervals by resampling clusters: whole patients or matched sets, never single rows.

Rows of one cluster are alike, so rows drawn one by one understate the spread. A draw is a
multinomial count per cluster; the count multiplies the weights of all rows of the cluster.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from validation.ranking import FloatArray

LEVEL = 0.95
# Weights held at once: 2^20 doubles are 8 MiB, about a core's share of cache.
BLOCK_ELEMENTS = 1 << 20
# A metric that this share of draws cannot give has no percentile interval.
UNDEFINED_DRAWS_TOLERATED = 0.01


def draw_counts(
    clusters: npt.NDArray[np.int64],
    *,
    draws: int,
    seed: int,
    block_elements: int = BLOCK_ELEMENTS,
) -> Iterator[FloatArray]:
    """Yield blocks [d, n] of how often each row was drawn, `draws` rows in all.

    clusters [n]: cluster of each row. The same seed gives the same rows whatever the block size.
    Raises ValueError where there is nothing to draw.
    """
    if len(clusters) == 0 or draws < 1:
        raise ValueError("a bootstrap needs at least one row and one draw")
    names, member = np.unique(clusters, return_inverse=True)
    rng = np.random.default_rng(seed)
    per_block = max(1, block_elements // len(clusters))
    for start in range(0, draws, per_block):
        counts = _cluster_counts(rng, min(per_block, draws - start), len(names))
        yield counts[:, member]


def draw_weights(
    clusters: npt.NDArray[np.int64],
    weights: FloatArray,
    *,
    draws: int,
    seed: int,
    block_elements: int = BLOCK_ELEMENTS,
) -> Iterator[FloatArray]:
    """Yield blocks [d, n] of bootstrap weights: `draw_counts` times the rows' own weights [n]."""
    for counts in draw_counts(clusters, draws=draws, seed=seed, block_elements=block_elements):
        yield counts * weights


def _cluster_counts(rng: np.random.Generator, draws: int, clusters: int) -> FloatArray:
    picked = rng.integers(0, clusters, size=(draws, clusters))
    picked += clusters * np.arange(draws)[:, None]
    counts = np.bincount(picked.ravel(), minlength=draws * clusters)
    return counts.reshape(draws, clusters).astype(np.float64)


def bootstrap(
    statistic: Callable[[FloatArray], FloatArray],
    clusters: npt.NDArray[np.int64],
    weights: FloatArray,
    *,
    draws: int,
    seed: int,
) -> FloatArray:
    """Values [draws, ...] of statistic(weights [d, n]) -> [d, ...] under resampled clusters."""
    blocks = draw_weights(clusters, weights, draws=draws, seed=seed)
    return np.concatenate([statistic(block) for block in blocks])


def enough_defined(samples: FloatArray) -> bool:
    """Whether samples [draws] carry an interval: hardly any draw could not give the metric."""
    finite = int(np.isfinite(samples).sum())
    return finite > 0 and finite >= (1.0 - UNDEFINED_DRAWS_TOLERATED) * len(samples)


def percentile_interval(samples: FloatArray, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of samples [draws] (Efron, 1981); (NaN, NaN) if too many are NaN."""
    if not enough_defined(samples):
        return float("nan"), float("nan")
    finite = samples[np.isfinite(samples)]
    tail = 0.5 * (1.0 - level)
    low, high = np.quantile(finite, [tail, 1.0 - tail])
    return float(low), float(high)


def standard_error(samples: FloatArray) -> float:
    """Standard deviation of the finite samples [draws]; NaN for fewer than two."""
    finite = samples[np.isfinite(samples)]
    return float(np.std(finite, ddof=1)) if len(finite) > 1 else float("nan")

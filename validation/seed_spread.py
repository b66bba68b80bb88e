"""The spread between seeds in the intervals of a released ensemble.

Another day's training draws other seeds. Per bootstrap draw the ensemble's S seeds are drawn with
replacement, and each draw's value moves as that multiset of seeds would move it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb, factorial, prod

import numpy as np

from validation.config import AuditConfig
from validation.metrics import prepare
from validation.populations import Population, ensemble_score
from validation.ranking import FloatArray, IntArray
from validation.tasks import METRIC_NAMES

# 3 seeds have 10 multisets, 4 have 35, 5 have 126: of many, so many are drawn at random.
MOST_MULTISETS = 64
_STREAM = 0x5EED


@dataclass(frozen=True)
class Multisets:
    """times [k, S]: how often each of S seeds is taken; chance [k] of each, in all 1."""

    times: IntArray
    chance: FloatArray


def multisets(seeds: int, random_seed: int) -> Multisets:
    """All multisets of `seeds` seeds with their multinomial chance, or 64 drawn by it."""
    if comb(2 * seeds - 1, seeds) > MOST_MULTISETS:
        rng = np.random.default_rng([random_seed, _STREAM])
        times = rng.multinomial(seeds, np.full(seeds, 1.0 / seeds), MOST_MULTISETS)
        return Multisets(times.astype(np.intp), np.full(MOST_MULTISETS, 1.0 / MOST_MULTISETS))
    counted = [Counter(one) for one in combinations_with_replacement(range(seeds), seeds)]
    times = np.array([[one[i] for i in range(seeds)] for one in counted], dtype=np.intp)
    ways = [factorial(seeds) / prod(map(factorial, one)) for one in times.tolist()]
    return Multisets(times, np.array(ways) / seeds**seeds)


def seed_offsets(
    population: Population, rows: Sequence[IntArray | None], config: AuditConfig
) -> FloatArray:
    """What each draw's seeds add to its values, [draws, parts, metrics of METRIC_NAMES].

    rows: of each part [m], None for one that no seed of the network has a say in (a challenger).
    All parts of a draw have the same seeds, so that differences stay paired. 0 where the
    population has no scores by seed.

    A multiset repeats seeds, so on average it is the worse ensemble: only how it differs from that
    average is chance. The factor sqrt(S / (S - 1)) makes the spread of S seeds that of their
    mean's unbiased variance (Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982).
    """
    draws = config.bootstrap_draws
    offsets = np.zeros((draws, len(rows), len(METRIC_NAMES)))
    if population.seeds is None:
        return offsets
    seeds = len(population.seeds)
    found = multisets(seeds, config.bootstrap_seed)
    rng = np.random.default_rng([config.bootstrap_seed, _STREAM, 1])
    drawn = rng.choice(len(found.chance), draws, p=found.chance)
    scores = [ensemble_score(population.seeds, times) for times in found.times]
    for i, part in enumerate(rows):
        if part is not None:
            values = _values(population, part, scores, config.selected_from)
            centred = values - found.chance @ values
            offsets[:, i] = np.sqrt(seeds / (seeds - 1)) * centred[drawn]
    return offsets


def _values(
    population: Population, rows: IntArray, scores: Sequence[FloatArray], threshold: float
) -> FloatArray:
    """Metrics [k, metrics] of each multiset's scores under the rows' own weights."""
    y, weight = population.y[rows], population.weight[rows]
    found = []
    for score in scores:
        measure = prepare(y, score[rows], threshold)
        found.append(measure(weight[None, measure.ranking.order])[0])
    return np.stack(found)

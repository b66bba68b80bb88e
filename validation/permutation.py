"""How large a gap would be if the groups' members were exchanged at random: a diagnostic.

Whole clusters are exchanged (a patient, a matched set), and only those whose members are all of
one level: a cluster of several levels stays as it is. It asks whether groups are exchangeable, a
narrower question than a line's, so nothing is judged by it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from validation.config import AuditConfig
from validation.evidence import Gap, PopulationEvidence
from validation.intervals import BLOCK_ELEMENTS, enough_defined
from validation.metrics import metric
from validation.populations import Population, populations_of
from validation.ranking import FloatArray
from validation.simultaneous import judged_gaps
from validation.tasks import MetricName

EXCHANGES = 200
_ROUNDING = 1e-12

_GapKey = tuple[str, str, MetricName]
_Levels = npt.NDArray[np.intp]


def with_permutation_shares(
    populations: Sequence[PopulationEvidence], predictions: pl.DataFrame, config: AuditConfig
) -> tuple[PopulationEvidence, ...]:
    """The same evidence; the gaps that a line is about have their permutation_share.

    Of the task risk. Raises UnauditableTable as the audit does.
    """
    tables = {each.name: each for each in populations_of(predictions, config, ())}
    return tuple(_with_shares(each, tables[each.population], config) for each in populations)


def _with_shares(
    measured: PopulationEvidence, population: Population, config: AuditConfig
) -> PopulationEvidence:
    wanted = {(by, name) for on, by, name in judged_gaps(config) if on == measured.population}
    shares: dict[_GapKey, float | None] = {}
    for attribute in sorted({attribute for attribute, _ in wanted}):
        gaps = [gap for gap in measured.gaps if (gap.attribute, gap.metric) in wanted]
        gaps = [gap for gap in gaps if gap.attribute == attribute]
        shares |= _shares(population, attribute, gaps, config)
    return measured.model_copy(
        update={
            "gaps": tuple(
                gap.model_copy(update={"permutation_share": shares[key]})
                if (key := (gap.attribute, gap.level, gap.metric)) in shares
                else gap
                for gap in measured.gaps
            )
        }
    )


def _shares(
    population: Population, attribute: str, gaps: Sequence[Gap], config: AuditConfig
) -> dict[_GapKey, float | None]:
    """Key of a gap -> its share, None where it cannot be told."""
    names, levels = np.unique(population.attributes[attribute].to_numpy(), return_inverse=True)
    exchange = exchangeable(levels, population.clusters)
    told = [gap for gap in gaps if gap.estimate.value is not None]
    if exchange is None or not told:
        return {}
    exchanged: dict[_GapKey, list[FloatArray]] = {
        (gap.attribute, gap.level, gap.metric): [] for gap in told
    }
    for block in _blocks(exchange, len(levels), config.bootstrap_seed):
        for gap in told:
            inside = (block == names.tolist().index(gap.level)) * population.weight
            rest = population.weight - inside
            found = [
                metric(gap.metric, population.y, population.score, one, config.selected_from)
                for one in (inside, rest)
            ]
            exchanged[gap.attribute, gap.level, gap.metric].append(found[0] - found[1])
    return {
        key: share_at_least(float(gap.estimate.value or 0.0), np.concatenate(exchanged[key]))
        for gap in told
        for key in [(gap.attribute, gap.level, gap.metric)]
    }


def share_at_least(observed: float, exchanged: FloatArray) -> float | None:
    """Share of exchanges [k], the observed one among them, whose gap is at least as large.

    (1 + how many) / (1 + k): Phipson and Smyth, Stat Appl Genet Mol Biol 2010.
    """
    if not enough_defined(exchanged):
        return None
    told = exchanged[np.isfinite(exchanged)]
    as_large = np.abs(told) >= abs(observed) - _ROUNDING
    return float((1 + as_large.sum()) / (1 + len(told)))


# ---- exchanging --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exchange:
    """levels [n] of the rows as they are; of_cluster [c]: level of each cluster that may move;
    rows [m] of those clusters, and the number of each one's cluster, member [m]."""

    levels: _Levels
    of_cluster: _Levels
    rows: _Levels
    member: _Levels

    def __call__(self, rng: np.random.Generator) -> _Levels:
        """Levels [n] after one exchange among the clusters that may move."""
        found = self.levels.copy()
        found[self.rows] = rng.permutation(self.of_cluster)[self.member]
        return found


def exchangeable(levels: _Levels, clusters: npt.NDArray[np.int64]) -> Exchange | None:
    """What may move; None where no two whole clusters are of different levels. All [n]."""
    _, first, number = np.unique(clusters, return_index=True, return_inverse=True)
    is_of_another = levels != levels[first][number]
    whole = np.bincount(number, weights=is_of_another) == 0
    of_cluster = levels[first][whole]
    if len(np.unique(of_cluster)) < 2:
        return None
    rows = np.flatnonzero(whole[number])
    place = np.cumsum(whole) - 1
    return Exchange(levels, of_cluster, rows, place[number[rows]])


def _blocks(exchange: Exchange, rows: int, seed: int) -> Iterator[_Levels]:
    rng = np.random.default_rng([seed, 0xE8C])
    per_block = max(1, BLOCK_ELEMENTS // rows)
    for start in range(0, EXCHANGES, per_block):
        yield np.stack([exchange(rng) for _ in range(min(per_block, EXCHANGES - start))])

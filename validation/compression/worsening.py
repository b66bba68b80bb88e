"""By how much a smaller model's gaps may have worsened, on the same subjects and draws.

The gap of a group is g before and h after. What is asked is whether |h| - |g| is small, and since
||h| - |g|| <= |h - g|, a change in either direction counts as a worsening, unless both gaps are
known to lie on one side of 0: then a change towards 0 is none.

Where decisions alone count, a smaller model may decide alike about everybody here, and the draws
then show no spread at all. That none of n changed tells that fewer than 1 - .025^(1/n) do (the
rule of three), so no bound on a rate is ever smaller than that of the two sides together.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from validation.compression.records import (
    CompressedPopulation,
    CompressionEvidence,
    GapChange,
)
from validation.config import AuditConfig
from validation.estimates import Estimate
from validation.groups import Group, UnauditableTable, groups_of
from validation.measuring import (
    Measured,
    Part,
    difference,
    measure_parts,
    part_of,
    why_not_both,
)
from validation.populations import Population, populations_of
from validation.sampled import SINGLE_TAIL, Sampled, estimate_of
from validation.tasks import METRIC_NAMES, MetricName

UNCOMPRESSED = "uncompressed"
OTHER_SUBJECTS = "the two models were not audited on the same subjects and labels"
OF_FORECASTS = "gaps of forecasts are not compared"
# Metrics that a subject moves by changing sides of the threshold.
RATES: frozenset[MetricName] = frozenset({"tpr", "fpr", "ppv", "selection_rate"})

_Key = tuple[str, ...]
_NOW, _BEFORE = "now", "before"


def compared_with_uncompressed(
    predictions: pl.DataFrame,
    uncompressed: pl.DataFrame,
    config: AuditConfig,
    *,
    form: str,
    key: str,
) -> CompressionEvidence:
    """Every gap in every metric and population, beside the one before.

    predictions, uncompressed: the tables of both models, of the same subjects in any order.
    """
    words = CompressionEvidence(form=form, uncompressed=key)
    if config.is_forecast:
        return words.model_copy(update={"reason": OF_FORECASTS})
    try:
        both = _joined(predictions, uncompressed)
        found = tuple(
            _compared(population, config)
            for population in populations_of(both, config, (UNCOMPRESSED,))
        )
    except UnauditableTable as error:
        return words.model_copy(update={"reason": f"the two models cannot be compared: {error}"})
    return words.model_copy(update={"populations": found})


def _joined(predictions: pl.DataFrame, uncompressed: pl.DataFrame) -> pl.DataFrame:
    """The table with the scores before as those of a challenger.

    Without the single seeds' scores: both models have the same, so that another seed would have
    changed both alike, and their spread says nothing of the difference.
    """
    scores = [name for name in ("score", "score_cross_fitted") if name in predictions.columns]
    if not {"subject_id", "label", "split", *scores} <= set(uncompressed.columns):
        raise UnauditableTable(OTHER_SUBJECTS)
    others = uncompressed.select(
        "subject_id",
        pl.col("label").alias("_label"),
        pl.col("split").alias("_split"),
        *(pl.col(name).alias(name.replace("score", UNCOMPRESSED)) for name in scores),
    )
    both = predictions.join(others, on="subject_id", how="inner", maintain_order="left")
    same = both.select((_same("label") & _same("split")).all()).item()
    if not (same and both.height == predictions.height == uncompressed.height):
        raise UnauditableTable(OTHER_SUBJECTS)
    return both.drop(pl.selectors.starts_with("score_seed_"), "_label", "_split")


def _same(name: str) -> pl.Expr:
    return pl.col(name).eq_missing(pl.col(f"_{name}"))


def _compared(population: Population, config: AuditConfig) -> CompressedPopulation:
    groups = groups_of(population.attributes, config)
    parts = _parts(population, groups, config)
    results = measure_parts(population, list(parts.values()), config)
    of = dict(zip(parts, results, strict=True))
    return CompressedPopulation(
        population=population.name,
        overall={name: difference(of[_NOW,], of[_BEFORE,], name, config) for name in METRIC_NAMES},
        gaps=tuple(change for group in groups for change in _changes(group, of, config)),
    )


def _parts(
    population: Population, groups: Sequence[Group], config: AuditConfig
) -> dict[_Key, Part]:
    everyone = np.arange(len(population.y), dtype=np.intp)
    sides: dict[_Key, np.ndarray] = {(): everyone}
    for group in groups:
        for side, rows in (("inside", group.rows), ("outside", group.rest)):
            if len(rows) >= config.minimum_cell_subjects:
                sides[side, group.attribute, group.level] = rows
    scores = {_NOW: population.score, _BEFORE: population.challengers[UNCOMPRESSED]}
    return {
        (when, *side): part_of(population, rows, score, config)
        for side, rows in sides.items()
        for when, score in scores.items()
    }


def _changes(group: Group, of: Mapping[_Key, Measured], config: AuditConfig) -> Iterator[GapChange]:
    keys = [
        (when, side, group.attribute, group.level)
        for when in (_NOW, _BEFORE)
        for side in ("inside", "outside")
    ]
    four = [of.get(key) for key in keys]
    for name in METRIC_NAMES:
        known = [each for each in four if each is not None]
        if len(known) < len(four):
            change, worsening = Estimate(reason="too few subjects"), None
        else:
            change, worsening = _change(name, known, config)
        yield GapChange(
            metric=name,
            attribute=group.attribute,
            level=group.level,
            change=change,
            worsening=worsening,
        )


def _change(
    name: MetricName, four: Sequence[Measured], config: AuditConfig
) -> tuple[Estimate, float | None]:
    """Gap now minus gap before; and the bound of the worsening. four: now and before, each inside
    and outside."""
    for inside, outside in (four[:2], four[2:]):
        if (reason := why_not_both(inside, outside, name, config)) is not None:
            return Estimate(reason=reason), None
    now, before = (
        _minus(inside.sampled(name), outside.sampled(name))
        for inside, outside in (four[:2], four[2:])
    )
    change = estimate_of(_minus(now, before))
    if change.low is None or change.high is None:
        return change, None
    least = _none_of(four, name) if name in RATES else 0.0
    return change, max(_worsening(change, estimate_of(now), estimate_of(before)), least)


def _minus(one: Sampled, other: Sampled) -> Sampled:
    return Sampled(
        one.value - other.value,
        one.samples - other.samples,
        "plain",
        min(one.clusters, other.clusters),
        min(one.rows, other.rows),
    )


def _worsening(change: Estimate, now: Estimate, before: Estimate) -> float:
    """The upper bound of |now| - |before|, where change is now - before; at least 0."""
    low, high = float(change.low or 0.0), float(change.high or 0.0)
    if _side(now) == _side(before) == 1:
        return max(high, 0.0)
    if _side(now) == _side(before) == -1:
        return max(-low, 0.0)
    return max(high, -low)


def _side(gap: Estimate) -> int:
    """1 of a gap above 0, -1 of one below, 0 where that cannot be told."""
    if gap.low is None or gap.high is None:
        return 0
    return int(gap.low > 0.0) - int(gap.high < 0.0)


def _none_of(four: Sequence[Measured], name: MetricName) -> float:
    """What may still change where none did: of the group's own side, and of the rest's."""
    now = four[0].sampled(name), four[1].sampled(name)
    return sum(rule_of_three(side.clusters) for side in now)


def rule_of_three(n: float) -> float:
    """The share below which, at 97.5 %, those lie of whom there was none among n."""
    return float(1.0 - SINGLE_TAIL ** (1.0 / max(n, 1.0)))

"""An audit under a mitigation: judged as subjects are decided on, and compared with before.

What a score alone decides (ranking, calibration) is measured on the score; what a threshold
decides, on each subject's own threshold. To that end the score's odds are moved by a factor that
turns the subject's threshold into the study's: the same subjects are then selected.
"""

import re
from collections.abc import Sequence

import polars as pl

from validation.config import AuditConfig
from validation.estimates import Counts
from validation.evidence import Gap, GroupPerformance, PopulationEvidence
from validation.groups import UnauditableTable
from validation.mitigation.effects import effects
from validation.mitigation.records import MitigationEvidence
from validation.populations import belongs_to, populations_of
from validation.ranking import FloatArray
from validation.tasks import MetricName, PopulationName

AT_THRESHOLD: tuple[MetricName, ...] = ("tpr", "fpr", "ppv", "selection_rate", "net_benefit")
_SCORES = r"score(_cross_fitted|_seed_\d+)?"


def decided_scores(
    predictions: pl.DataFrame, thresholds: FloatArray, policy: AuditConfig
) -> pl.DataFrame:
    """The predictions with every score's odds moved so that the study's threshold decides.

    thresholds [n] in (0, 1): each row's own. Where it is the study's, a score keeps its bits.
    """
    if not ((thresholds > 0.0) & (thresholds < 1.0)).all():
        raise UnauditableTable("a threshold is not between 0 and 1")
    study = policy.selected_from
    odds = (study / (1.0 - study)) / (thresholds / (1.0 - thresholds))
    factor, own = pl.Series("_factor", odds), pl.Series("_own", thresholds != study)
    names = [name for name in predictions.columns if re.fullmatch(_SCORES, name)]
    moved = [
        pl.when("_own").then(score * pl.col("_factor") / _whole(score)).otherwise(score)
        for score in map(pl.col, names)
    ]
    return predictions.with_columns(factor, own).with_columns(moved).drop("_factor", "_own")


def _whole(score: pl.Expr) -> pl.Expr:
    return score * pl.col("_factor") + (1.0 - score)


def mitigated_populations(
    plain: Sequence[PopulationEvidence], decided: Sequence[PopulationEvidence]
) -> tuple[PopulationEvidence, ...]:
    """The audit of the predictions as they are, its threshold metrics replaced by the decisions'.

    decided: the same audit of `decided_scores`.
    """
    return tuple(_merged(one, two) for one, two in zip(plain, decided, strict=True))


def _merged(plain: PopulationEvidence, decided: PopulationEvidence) -> PopulationEvidence:
    gaps = {_place(gap): gap for gap in decided.gaps if gap.metric in AT_THRESHOLD}
    groups = zip(plain.groups, decided.groups, strict=True)
    others = zip(plain.challengers, decided.challengers, strict=True)
    return plain.model_copy(
        update={
            "overall": _group(plain.overall, decided.overall),
            "groups": tuple(_group(one, two) for one, two in groups),
            "gaps": tuple(gaps.get(_place(gap), gap) for gap in plain.gaps),
            "challengers": tuple(
                one.model_copy(
                    update={
                        "difference": one.difference
                        | {k: v for k, v in two.difference.items() if k in AT_THRESHOLD}
                    }
                )
                for one, two in others
            ),
        }
    )


def _group(plain: GroupPerformance, decided: GroupPerformance) -> GroupPerformance:
    own = {name: value for name, value in decided.metrics.items() if name in AT_THRESHOLD}
    pooled = {name: value for name, value in decided.pooled.items() if name in AT_THRESHOLD}
    # What the decisions' audit shows is safe beside its own counts: nothing that it hides is shown.
    withheld = dict.fromkeys((*plain.withheld, *decided.withheld))
    return plain.model_copy(
        update={
            "counts": _both(plain.counts, decided.counts),
            "metrics": plain.metrics | own,
            "pooled": plain.pooled | pooled,
            "withheld": tuple(withheld),
        }
    )


def _both(plain: Counts, decided: Counts) -> Counts:
    """The counts that both audits show."""
    hidden = (name for name, count in decided if count is None)
    return plain.model_copy(update=dict.fromkeys(hidden))


def _place(gap: Gap) -> tuple[str, str, MetricName]:
    return gap.attribute, gap.level, gap.metric


# ---- before and after --------------------------------------------------------------------------


def before_and_after(
    predictions: pl.DataFrame,
    before: pl.DataFrame | None,
    thresholds: FloatArray | None,
    policy: AuditConfig,
    mitigation: MitigationEvidence,
) -> MitigationEvidence:
    """The mitigation with its effects on fairness and utility in every population.

    before: the predictions with the scores of the twin that was trained without it; None where
    the scores are the same. thresholds [n]: None where all have the study's.
    """
    twins = populations_of(predictions if before is None else before, policy, ())
    now = predictions.with_columns(
        threshold=pl.lit(policy.selected_from) if thresholds is None else pl.Series(thresholds)
    )
    found = [
        effects(population, twin, _limits(now, population.name), policy, mitigation.attribute)
        for population, twin in zip(populations_of(now, policy, ()), twins, strict=True)
    ]
    return mitigation.model_copy(update={"populations": tuple(found)})


def _limits(predictions: pl.DataFrame, name: PopulationName) -> FloatArray:
    limits: FloatArray = predictions.filter(belongs_to(name))["threshold"].to_numpy()
    return limits

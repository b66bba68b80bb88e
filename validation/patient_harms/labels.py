"""The audit made again with one thing changed: other weights, or another label.

The scores stay: what moves is what they are judged against (label-choice bias: Obermeyer et al.,
Science 2019).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from validation.audit import audit_predictions_table
from validation.config import AuditConfig
from validation.estimates import Estimate
from validation.evidence import Gap, PopulationEvidence
from validation.groups import Group, UnauditableTable
from validation.mitigation.mitigated import decided_scores, mitigated_populations
from validation.mitigation.records import THRESHOLD
from validation.patient_harms.gaps import finding, single_groups
from validation.patient_harms.ratios import Key, Ratio, Sampled, sample_ratios, untold
from validation.patient_harms.records import OtherLabel, PairedGap, PatientHarm
from validation.populations import Population, populations_of
from validation.ranking import ratio
from validation.tasks import MetricName, PopulationName

# What decides a label and its weight; another label brings its own.
LABEL_COLUMNS = ("label", "weight", "outcome", "followed_days")
# Draws of an audit that decides nothing: enough for an interval, at a part of the price.
MOST_DRAWS = 400


def without_weights(
    predictions: pl.DataFrame, declared: PopulationEvidence, policy: AuditConfig
) -> tuple[PairedGap, ...]:
    """The gaps of the lines with and without the weights for censoring; censored stay out."""
    known = pl.col("label").is_not_null()
    # Without outcome and followed_days nobody can estimate the weights anew.
    plain = predictions.drop("outcome", "followed_days", strict=False).with_columns(
        weight=known.cast(pl.Float64)
    )
    again = _again(plain, policy, declared.population)
    return _paired(declared, again, policy)


def other_labels(
    predictions: pl.DataFrame,
    alternatives: pl.DataFrame,
    declared: PopulationEvidence,
    policy: AuditConfig,
) -> tuple[tuple[OtherLabel, ...], tuple[PatientHarm, ...]]:
    """Each other label's AUROC, O:E and gaps; and whom it counts more cases of.

    alternatives: title, subject_id, label (null = censored) and weight, perhaps outcome and
    followed_days, one row per subject and title. Raises UnauditableTable as the audit does, and
    where a title has no label for a subject of the predictions.
    """
    labels: list[OtherLabel] = []
    findings: list[PatientHarm] = []
    for title in alternatives["title"].unique(maintain_order=True):
        relabelled = _relabelled(predictions, alternatives.filter(title=title), str(title))
        again = _again(relabelled, policy, declared.population)
        labels.append(
            OtherLabel(
                title=str(title),
                auroc=again.overall.metrics["auroc"],
                observed_expected=again.overall.metrics["observed_expected"],
                gaps=_paired(declared, again, policy),
            )
        )
        findings += _more_cases(predictions, relabelled, str(title), declared.population, policy)
    return tuple(labels), tuple(findings)


def _relabelled(predictions: pl.DataFrame, other: pl.DataFrame, title: str) -> pl.DataFrame:
    own = [name for name in LABEL_COLUMNS if name in other.columns]
    joined = predictions.drop(LABEL_COLUMNS, strict=False).join(
        other.select("subject_id", *own), on="subject_id", how="left", maintain_order="left"
    )
    if other["subject_id"].n_unique() != other.height or joined["weight"].null_count():
        raise UnauditableTable(f"label {title!r}: not one row for each subject")
    return joined


def _again(
    predictions: pl.DataFrame, policy: AuditConfig, on: PopulationName
) -> PopulationEvidence:
    used = tuple(dict.fromkeys(attribute for _, attribute in _lines(policy)))
    config = policy.model_copy(
        update={
            "attributes": used or policy.attributes,
            "crossings": (),
            "bootstrap_draws": min(policy.bootstrap_draws, MOST_DRAWS),
        }
    )
    found = audit_predictions_table(predictions, config, challengers=())
    if THRESHOLD in predictions.columns:
        moved = decided_scores(predictions, predictions[THRESHOLD].to_numpy(), config)
        decided = audit_predictions_table(moved, config, challengers=())
        found = mitigated_populations(found, decided)
    return next(each for each in found if each.population == on)


def _lines(policy: AuditConfig) -> list[tuple[MetricName, str]]:
    """Metric and attribute of every line on a gap, gating before reported."""
    lines = (*policy.gating, *policy.reported)
    return list(dict.fromkeys((x.metric, x.group) for x in lines if x.kind == "gap"))


def _paired(
    declared: PopulationEvidence, again: PopulationEvidence, policy: AuditConfig
) -> tuple[PairedGap, ...]:
    lines = _lines(policy)
    before = {_place(gap): gap.estimate for gap in declared.gaps}
    return tuple(
        PairedGap(
            metric=gap.metric,
            attribute=gap.attribute,
            level=gap.level,
            declared=one,
            otherwise=gap.estimate,
            moved=_moved(one, gap.estimate),
        )
        for gap in again.gaps
        if (gap.metric, gap.attribute) in lines and (one := before.get(_place(gap))) is not None
    )


def _place(gap: Gap) -> tuple[str, str, str]:
    return gap.metric, gap.attribute, gap.level


def _moved(one: Estimate, other: Estimate) -> float | None:
    if one.value is None or other.value is None:
        return None
    return other.value - one.value


# ---- whom the other label counts more cases of -------------------------------------------------


def _more_cases(
    predictions: pl.DataFrame,
    relabelled: pl.DataFrame,
    title: str,
    on: PopulationName,
    policy: AuditConfig,
) -> Iterator[PatientHarm]:
    """Cases by this label per case by the declared one, in each group against the rest."""
    pair = [_population(frame, on, policy) for frame in (predictions, relabelled)]
    groups = single_groups(pair[0].attributes, policy)
    ratios = [
        _prevalence(name, each) for name, each in zip(("declared", "other"), pair, strict=True)
    ]
    draws, seed = policy.bootstrap_draws, policy.bootstrap_seed
    sampled = sample_ratios(ratios, groups, pair[0].clusters, draws=draws, seed=seed)
    for attribute in dict.fromkeys(group.attribute for group in groups):
        levels = [group for group in groups if group.attribute == attribute]
        reasons = _reasons(ratios, levels, policy)
        for group in levels:
            found = _quotient(sampled, group)
            reason = reasons.get(group.level)
            yield finding("label_choice", "cases_per_declared_case", group, found, reason, title)


def _population(frame: pl.DataFrame, on: PopulationName, policy: AuditConfig) -> Population:
    return next(each for each in populations_of(frame, policy, ()) if each.name == on)


def _prevalence(name: str, population: Population) -> Ratio:
    weight, y = population.weight, population.y
    case, other = (weight > 0) & (y == 1.0), (weight > 0) & (y == 0.0)
    return Ratio(name, weight * y, weight, 1.0, case, other, "cases")


def _reasons(ratios: Sequence[Ratio], levels: list[Group], policy: AuditConfig) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in ratios:
        found |= untold(each, levels, policy.least_positives, policy.minimum_cell_subjects)
    return found


def _quotient(sampled: dict[Key, Sampled], group: Group) -> Sampled:
    declared, other = (
        sampled[name, group.attribute, group.level] for name in ("declared", "other")
    )
    point_in = ratio(np.array([other.inside]), np.array([declared.inside]))
    point_out = ratio(np.array([other.outside]), np.array([declared.outside]))
    return Sampled(
        float(point_in[0]),
        float(point_out[0]),
        ratio(other.inside_samples, declared.inside_samples),
        ratio(other.outside_samples, declared.outside_samples),
    )

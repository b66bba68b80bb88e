"""Harms to patients that no gap in an error shows, in numbers with intervals and in words.

calibration: a group's risks are too low or too high. alert_burden: who is called how often, and
in vain. exclusion, censoring: who is not in the audit. measurement: who was tested less, so that
the model knows less. label_choice: whose cases another definition of the outcome would count.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from validation.config import AuditConfig
from validation.data_evidence import FlowStep
from validation.estimates import Estimate
from validation.evidence import PopulationEvidence
from validation.groups import UnauditableTable
from validation.mitigation.records import THRESHOLD
from validation.patient_harms.family import judged
from validation.patient_harms.flow import exclusions
from validation.patient_harms.gaps import burdens, findings, measuring, single_groups
from validation.patient_harms.labels import other_labels, without_weights
from validation.patient_harms.records import (
    CALIBRATION,
    OtherLabel,
    PatientHarm,
    PatientHarms,
)
from validation.populations import Population, belongs_to, populations_of
from validation.ranking import FloatArray

TESTS, NEVER_MEASURED = "tests", "share_missing"
NO_TESTS = "how often subjects were tested is not in the predictions"
NO_LABELS = "no other definition of the outcome was given"
NO_FLOW = "the flow does not say who was excluded by group"


def patient_harms(
    predictions: pl.DataFrame,
    populations: Sequence[PopulationEvidence],
    policy: AuditConfig,
    *,
    flow: Sequence[FlowStep] = (),
    alternatives: pl.DataFrame | None = None,
) -> PatientHarms:
    """Look for every harm in the population of all subjects, or in the holdout.

    Args:
        predictions: as in audit_predictions_table; with `tests` (measurements known at the index
            time) and `share_missing` (of the channels) also measurement bias is looked for; with
            `threshold`, each subject is decided on by its own.
        populations: what audit_predictions_table made of them.
        flow: the exclusions as the evidence shows them.
        alternatives: see other_labels.

    Raises UnauditableTable where the tables contradict each other.
    """
    population = populations_of(predictions, policy, ())[-1]
    declared = _declared(populations, population)
    rows = predictions.filter(belongs_to(population.name))
    groups = single_groups(population.attributes, policy)
    ratios = [*burdens(population, _selected(population, rows, policy)), *measuring(*_tests(rows))]
    labels: tuple[OtherLabel, ...] = ()
    of_labels: tuple[PatientHarm, ...] = ()
    if alternatives is not None and alternatives.height:
        labels, of_labels = other_labels(predictions, alternatives, declared, policy)
    family = [
        *_calibration(declared, policy),
        *findings(population, groups, ratios, policy),
        *exclusions(flow, policy.attributes),
        *of_labels,
    ]
    return PatientHarms(
        on=population.name,
        findings=_ranked(judged(family)),
        unweighted=without_weights(predictions, declared, policy),
        declared_auroc=declared.overall.metrics["auroc"],
        declared_observed_expected=declared.overall.metrics["observed_expected"],
        other_labels=labels,
        unseen=tuple(_unseen(predictions, flow, labels)),
    )


def _declared(
    populations: Sequence[PopulationEvidence], population: Population
) -> PopulationEvidence:
    found = [each for each in populations if each.population == population.name]
    if len(found) != 1:
        raise UnauditableTable(f"{population.name}: measured {len(found)} times")
    return found[0]


def _selected(population: Population, rows: pl.DataFrame, policy: AuditConfig) -> FloatArray:
    own = rows[THRESHOLD].to_numpy() if THRESHOLD in rows.columns else policy.selected_from
    selected: FloatArray = (population.score >= own).astype(np.float64)
    return selected


def _tests(predictions: pl.DataFrame) -> tuple[FloatArray | None, FloatArray | None]:
    def column(name: str) -> FloatArray | None:
        if name not in predictions.columns or predictions[name].null_count():
            return None
        values: FloatArray = predictions[name].cast(pl.Float64).to_numpy()
        return values

    return column(TESTS), column(NEVER_MEASURED)


def _calibration(declared: PopulationEvidence, policy: AuditConfig) -> Iterator[PatientHarm]:
    for group in declared.groups:
        if group.attribute not in policy.attributes:
            continue
        for quantity in CALIBRATION:
            value = group.metrics.get(quantity, Estimate(reason="not measured"))
            yield PatientHarm(
                harm="calibration",
                quantity=quantity,
                attribute=group.attribute,
                level=group.level,
                value=value,
                difference=_from_one(value),
                words="",
            )


def _from_one(value: Estimate) -> Estimate:
    if value.value is None or value.low is None or value.high is None:
        return Estimate(reason=value.reason or "not measured")
    return Estimate(
        value=value.value - 1.0,
        low=value.low - 1.0,
        high=value.high - 1.0,
        standard_error=value.standard_error,
    )


def _ranked(found: Sequence[PatientHarm]) -> tuple[PatientHarm, ...]:
    """Calibration by how far from 1, O:E before slope; all else in the order of the audit."""
    order: list[str] = list(CALIBRATION)
    calibration = [each for each in found if each.quantity in CALIBRATION]
    others = [each for each in found if each.quantity not in CALIBRATION]
    ranked = sorted(calibration, key=lambda e: (order.index(e.quantity), -_distance(e)))
    return (*ranked, *others)


def _distance(each: PatientHarm) -> float:
    """How far from 1; of a ratio on the logarithm's scale, where twice and half are as far."""
    value = each.value.value
    if value is None:
        return -1.0
    if each.quantity == "observed_expected":
        return abs(float(np.log(value))) if value > 0.0 else float("inf")
    return abs(value - 1.0)


def _unseen(
    predictions: pl.DataFrame, flow: Sequence[FlowStep], labels: Sequence[OtherLabel]
) -> Iterator[str]:
    if TESTS not in predictions.columns:
        yield NO_TESTS
    if not any(step.excluded_groups for step in flow):
        yield NO_FLOW
    if not labels:
        yield NO_LABELS

"""What an audit's predictions gave: performance, groups, harms, or the reason why nothing."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl
from threadpoolctl import threadpool_limits

from pipelines.study import Study
from validation.audit import audit_predictions_table, cells_shown
from validation.data_evidence import CheckResult, Finding, FlowStep
from validation.disclosure.memory import ShownBefore
from validation.evidence import HarmFinding, PopulationEvidence
from validation.forecast_audit import audit_forecasts
from validation.forecast_permutation import with_forecast_shares
from validation.groups import UnauditableTable
from validation.harms import harms
from validation.interval_notes import forecast_interval_notes, interval_notes
from validation.patient_harms.harms import patient_harms
from validation.patient_harms.records import PatientHarms
from validation.permutation import with_permutation_shares
from validation.pooling import with_pooled
from validation.populations import populations_of
from validation.second_route import agreement_with_fairlearn
from validation.tasks import CHALLENGERS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Performance:
    """What the predictions gave; ``reason`` says why there is nothing, and closes the gate.

    memories: what this audit shows of which people, for the audits after it.
    """

    populations: tuple[PopulationEvidence, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    findings: tuple[Finding, ...] = ()
    harms: tuple[HarmFinding, ...] = ()
    patient_harms: PatientHarms | None = None
    memories: tuple[ShownBefore, ...] = ()
    reason: str | None = None

    @property
    def everybody(self) -> PopulationEvidence | None:
        """The population with the most subjects."""
        return max(self.populations, key=lambda p: p.overall.counts.subjects or 0, default=None)

    def with_patient_harms(
        self,
        spec: Study,
        predictions: pl.DataFrame,
        flow: Sequence[FlowStep],
        alternatives: pl.DataFrame | None,
    ) -> "Performance":
        """Of people: with the harms beyond gaps in an error; see ``patient_harms``."""
        if self.reason is not None or spec.audit.is_forecast:
            return self
        try:
            found = patient_harms(
                predictions, self.populations, spec.audit, flow=flow, alternatives=alternatives
            )
        except UnauditableTable as error:
            return _nothing(error)
        return replace(self, patient_harms=found)


def performance_of(
    spec: Study,
    predictions: pl.DataFrame,
    before: Sequence[ShownBefore] = (),
    scored_by: str = "",
) -> Performance:
    """Measure predictions under the study's policy.

    In one thread: sums have one order on every machine, and no thread waits for a busy core.

    before, scored_by: of people, what earlier audits showed, and model and threshold.
    """
    with threadpool_limits(limits=1):
        try:
            if spec.audit.is_forecast:
                return _of_forecasts(spec, predictions)
            return _of_people(spec, predictions, before, scored_by)
        except UnauditableTable as error:
            return _nothing(error)


def _nothing(error: UnauditableTable) -> Performance:
    log.warning("the predictions cannot be audited: %s", error)
    return Performance(reason=f"the predictions cannot be audited: {error}")


def _of_people(
    spec: Study, predictions: pl.DataFrame, before: Sequence[ShownBefore], scored_by: str
) -> Performance:
    policy, challengers = spec.audit, CHALLENGERS[spec.audit.task]
    shown = cells_shown(predictions, policy, before=before, scored_by=scored_by)
    measured = audit_predictions_table(predictions, policy, challengers=challengers, shown=shown)
    agreement = agreement_with_fairlearn(predictions, policy, measured, challengers)
    measured = with_permutation_shares(measured, predictions, policy)
    return Performance(
        populations=tuple(with_pooled(one) for one in measured),
        checks=(agreement,),
        findings=interval_notes(populations_of(predictions, policy, challengers)),
        memories=(shown.memory,),
    )


def _of_forecasts(spec: Study, predictions: pl.DataFrame) -> Performance:
    policy, challengers = spec.audit, CHALLENGERS[spec.audit.task]
    measured = audit_forecasts(predictions, policy, challengers)
    agreement = agreement_with_fairlearn(predictions, policy, measured, challengers)
    measured = with_forecast_shares(measured, predictions, policy)
    return Performance(
        populations=tuple(with_pooled(one) for one in measured),
        checks=(agreement,),
        findings=forecast_interval_notes(measured),
        harms=harms(predictions, policy, challengers),
    )

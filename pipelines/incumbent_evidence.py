"""The audited model against the release that stands, from what both were audited on."""

from pathlib import Path

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from pipelines.study import Study
from validation.evidence import Evidence
from validation.incumbent import IncumbentEvidence
from validation.incumbent_decisions import compared_as_decided
from validation.mitigation.records import THRESHOLD
from validation.mitigation.table import thresholds_of
from validation.non_inferiority import compared_with_incumbent
from validation.ranking import FloatArray


def against_incumbent(
    spec: Study, predictions: pl.DataFrame, incumbent: Path, previous: Evidence | None
) -> IncumbentEvidence:
    """Paired differences, each model deciding by the thresholds that it was audited for.

    predictions: the audited table, with `threshold` where groups have their own.
    incumbent: the table that the release that stands was audited on.
    previous: the evidence of that audit; None where it cannot be read.
    """
    policy, others = spec.audit, pl.read_parquet(incumbent)
    # In one thread: see performance_of.
    with threadpool_limits(limits=1):
        if policy.is_forecast:
            return compared_with_incumbent(predictions, others, policy)
        own = np.full(predictions.height, policy.selected_from)
        if THRESHOLD in predictions.columns:
            own = predictions[THRESHOLD].to_numpy()
        return compared_as_decided(
            predictions, others, policy, own=own, theirs=_thresholds(others, previous)
        )


def _thresholds(predictions: pl.DataFrame, audit: Evidence | None) -> FloatArray | None:
    """[n] by which each row was decided on when it was audited; None where that is not known."""
    if audit is None or audit.policy.threshold is None:
        return None
    told = audit.mitigation
    if told is None or told.table is None:
        return np.full(predictions.height, float(audit.policy.threshold))
    if told.table.attribute not in predictions.columns:
        return None
    return thresholds_of(predictions[told.table.attribute], told.table)

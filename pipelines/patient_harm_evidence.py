"""Harms to patients, from the artefacts of an audit: who was tested, who was left out, what else
the outcome might have been."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from pipelines.stages.build_sequences import OTHER_LABELS
from validation.config import AuditConfig
from validation.evidence import FlowStep, PopulationEvidence
from validation.patient_harm_records import PatientHarms
from validation.patient_harms import TESTS, patient_harms
from validation.ranking import FloatArray

THRESHOLD = "threshold"


def harms_to_patients(
    inputs: Mapping[str, Path],
    predictions: pl.DataFrame,
    populations: Sequence[PopulationEvidence],
    flow: Sequence[FlowStep],
    policy: AuditConfig,
) -> PatientHarms | None:
    """What ``patient_harms`` finds; None of forecasts, whose subjects are no patients.

    Args:
        inputs: the directory of ``sequences``, whose examples the predictions are, in order.
        predictions: with ``threshold`` where groups have their own.

    Raises:
        UnauditableTable: the tables contradict each other.
    """
    if policy.is_forecast or not populations:
        return None
    others = inputs["sequences"] / OTHER_LABELS
    return patient_harms(
        predictions.with_columns(pl.Series(TESTS, tests_of(inputs["sequences"]))),
        populations,
        policy,
        flow=flow,
        alternatives=pl.read_parquet(others) if others.is_file() else None,
        thresholds=_thresholds(predictions),
    )


def tests_of(sequences: Path) -> FloatArray:
    """[E] measurements known of each example; several of a channel at one moment are one."""
    words = json.loads((sequences / "sequence.json").read_text())
    numeric = np.array([channel["kind"] == "numeric" for channel in words["channels"]], bool)
    channel, steps, examples = (
        np.load(sequences / f"{name}.npy", mmap_mode="r")
        for name in ("observation_channel", "observation_offsets", "step_offsets")
    )
    before = np.concatenate([[0], np.cumsum(numeric[channel])])
    counts: FloatArray = np.diff(before[steps[examples]]).astype(np.float64)
    return counts


def _thresholds(predictions: pl.DataFrame) -> FloatArray | None:
    if THRESHOLD not in predictions.columns:
        return None
    values: FloatArray = predictions[THRESHOLD].to_numpy()
    return values

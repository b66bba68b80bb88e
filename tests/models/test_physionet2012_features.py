"""The derived features of benchmarks/physionet2012.py, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.physionet2012_features import derived_features
from models.store import Channel, SequenceStore
from tests.models.generated_stores import make_store

NUMERIC = [
    "SysABP",
    "NISysABP",
    "DiasABP",
    "NIDiasABP",
    "MAP",
    "NIMAP",
    "HR",
    "PaO2",
    "FiO2",
    "BUN",
    "Creatinine",
    "Na",
    "HCO3",
    "GCS",
    "Urine",
]
CODES = [*NUMERIC, "MechVent"]


def make_stay(observed: dict[int, dict[str, float]]) -> SequenceStore:
    """Two stays: one with these values by hour, after one of whom only a pulse of 60 is known."""
    steps = [{"HR": 60.0}, *observed.values()]
    return replace(
        make_store([1, len(observed)]),
        step_offsets=np.array([0, 1, len(steps)]),
        observation_offsets=np.cumsum([0, *map(len, steps)]),
        step_days=np.array([0, *((hour - 48) / 24 for hour in observed)], np.float32),
        observation_channel=np.array([CODES.index(c) for step in steps for c in step], np.int32),
        observation_value=np.array([v for step in steps for v in step.values()], np.float32),
        channels=(*(Channel(code, "numeric") for code in NUMERIC), Channel("MechVent", "event")),
    )


STAY: dict[int, dict[str, float]] = {
    3: {"SysABP": 120, "NISysABP": 90, "HR": 60, "MechVent": 1},
    20: {"NISysABP": 80, "NIDiasABP": 50, "PaO2": 90, "Urine": 50},
    30: {"FiO2": 0.5, "HR": 100, "Urine": 30},
    40: {"GCS": 7, "PaO2": 60, "MechVent": 1, "Urine": 20},
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # The artery's pressure where there is one, else the cuff's.
        ("systolic_pressure_mean_stay", 100),
        ("systolic_pressure_minimum_first_day", 80),
        ("systolic_pressure_last_last_12_hours", np.nan),
        ("pulse_pressure_last_stay", 30),
        # 60 / 120 at hour 3, 60 / 80 from hour 20, 100 / 80 from hour 30.
        ("shock_index_maximum_first_day", 0.75),
        ("shock_index_minimum_stay", 0.5),
        ("shock_index_last_last_12_hours", 1.25),
        # Only once both are known: 90 / 0.5 from hour 30, 60 / 0.5 from hour 40.
        ("oxygenation_maximum_first_day", np.nan),
        ("oxygenation_mean_last_12_hours", (3 * 180 + 9 * 120) / 12),
        ("urea_ratio_mean_stay", np.nan),
        ("coma_score_minimum_last_12_hours", 7),
        ("urine_48_hours", np.log1p(100)),
        ("urine_24_hours", np.log1p(50)),
        ("urine_12_hours", np.log1p(20)),
        ("ventilated_hours", 2),
        ("ventilated_24_hours", 1),
        ("ventilated_12_hours", 1),
    ],
)
def test_a_derived_feature_is_what_a_hand_computes(name: str, expected: float) -> None:
    names, columns = derived_features(make_stay(STAY))

    assert columns[1, names.index(name)] == pytest.approx(expected, nan_ok=True)


def test_of_a_stay_without_values_only_flows_are_known_and_they_are_none() -> None:
    names, columns = derived_features(make_stay(STAY))

    known = {name for name, value in zip(names, columns[0], strict=True) if not np.isnan(value)}
    flows = {name for name in names if name.startswith(("urine", "ventilated"))}
    assert known == flows
    assert (columns[0, [names.index(name) for name in flows]] == 0).all()

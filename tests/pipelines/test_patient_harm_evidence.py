import json
from pathlib import Path

import numpy as np

from pipelines.patient_harm_evidence import tests_of as counted


def test_measurements_are_counted_and_diagnoses_are_not(tmp_path: Path) -> None:
    """Three examples: two steps (lab, lab + diagnosis), none, one step (diagnosis, two labs)."""
    channels = [{"code": "hdl", "kind": "numeric"}, {"code": "MI", "kind": "event"}]
    channels.append({"code": "bmi", "kind": "numeric"})
    (tmp_path / "sequence.json").write_text(json.dumps({"channels": channels}))
    np.save(tmp_path / "step_offsets.npy", np.array([0, 2, 2, 3]))
    np.save(tmp_path / "observation_offsets.npy", np.array([0, 1, 3, 6]))
    np.save(tmp_path / "observation_channel.npy", np.array([0, 1, 2, 0, 1, 2], np.int32))
    assert counted(tmp_path).tolist() == [2.0, 0.0, 2.0]

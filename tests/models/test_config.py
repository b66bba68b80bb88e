import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from models.config import ModelConfig


@pytest.mark.parametrize(
    "wrong",
    [
        {"hidden": 32},
        {"hidden_size": 0},
        {"dropout": 1.0},
        {"learning_rate": 0.0},
        {"seeds": []},
        {"seeds": [1, 1]},
        {"seeds": [-1]},
        {"seeds": [0, 1], "window_seeds": 3},
        {"window_seeds": 0},
        {"conformal_days": 0.0},
        {"conformal_rate": 0.5},
        {"positive_weight": "none"},
        {"positive_weight": 0.0},
        {"max_steps": 0},
        {"head": "hazard", "positive_weight": "balanced"},
        {"head": "hazard", "focal_gamma": 2.0},
        {"encoder": "perceptron"},
        {"encoder": "tcn", "truncate_steps": 50},
        {"encoder": "attention", "truncate_steps": 50},
        {"encoder": {"kind": "cnn_lstm", "decay": True}},
        {"encoder": {"kind": "lstm", "kernel_size": 5}},
        {"encoder": {"kind": "gru", "bidirectional": True}, "pretraining": {}},
        {"encoder": {"kind": "gru", "bidirectional": True}, "truncate_steps": 50},
        {"encoder": {"kind": "gru", "decay": True}, "scaling": "none"},
        {"dropout_draws": 20, "dropout": 0.0},
        {"together_with": ["ewma", "ewma"]},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ModelConfig.model_validate(wrong)


def test_a_config_survives_json() -> None:
    config = ModelConfig(seeds=(3, 4), positive_weight="balanced", window_seeds=2)
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        ModelConfig().hidden_size = 3  # type: ignore[misc]  # that it is refused is the point


def test_reading_a_config_loads_nothing_heavy() -> None:
    code = "import sys, models.config; print({'torch', 'numpy', 'sklearn'} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.strip() == "set()"

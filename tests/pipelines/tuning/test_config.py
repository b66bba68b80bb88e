"""What a study may say of its tuning, and what model a trial's values make."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from models.config import EncoderConfig, ModelConfig
from pipelines.errors import StudyInvalid
from pipelines.study import load_study
from pipelines.tuning.config import Choices, Range, TuningSection, tuned
from tests.dags.installations import market_text
from tests.pipelines.tuning.conftest import MODEL, STUDY, study_with

RATE = {"low": 1e-4, "high": 1e-1, "log": True}


def section(**changes: Any) -> TuningSection:
    return TuningSection.model_validate({"parameters": {"learning_rate": RATE}} | changes)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"depth": [1]}, "no such setting"),
        ({"encoder.depth": [1]}, "no such setting"),
        ({"dropout.kind": [1]}, "no dropout with settings of its own"),
        ({"seeds": [[1]]}, "Input should be a valid"),
        ({"window_seeds": [1, 2]}, "only luck"),
        ({"threads": [1, 2]}, "only luck"),
        ({"learning_rate": [0.1, 0.0]}, "greater than 0"),
        ({"learning_rate": {"low": 0.0, "high": 0.1, "log": True}}, "above 0"),
        ({"dropout": {"low": 0.5, "high": 0.5}}, "low must be below high"),
        ({"dropout": {"low": 0.1, "high": 1.5}}, "less than 1"),
        ({"hidden_size": {"low": 8, "high": 16, "step": 0.5}}, "whole number"),
        ({"encoder.kind": ["lstm", "oracle"]}, "Input should be"),
        ({"schedule": {"low": 1, "high": 2}}, "Input should be"),
        ({"dropout": [0.1, 0.1]}, "twice"),
        ({}, "at least 1 item"),
    ],
)
def test_a_parameter_that_no_model_section_can_have_is_refused(
    parameters: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        section(parameters=parameters)


def test_values_are_read_as_the_setting_reads_them() -> None:
    given = {"hidden_size": {"low": 8.0, "high": 64.0}, "dropout": [0, 0.5], "clip_value": [None]}
    found = section(parameters=given).parameters
    assert found["hidden_size"] == Range(low=8, high=64)
    assert isinstance(found["hidden_size"].low, int)
    assert found["dropout"] == Choices(choices=(0.0, 0.5))
    assert found["clip_value"] == Choices(choices=(None,))


def test_a_grid_is_every_combination_and_a_range_without_steps_makes_none() -> None:
    parameters = {"dropout": {"low": 0.1, "high": 0.3, "step": 0.1}, "layers": [1, 2]}
    grid = section(sampler="grid", trials=100, parameters=parameters)
    assert grid.combinations == 6
    assert grid.numbers() == [1, 2, 3, 4, 5, 6]
    assert grid.numbers(4) == [1, 2, 3, 4]
    assert grid.parameters["dropout"].points() == pytest.approx([0.1, 0.2, 0.3])
    with pytest.raises(ValidationError, match="a grid needs choices, or a step"):
        section(sampler="grid")


def test_a_trials_values_stand_in_the_studys_section_and_nothing_else_changes() -> None:
    base = ModelConfig(dropout=0.2, encoder=EncoderConfig(decay=True))
    found = tuned(base, {"learning_rate": 0.01, "encoder.recurrent_dropout": 0.3})
    assert found.encoder == EncoderConfig(decay=True, recurrent_dropout=0.3)
    assert found == base.model_copy(update={"learning_rate": 0.01, "encoder": found.encoder})


def test_an_option_that_the_chosen_encoder_has_no_use_for_is_left_out() -> None:
    assert tuned(ModelConfig(), {"encoder.kind": "lstm", "encoder.kernel_size": 9}) == ModelConfig()


@pytest.mark.parametrize(
    ("constraints", "words"),
    [
        ({"group_gaps": [{"metric": "tpr", "attribute": "shoe", "at_most": 0.1}]}, "'shoe'"),
        ({"group_gaps": [{"metric": "qlike", "attribute": "sex", "at_most": 0.1}]}, "qlike"),
        ({"observed_expected": [1.1, 1.2]}, "a number below 1 and one above"),
    ],
)
def test_a_constraint_that_the_audit_cannot_measure_makes_the_study_invalid(
    study: Any, constraints: dict[str, Any], words: str
) -> None:
    study(constraints=constraints)
    with pytest.raises(StudyInvalid, match=words):
        load_study(STUDY)


def test_forecasts_have_no_expected_events(study: Any, tmp_path: Any) -> None:
    import yaml

    tuning = {"parameters": {"layers": [1]}, "constraints": {"observed_expected": [0.9, 1.1]}}
    text = yaml.safe_dump(yaml.safe_load(market_text({})) | {"tuning": tuning})
    (tmp_path / "studies" / "market.yaml").write_text(text)
    with pytest.raises(StudyInvalid, match="expects no events"):
        load_study("market")


def test_a_study_without_a_tuning_has_none(study: Any, tmp_path: Any) -> None:
    (tmp_path / "studies" / "plain.yaml").write_text(study_with(None))
    assert load_study("plain").tuning is None
    assert load_study(STUDY).tuning is not None


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"mitigation": {"attribute": "sex", "reweighing": True}}, "without the section mitig"),
        (
            {
                "mitigation": {
                    "attribute": "sex",
                    "group_thresholds": {"constraint": "true_positive_rate_parity"},
                }
            },
            "without the section mitigation",
        ),
        ({"model": MODEL | {"seeds": [0, 1]}}, "networks_per_fold: expected at most 2.*found 3"),
    ],
    ids=["training", "thresholds", "networks"],
)
def test_a_tuning_that_would_search_another_model_than_is_audited_is_refused(
    sections: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuning = {"networks_per_fold": 3, "parameters": {"learning_rate": RATE}}
    text = study_with(tuning, **({"model": MODEL | {"seeds": [0, 1, 2]}} | sections))
    (tmp_path / f"{STUDY}.yaml").write_text(text)
    monkeypatch.setenv("EQUIPOISE_STUDIES", str(tmp_path))
    with pytest.raises(StudyInvalid, match=words):
        load_study(STUDY)

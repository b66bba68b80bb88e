"""The journal of stages tells of every model that was tried; a ledger that lacks one is found."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines.artefacts import Recipe
from pipelines.settings import settings
from pipelines.stage import run_stage, store
from pipelines.trials import TuningTrial, record_trial, trials_of
from pipelines.tried_models import unrecorded_choices

STUDY, SEQUENCES = "toy", "build_sequences/0001"
SECTION = {"hidden_size": 8}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIPOISE_HOME", str(tmp_path))


def called(stage: str, study: str = STUDY, **inputs: str) -> str:
    """A stage's artefact and its line in the journal; the key."""
    recipe = Recipe(
        stage=stage,
        sources={},
        libraries={},
        config={"models": {"small": SECTION}},
        inputs={"sequences": SEQUENCES} | inputs,
        files={},
    )
    return run_stage(study, recipe, lambda draft: {"number": 7}).key


def recorded(plan: str, **changes: Any) -> None:
    words = {"trial_id": f"{plan} of 7", "plan_key": plan, "number": 7, "config": SECTION}
    rest = {"sequences_key": SEQUENCES, "metric": "auroc", "recorded_at": datetime.now(UTC)}
    record_trial(STUDY, TuningTrial.model_validate(words | rest | changes))


def missing() -> int:
    return unrecorded_choices(STUDY, trials_of(STUDY))


@pytest.mark.parametrize("is_kept", [True, False], ids=["artefact kept", "artefact gone"])
@pytest.mark.parametrize("stage", ["run_trial", "race_models", "compare_models"])
def test_a_tried_model_is_missed_until_it_is_in_the_ledger_and_once_the_ledger_is_emptied(
    stage: str, is_kept: bool
) -> None:
    plan = "plan_trials/0001"
    key = called(stage, plan=plan)
    if not is_kept:
        shutil.rmtree(store().path(key))
    assert missing() == 1
    recorded({"run_trial": plan, "race_models": key, "compare_models": f"{stage}/2"}[stage])
    assert missing() == 0
    shutil.rmtree(settings().trials_dir / STUDY)
    assert missing() == 1


@pytest.mark.parametrize(
    ("stage", "plan", "changes"),
    [
        ("run_trial", "plan_trials/0002", {}),
        ("run_trial", "plan_trials/0001", {"number": 8}),
        ("race_models", "race_models/0002", {}),
        ("compare_models", "compare_models/0001", {"config": {"hidden_size": 16}}),
        ("compare_models", "compare_models/0001", {"sequences_key": "build_sequences/0002"}),
        ("compare_models", "plan_trials/0001", {}),
    ],
)
def test_the_entry_of_another_trial_stands_for_none(
    stage: str, plan: str, changes: dict[str, Any]
) -> None:
    called(stage, plan="plan_trials/0001")
    recorded(plan, **changes)
    assert missing() == 1


def test_what_another_study_tried_and_other_stages_are_not_asked_for() -> None:
    called("run_trial", study="another", plan="plan_trials/0001")
    called("train_model")
    assert missing() == 0

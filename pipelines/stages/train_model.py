"""train_model: the network and its challengers, trained in a child process that can be killed."""

import json
from pathlib import Path

import numpy as np
import polars as pl

from models.config import ModelConfig
from models.encoders.registry import ENCODER_MODULES
from pipelines.artefacts import Counts, Recipe
from pipelines.comparison.chosen import chosen_section
from pipelines.errors import StudyInvalid, TrainingFailed
from pipelines.kept_workspaces import kept_for_others, remove_workspace
from pipelines.stage import device_class, open_inputs, recipe_of, run_stage, store
from pipelines.study import Study, load_study
from pipelines.training_mitigation import group_numbers, training_mitigation
from pipelines.training_process import (
    one_attempt_at_a_time,
    run_training,
    training_command,
    training_device,
    training_processes,
)
from validation.mitigation.config import MitigationConfig


def train_model(study: str, sequences: str, choice: str | None = None) -> str:
    """Train, checkpointing every epoch; a killed attempt is taken up where it stopped.

    Args:
        choice: of a study of `model: auto`, the race that says which section to train.

    Raises:
        TrainingFailed: the child process ended without a model.
    """
    spec = load_study(study)
    recipe, section = recipe_for(study, sequences, choice), section_of(spec, choice)
    workspace = store().workspace(recipe.key)
    # Whoever waits for another's training finds it made.
    with one_attempt_at_a_time(workspace) as lock:
        artefact = run_stage(
            study,
            recipe,
            lambda draft: _train(
                open_inputs({"sequences": sequences})["sequences"],
                section.model_dump_json(),
                recipe.key,
                workspace,
                lock,
                draft,
                spec.mitigation,
            ),
        )
        remove_workspace(recipe.key, workspace)
    return artefact.key


def section_of(spec: Study, choice: str | None) -> ModelConfig:
    """The model section to train.

    Raises:
        StudyInvalid: the study leaves the choice to a race, and none was given; or names its model.
    """
    if (spec.auto is None) != (choice is None):
        raise StudyInvalid(
            f"The study {spec.name} {'names its model' if choice else 'has not raced its models'}.",
            where="model",
            remedy="Run the flow from its start: race_models comes before train_model where the "
            "study says `model: auto`, and only there.",
        )
    return spec.model if choice is None else chosen_section(choice)


def recipe_for(study: str, sequences: str, choice: str | None = None) -> Recipe:
    """What decides the weights: the sequences, the model section, the code, the device class."""
    spec = load_study(study)
    trained_by = training_mitigation(spec.mitigation)
    mitigation = {}
    if spec.mitigation is not None and trained_by is not None:
        mitigation = {"by": spec.mitigation.attribute, **trained_by.model_dump(mode="json")}
    return recipe_of(
        "train_model",
        config={
            "model": section_of(spec, choice).model_dump(mode="json"),
            "mitigation": mitigation,
        },
        inputs={"sequences": sequences} | ({} if choice is None else {"choice": choice}),
        libraries=("numpy", "torch", "scikit-learn", "skops", "arch"),
        modules=("models.training", *ENCODER_MODULES),
        device=training_device(),
    )


def _train(
    sequences: Path,
    config: str,
    key: str,
    workspace: Path,
    lock: int,
    draft: Path,
    mitigation: MitigationConfig | None = None,
) -> Counts:
    settings_file = workspace / "config.json"
    settings_file.write_text(config)
    arguments = [
        *("--sequences", str(sequences)),
        *("--config", str(settings_file)),
        *("--output", str(draft)),
        *("--checkpoints", str(workspace / "checkpoints")),
        *("--device", device_class()),
        *_mitigation(mitigation, sequences, workspace),
    ]
    with kept_for_others(key, workspace):
        run_training(training_command(arguments, training_processes()), lock)
    _require_device(draft)
    training = json.loads((draft / "training_log.json").read_text())
    return {
        "networks": len(training),
        "epochs": sum(len(network["epochs"]) for network in training.values()),
    }


def _mitigation(config: MitigationConfig | None, sequences: Path, workspace: Path) -> list[str]:
    """The arguments that say what to do about which groups, where training does anything."""
    told = training_mitigation(config)
    if config is None or told is None:
        return []
    examples = pl.read_parquet(sequences / "examples.parquet", columns=[config.attribute])
    words, groups = workspace / "mitigation.json", workspace / "groups.npy"
    words.write_text(told.model_dump_json())
    np.save(groups, group_numbers(examples[config.attribute]))
    return ["--mitigation", str(words), "--groups", str(groups)]


def _require_device(model: Path) -> None:
    """The recipe names the device class, so the network must have been trained on it."""
    used = json.loads((model / "model.json").read_text())["made_with"]["device"]
    if used != device_class():
        raise TrainingFailed(
            f"The machine has {device_class()} and torch trained on {used}.",
            where="python -m models.training",
            remedy="Give torch a build and a driver that fit the device, or hide the device: "
            "CUDA_VISIBLE_DEVICES= .",
        )

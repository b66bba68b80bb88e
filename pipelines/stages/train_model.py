"""train_model: the network and its challengers, trained in a child process that can be killed."""

import fcntl
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl

from models.encoders.registry import ENCODER_MODULES
from pipelines.artefacts import Counts, Recipe
from pipelines.errors import TrainingFailed
from pipelines.stage import device_class, open_inputs, recipe_of, run_stage, store
from pipelines.study import load_study
from pipelines.training_mitigation import group_numbers, training_mitigation
from validation.mitigation.config import MitigationConfig

log = logging.getLogger(__name__)


def train_model(study: str, sequences: str) -> str:
    """Train, checkpointing every epoch; a killed attempt is taken up where it stopped.

    Raises:
        TrainingFailed: the child process ended without a model.
    """
    spec = load_study(study)
    recipe = recipe_for(study, sequences)
    workspace = store().workspace(recipe.key)
    artefact = run_stage(
        study,
        recipe,
        lambda draft: _train(
            open_inputs({"sequences": sequences})["sequences"],
            spec.model.model_dump_json(),
            workspace,
            draft,
            spec.mitigation,
        ),
    )
    shutil.rmtree(workspace, ignore_errors=True)
    return artefact.key


def recipe_for(study: str, sequences: str) -> Recipe:
    """What decides the weights: the sequences, the model section, the code, the device class."""
    spec = load_study(study)
    trained_by = training_mitigation(spec.mitigation)
    mitigation = {}
    if spec.mitigation is not None and trained_by is not None:
        mitigation = {"by": spec.mitigation.attribute, **trained_by.model_dump(mode="json")}
    return recipe_of(
        "train_model",
        config={"model": spec.model.model_dump(mode="json"), "mitigation": mitigation},
        inputs={"sequences": sequences},
        libraries=("numpy", "torch", "scikit-learn", "skops", "arch"),
        modules=("models.training", *ENCODER_MODULES),
        device=device_class(),
    )


def _train(
    sequences: Path,
    config: str,
    workspace: Path,
    draft: Path,
    mitigation: MitigationConfig | None = None,
) -> Counts:
    workspace.mkdir(parents=True, exist_ok=True)
    settings_file = workspace / "config.json"
    settings_file.write_text(config)
    command = [
        *(sys.executable, "-m", "models.training"),
        *("--sequences", str(sequences)),
        *("--config", str(settings_file)),
        *("--output", str(draft)),
        *("--checkpoints", str(workspace / "checkpoints")),
        *_mitigation(mitigation, sequences, workspace),
    ]
    with _one_attempt_at_a_time(workspace) as lock:
        _run(command, lock)
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
            remedy="Give torch a build and a driver that fit the device, or hide the device.",
        )


def _run(command: list[str], lock: int) -> None:
    """Run the child, its lines in our log; it inherits the lock and holds it if we are killed."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pass_fds=(lock,),
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as child:
        try:
            last = _lines_to_log(child)
        except BaseException:
            # A timeout or a stop of the task must not wait for the epochs that are left.
            child.kill()
            raise
    if child.returncode:
        raise TrainingFailed(
            f"The training process ended with {child.returncode}; it last said: {last}",
            where="python -m models.training",
            remedy="See the task's log. Finished epochs are kept: the next attempt goes on there.",
        )


def _lines_to_log(child: subprocess.Popen[str]) -> str:
    """Log the child's lines until it ends; the last one says how it went."""
    last = ""
    for line in child.stdout or ():
        last = line.strip() or last
        log.info("training: %s", line.rstrip())
    return last


@contextmanager
def _one_attempt_at_a_time(workspace: Path) -> Iterator[int]:
    """Wait until no other process, not even an orphan of a killed attempt, trains this model."""
    with (workspace / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()

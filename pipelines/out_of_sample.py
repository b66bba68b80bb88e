"""Out-of-sample answers of a model section by the study's folds: what choosing a model goes by.

Comparisons, tuning and the race of `model: auto` all ask here. The study's holdout (of a
walk-forward, all its tested windows) has no part in any fold: whoever chooses by this has not
looked at it. An audit that also judges cross-fitted answers looks at the people of these folds
again, and its report says so. What was answered once is kept as an artefact: the same section by
the same folds is not trained again.
"""

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from models.config import ModelConfig
from models.encoders.registry import ENCODER_MODULES
from pipelines.artefacts import Counts, Recipe
from pipelines.cross_validation import require_decided_in_time, windows_of
from pipelines.errors import StudyInvalid, TrainingFailed
from pipelines.kept_workspaces import kept_for_others, remove_workspace
from pipelines.splits import SPLIT_NAMES
from pipelines.stage import device_class, open_inputs, recipe_of, store
from pipelines.study import Study
from pipelines.training_process import Heard, one_attempt_at_a_time, run_training, to_log

STAGE = "cross_validate"
PREDICTIONS, COST = "predictions.parquet", "cost_log.json"


@dataclass(frozen=True)
class Epoch:
    """One epoch of one network of a cross-validation."""

    fold: int
    seed: int
    epoch: int
    epochs: int
    validation_loss: float

    def __str__(self) -> str:
        where = f"fold {self.fold}, seed {self.seed}: epoch {self.epoch} of at most {self.epochs}"
        return f"{where}, validation {self.validation_loss:.4f}"


# Raises to stop the training: what was raised is passed on.
OnEpoch = Callable[[Epoch], None]


@dataclass(frozen=True)
class CrossValidated:
    """What a model section says of rows that its networks never saw.

    predictions: a row per fold and tested example: fold, row (its place among the examples), score,
    seed_0 and so on (each network alone), and where asked for the challengers by name; of
    quantiles a column per level (score_q05). For labels see ``with_examples``.
    cost: what each network and challenger took; see models/cross_validation.py.
    """

    key: str
    sequences_key: str
    predictions: pl.DataFrame
    cost: Mapping[str, Any]

    def with_examples(self) -> pl.DataFrame:
        """The predictions beside label, weight, cluster and attributes of their examples."""
        return self.predictions.join(examples_of(self.sequences_key), on="row", how="left")


def cross_validate(
    spec: Study,
    sequences: str,
    config: ModelConfig,
    *,
    folds: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    with_challengers: bool = False,
    on_epoch: OnEpoch | None = None,
    workspace: Path | None = None,
    processes: int | None = None,
) -> CrossValidated:
    """Answer by the study's folds, or give back what was answered before.

    Args:
        sequences: key of a ``build_sequences`` artefact of the study.
        config: the model section to try.
        folds: numbers from 0; None for all.
        seeds: one network each per fold; None for the section's own.
        with_challengers: also fit and ask the simple models.
        on_epoch: is told of every epoch as it ends; to stop the training, it raises.
        workspace: where checkpoints live that outlive a kill; by default beside the artefact, and
            removed once it is made. One that is given is the caller's to remove.
        processes: networks trained at a time; None for as many as fit.

    Raises:
        SourceInvalid: the study's data cannot be cut into its folds.
        StudyInvalid: the section has a hazard and the folds go by time.
        TrainingFailed: the child process ended without answers.
    """
    _require_decided_in_time(spec, config)
    folder = open_inputs({"sequences": sequences})["sequences"]
    windows = windows_of(folder, spec.cross_validation)
    chosen = tuple(range(len(windows)) if folds is None else folds)
    config = one_for_all_folds(config, seeds)
    recipe = recipe_for(spec, sequences, config, chosen, with_challengers)
    place = workspace or store().workspace(recipe.key)

    def write(draft: Path, lock: int) -> Counts:
        np.save(place / "windows.npy", windows)
        (place / "config.json").write_text(config.model_dump_json())
        command = [
            *(sys.executable, "-m", "models.cross_validation"),
            *("--sequences", str(folder)),
            *("--windows", str(place / "windows.npy"), "--config", str(place / "config.json")),
            *("--folds", *map(str, chosen)),
            *("--output", str(place / "answers")),
            *("--checkpoints", str(place / "checkpoints")),
            *(["--challengers"] if with_challengers else []),
            *(["--processes", str(processes)] if processes else []),
        ]
        with kept_for_others(recipe.key, place):
            run_training(command, lock, _hearing(on_epoch))
        return _collect(place / "answers", chosen, draft)

    # Whoever waits for another's answers finds them made.
    with one_attempt_at_a_time(place) as lock:
        made = store().make(recipe, lambda draft: write(draft, lock))
        remove_workspace(recipe.key, None if workspace else place)
    return read_answers(made.key)


def _require_decided_in_time(spec: Study, config: ModelConfig) -> None:
    beside = spec.records.learned_beside
    try:
        require_decided_in_time(
            spec.split, spec.cross_validation, head=config.head, learned_beside=beside
        )
    except ValueError as error:
        raise StudyInvalid(
            f"The model section cannot be cross-validated: {error}.",
            where="cross_validation",
            remedy="Take a kind of grouped folds, or a section without it.",
        ) from None


def recipe_for(
    spec: Study,
    sequences: str,
    config: ModelConfig,
    folds: Sequence[int],
    with_challengers: bool,
) -> Recipe:
    """What decides the answers: sequences, folds, the model section and the code."""
    return recipe_of(
        STAGE,
        config={
            "model": config.model_dump(mode="json"),
            "cross_validation": spec.cross_validation.model_dump(mode="json"),
            "folds": list(folds),
            "challengers": with_challengers,
        },
        inputs={"sequences": sequences},
        libraries=("numpy", "torch", "scikit-learn", "skops", "arch"),
        modules=("pipelines.out_of_sample", "models.cross_validation", *ENCODER_MODULES),
        device=device_class(),
    )


def one_for_all_folds(config: ModelConfig, seeds: Sequence[int] | None) -> ModelConfig:
    """The section with the seeds asked for, each of which every fold has a network of."""
    chosen = tuple(config.seeds if seeds is None else seeds)
    return config.model_copy(update={"seeds": chosen, "window_seeds": len(chosen)})


def number_of_folds(spec: Study, sequences: str) -> int:
    """How many folds the study's sequences have."""
    return len(
        windows_of(open_inputs({"sequences": sequences})["sequences"], spec.cross_validation)
    )


def read_answers(key: str) -> CrossValidated:
    """A cross-validation that was kept.

    Raises:
        ArtefactCorrupt: it is not there, or not as it was written.
    """
    path = store().open(key)
    return CrossValidated(
        key=key,
        sequences_key=store().manifest(key)["recipe"]["inputs"]["sequences"],
        predictions=pl.read_parquet(path / PREDICTIONS),
        cost=json.loads((path / COST).read_text()),
    )


def examples_of(sequences: str) -> pl.DataFrame:
    """All examples of a ``build_sequences`` artefact; named splits; `row`: its place among them."""
    folder = open_inputs({"sequences": sequences})["sequences"]
    return (
        pl.read_parquet(folder / "examples.parquet")
        .with_row_index("row")
        .with_columns(
            pl.col("row").cast(pl.Int64),
            pl.col("split").replace_strict(SPLIT_NAMES, return_dtype=pl.String),
        )
    )


def _hearing(on_epoch: OnEpoch | None) -> Heard:
    def heard(line: str) -> None:
        told = _epoch_of(line)
        to_log(line if told is None else str(told))
        if told is not None and on_epoch is not None:
            on_epoch(told)

    return heard


def _epoch_of(line: str) -> Epoch | None:
    """The epoch that a line of the child tells of, if it does."""
    try:
        words = json.loads(line)
        _, fold, _, seed = words["network"].split("_")
        return Epoch(
            int(fold), int(seed), words["epoch"], words["epochs"], words["validation_loss"]
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _collect(answers: Path, folds: Sequence[int], draft: Path) -> Counts:
    tables = []
    for fold in folds:
        with np.load(answers / f"fold_{fold}.npz", allow_pickle=False) as arrays:
            columns = {name: arrays[name] for name in arrays.files if name not in ("rows", "raw")}
            rows = arrays["rows"]
        tables.append(
            pl.DataFrame({"fold": np.full(len(rows), fold), "row": rows, **columns}).fill_nan(None)
        )
    predictions = pl.concat(tables)
    predictions.write_parquet(draft / PREDICTIONS)
    cost = json.loads((answers / "cost_log.json").read_text())
    if cost["made_with"]["device"] != device_class():
        raise TrainingFailed(
            f"The machine has {device_class()} and torch trained on {cost['made_with']['device']}.",
            where="python -m models.cross_validation",
            remedy="Give torch a build and a driver that fit the device, or hide the device.",
        )
    shutil.copyfile(answers / "cost_log.json", draft / COST)
    return {
        "folds": len(folds),
        "networks": len(cost["networks"]),
        "epochs": sum(one["epochs"] for one in cost["networks"].values()),
        "rows": predictions.height,
    }

"""plan_trials: what a study's tuning searches, by what folds, from what sequences on."""

import json
from pathlib import Path

from models.encoders.registry import ENCODER_MODULES
from pipelines.artefacts import Counts, Recipe
from pipelines.out_of_sample import number_of_folds
from pipelines.stage import device_class, recipe_of, run_stage
from pipelines.study import Study, load_study
from pipelines.tuning.config import plain
from pipelines.tuning.section import tuning_of

PLAN = "plan.json"


def plan_trials(study: str, sequences: str) -> str:
    """Fix the question that all trials of the tuning answer; how many there are is not part of it.

    Raises:
        StudyInvalid: the study has no section `tuning`.
        SourceInvalid: its data cannot be cut into its folds.
    """
    spec = load_study(study)
    section = tuning_of(spec)
    folds = number_of_folds(spec, sequences)

    def write(draft: Path) -> Counts:
        words = {"sequences": sequences, "folds": folds, "tuning": plain(section)}
        (draft / PLAN).write_text(json.dumps(words, indent=1))
        return {"folds": folds, "parameters": len(section.parameters)}

    return run_stage(study, recipe_for(spec, sequences), write).key


def recipe_for(spec: Study, sequences: str) -> Recipe:
    """What decides a trial beside its number and the trials before it."""
    return recipe_of(
        "plan_trials",
        config={
            # The same question asked by two studies is tried, and counted, in both.
            "study": spec.name,
            "tuning": plain(tuning_of(spec)),
            "model": spec.model.model_dump(mode="json"),
            "cross_validation": spec.cross_validation.model_dump(mode="json"),
            # The metric, and by what it and the constraints are measured.
            "audit": spec.audit.model_dump(
                mode="json",
                include={
                    "task",
                    "threshold",
                    "attributes",
                    "minimum_positives",
                    "minimum_cell_subjects",
                },
            ),
        },
        inputs={"sequences": sequences},
        libraries=("numpy", "polars", "torch", "scikit-learn", "optuna"),
        modules=("pipelines.stages.run_trial", "models.cross_validation", *ENCODER_MODULES),
        device=device_class(),
    )

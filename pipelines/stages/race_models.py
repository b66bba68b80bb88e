"""race_models: for a study of `model: auto`, which model section to train."""

import json
from pathlib import Path

import yaml

from models.config import ModelConfig
from models.encoders.registry import ENCODER_MODULES
from pipelines.artefacts import Counts, Recipe
from pipelines.comparison.chosen import CHOSEN
from pipelines.comparison.compare import record_of, write_record
from pipelines.comparison.ledger import note_model
from pipelines.comparison.race import Clock, race
from pipelines.comparison.sections import sections_of
from pipelines.errors import StudyInvalid
from pipelines.out_of_sample import CrossValidated, OnEpoch, cross_validate, number_of_folds
from pipelines.stage import device_class, recipe_of, run_stage
from pipelines.study import Study, load_study
from validation.choosing import Choice

CHOICE = "choice.json"


def race_models(study: str, sequences: str) -> str:
    """Race the models of the study's `auto`, and write the section to train.

    Writes chosen_model.yaml, choice.json, and the comparison as `equipoise compare` writes it.

    Raises:
        StudyInvalid: the study names its model, so there is nothing to race.
        TrainingFailed: a model cannot be trained.
    """
    spec = load_study(study)
    if spec.auto is None:
        raise StudyInvalid(
            f"The study {study} names its model: there is nothing to choose.",
            where="model",
            remedy="Write `model: auto`, or train the study as it is.",
        )
    recipe = recipe_for(study, sequences)
    return run_stage(study, recipe, lambda draft: _write(spec, recipe, draft)).key


def recipe_for(study: str, sequences: str) -> Recipe:
    """What decides the choice: sequences, folds, the audit's metric, the race, and the clock."""
    spec = load_study(study)
    return recipe_of(
        "race_models",
        config={
            "auto": None if spec.auto is None else spec.auto.model_dump(mode="json"),
            "model": spec.model.model_dump(mode="json"),
            "cross_validation": spec.cross_validation.model_dump(mode="json"),
            "audit": spec.audit.model_dump(mode="json"),
        },
        inputs={"sequences": sequences},
        libraries=("numpy", "torch", "scikit-learn", "skops", "arch"),
        modules=("models.cross_validation", *ENCODER_MODULES),
        device=device_class(),
    )


def _write(spec: Study, recipe: Recipe, draft: Path) -> Counts:
    if spec.auto is None:
        raise ValueError("the study has no race")
    sequences = recipe.inputs["sequences"]
    sections = sections_of(spec.auto.models, spec.model)
    numbers = {name: number for number, name in enumerate(sections, start=1)}

    def ask(
        name: str,
        section: ModelConfig,
        folds: tuple[int, ...],
        with_challengers: bool,
        on_epoch: OnEpoch,
    ) -> CrossValidated:
        note_model(spec, recipe.key, sequences, numbers[name], name, section)
        seeds = tuple(range(spec.auto.seeds)) if spec.auto else ()
        return cross_validate(
            spec,
            sequences,
            section,
            folds=folds,
            seeds=seeds,
            with_challengers=with_challengers,
            on_epoch=on_epoch,
        )

    clock = Clock(60.0 * spec.auto.minutes)
    raced = race(sections, number_of_folds(spec, sequences), spec.audit, clock, ask)
    record = record_of(
        spec, sections, raced.answered, raced.challengers, is_marked=True, not_tried=raced.not_tried
    )
    write_record(record, draft)
    taken = sections[_taken(record.choice, raced.answered)]
    section = taken.model_dump(mode="json", exclude_defaults=True)
    (draft / CHOSEN).write_text(yaml.safe_dump({"model": section}, sort_keys=False))
    words = None if record.choice is None else record.choice.model_dump(mode="json")
    (draft / CHOICE).write_text(json.dumps(words, indent=1))
    return {
        "models": len(sections),
        "finalists": len(raced.answered),
        "alike": len(record.choice.alike) if record.choice else 0,
        "not_tried": len(raced.not_tried),
    }


def _taken(choice: Choice | None, answered: dict[str, list[CrossValidated]]) -> str:
    """Where no metric could be told the first model is as good as any."""
    return next(iter(answered)) if choice is None else choice.taken

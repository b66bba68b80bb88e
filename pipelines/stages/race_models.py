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
from pipelines.comparison.sections import section_of, sections_of
from pipelines.errors import StudyInvalid
from pipelines.out_of_sample import CrossValidated, OnEpoch, cross_validate, number_of_folds
from pipelines.source_code import data_hashes
from pipelines.stage import device_class, recipe_of, run_stage
from pipelines.study import Study, load_study
from validation.choosing import Choice

CHOICE, TRIED = "choice.json", "tried.json"


def race_models(study: str, sequences: str) -> str:
    """Race the models of the study's `auto`, and write the section to train.

    Writes chosen_model.yaml, choice.json, tried.json (the names of the models that were begun), and
    the comparison as `equipoise compare` writes it.

    Raises:
        StudyInvalid: the study names its model, so there is nothing to race.
        TrainingFailed: no model can be trained.
    """
    spec = load_study(study)
    if spec.auto is None:
        raise StudyInvalid(
            f"The study {study} names its model: there is nothing to choose.",
            where="model",
            remedy="Write `model: auto`, or train the study as it is.",
        )
    recipe = recipe_for(study, sequences)
    made = run_stage(study, recipe, lambda draft: _write(spec, recipe, draft))
    # A race that is reused was looked at too: the ledger may be another than the one it was run by.
    for name in json.loads((made.path / TRIED).read_text()):
        _note(spec, recipe, name)
    return made.key


def recipe_for(study: str, sequences: str) -> Recipe:
    """What decides the choice: sequences, folds, the audit's metric, the race, and the clock."""
    spec = load_study(study)
    return recipe_of(
        "race_models",
        config={
            "study": [spec.name, spec.title],
            "auto": None if spec.auto is None else spec.auto.model_dump(mode="json"),
            "model": spec.model.model_dump(mode="json"),
            "cross_validation": spec.cross_validation.model_dump(mode="json"),
            "audit": spec.audit.model_dump(mode="json"),
        },
        inputs={"sequences": sequences},
        libraries=("polars", "numpy", "scipy", "torch", "scikit-learn", "skops", "arch", "jinja2"),
        modules=("models.cross_validation", *ENCODER_MODULES),
        files=data_hashes("validation/report"),
        device=device_class(),
    )


def _note(spec: Study, recipe: Recipe, name: str) -> None:
    """Put a model of the race into the study's ledger, by its place among those to be tried."""
    names = [] if spec.auto is None else list(spec.auto.models)
    section = section_of(name, spec.model)
    note_model(spec, recipe.key, recipe.inputs["sequences"], names.index(name) + 1, name, section)


def _write(spec: Study, recipe: Recipe, draft: Path) -> Counts:
    if spec.auto is None:
        raise ValueError("the study has no race")
    sequences = recipe.inputs["sequences"]
    sections = sections_of(spec.auto.models, spec.model)
    tried: list[str] = []

    def ask(
        name: str,
        section: ModelConfig,
        folds: tuple[int, ...],
        with_challengers: bool,
        on_epoch: OnEpoch,
    ) -> CrossValidated:
        _note(spec, recipe, name)
        tried.extend([name] if name not in tried else [])
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
    (draft / TRIED).write_text(json.dumps(tried))
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

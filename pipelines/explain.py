"""Why would a stage run again? The recipe of its newest artefact beside today's."""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.artefacts import Recipe
from pipelines.compression import smaller_model_of
from pipelines.errors import EquipoiseError
from pipelines.journal import JournalEntry, read_entries
from pipelines.stage import store
from pipelines.study import load_study

State = Literal["would reuse", "would run", "waits"]


@dataclass(frozen=True)
class StageExplanation:
    """What a stage would do now, and why."""

    stage: str
    state: State
    reason: str


def explain_study(study: str) -> list[StageExplanation]:
    """For each stage of the train flow in turn: would it reuse its artefact, and if not, why.

    Raises:
        StudyInvalid: the study cannot be read.
    """
    explanations: list[StageExplanation] = []
    newest = _newest_of_training(study)
    keys: dict[str, str] = {}
    for stage, needed in train_stages(study).items():
        missing = [name for name in needed if name not in keys]
        if missing:
            words = f"its input {', '.join(missing)} is made anew first"
            explanations.append(StageExplanation(stage, "waits", words))
            continue
        recipe = recipe_today(stage, study, [keys[name] for name in needed])
        explanation = _explain(stage, recipe, newest.get(stage))
        explanations.append(explanation)
        if explanation.state == "would reuse":
            keys[stage] = recipe.key
    return explanations


def _newest_of_training(study: str) -> dict[str, JournalEntry]:
    """Stage -> its newest entry; predictions and audits of a smaller model are no training's."""
    found: dict[str, JournalEntry] = {}
    for entry in reversed(list(read_entries(study))):
        if entry.flow == "score" or entry.stage in found:
            continue
        if smaller_model_of(entry.key) is None:
            found[entry.stage] = entry
    return found


# Stage -> the stages whose keys it takes, in the order of its parameters.
TRAIN_STAGES: Mapping[str, tuple[str, ...]] = {
    "merge_events": (),
    "check_events": ("merge_events",),
    "merge_sequences": ("merge_events",),
    "train_model": ("merge_sequences",),
    "predict_holdout": ("merge_sequences", "train_model"),
    "audit_model": (
        "merge_events",
        "check_events",
        "merge_sequences",
        "train_model",
        "predict_holdout",
    ),
}


def train_stages(study: str) -> Mapping[str, tuple[str, ...]]:
    """Those of one study: with `model: auto` a race comes before the training."""
    if load_study(study).auto is None:
        return TRAIN_STAGES
    stages = list(TRAIN_STAGES.items())
    place = list(TRAIN_STAGES).index("train_model")
    raced = {"race_models": ("merge_sequences",)}
    trained = {"train_model": (*TRAIN_STAGES["train_model"], "race_models")}
    return dict(stages[:place]) | raced | trained | dict(stages[place + 1 :])


def recipe_today(stage: str, study: str, keys: list[str]) -> Recipe:
    """The recipe that ``stage`` would use now; nothing is made."""
    module = importlib.import_module(f"pipelines.stages.{stage}")
    recipe: Recipe = module.recipe_for(study, *keys)
    return recipe


def _explain(stage: str, recipe: Recipe, entry: JournalEntry | None) -> StageExplanation:
    if store().has(recipe.key):
        return StageExplanation(stage, "would reuse", recipe.key)
    if entry is None:
        return StageExplanation(stage, "would run", "it never ran for this study")
    try:
        before = store().manifest(entry.key)["recipe"]
    except EquipoiseError:
        return StageExplanation(stage, "would run", f"its artefact {entry.key} is gone")
    changes = list(_differences(before, recipe.as_dict(), ""))
    return StageExplanation(stage, "would run", "; ".join(changes) or "its artefact is gone")


def _differences(before: Any, now: Any, place: str) -> Iterator[str]:
    """The places at which two recipes differ, by name; a value is shown only of the config."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted(before.keys() | now.keys()):
            inner = f"{place}.{name}" if place else name
            if name not in before:
                yield f"{inner} is new"
            elif name not in now:
                yield f"{inner} is gone"
            else:
                yield from _differences(before[name], now[name], inner)
    elif before != now:
        shown = f" from {before} to {now}" if place.startswith(("config", "libraries")) else ""
        yield f"{place} changed{shown}"

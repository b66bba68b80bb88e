"""merge_sequences: the shards become one store, and what concerns all examples is decided."""

import json
from collections.abc import Sequence
from pathlib import Path

from pipelines.artefacts import Counts, Recipe
from pipelines.errors import LeakageFound
from pipelines.merged_sequences import write_merged
from pipelines.sequence_recipes import SequenceRecipes
from pipelines.shard_parts import in_order
from pipelines.stage import open_inputs, run_stage, store


def merge_sequences(study: str, events: str, parts: Sequence[str], as_of: str | None = None) -> str:
    """Training examples with labels, weights and splits, in the channels that the training split
    observed; or, with ``as_of``, the examples to be scored.

    Args:
        events: the merged events.
        parts: keys of ``build_sequences`` of all shards, in any order.
        as_of: as the shards were built.

    Raises:
        LeakageFound: the future or another split reached a feature; the findings stay.
        ReleaseChanged: another release stands than the one that the shards were made by.
        ArtefactCorrupt: the parts are not all the shards of these events.
    """
    recipes = SequenceRecipes.of(study, events, as_of)
    recipe = recipes.merged()

    def write(draft: Path) -> Counts:
        keys = in_order(parts, recipes.shard)
        folders = [store().open(key) for key in keys]
        return write_merged(recipes, folders, open_inputs(recipes.inputs), draft)

    artefact = run_stage(study, recipe, write)
    _judge(artefact.path)
    return artefact.key


def recipe_for(study: str, events: str) -> Recipe:
    """What decides the training sequences: the events, cohort, outcome and split."""
    return SequenceRecipes.of(study, events).merged()


def _judge(folder: Path) -> None:
    checks = json.loads((folder / "facts.json").read_text())["leakage"]
    failed = [check for check in checks if not check["passed"]]
    if failed:
        raise LeakageFound(
            "The future, or another split, reached a feature:\n"
            + "\n".join(f"  {check['name']}: {check['words']}" for check in failed),
            where=str(folder / "facts.json"),
            remedy="Look at the known times and matched sets of the source. If they are right, "
            "this is a fault of Equipoise: please report it.",
        )

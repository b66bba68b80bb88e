"""Shards and what is merged of them: the keys of all shards, in whatever order they were made."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pipelines.artefacts import Counts, Recipe
from pipelines.errors import ArtefactCorrupt, ReleaseChanged
from pipelines.manifests import hash_json
from pipelines.shards import Shard, shards
from pipelines.stage import run_stage, store

# What the recipes of shards name of the release that stands.
OF_RELEASE = frozenset({"release_id", "vocabulary", "model", "trained_on", "audit"})


class ShardRecipes(Protocol):
    """What decides a table that is made in shards."""

    def shard(self, shard: Shard) -> Recipe:
        """Of one shard."""

    def merged(self) -> Recipe:
        """Of all together: it does not say how many shards they were."""


def run_shard(
    study: str, recipes: ShardRecipes, shard: Shard, write: Callable[[Path], Counts]
) -> str:
    """Make or reuse a shard; its key, or that of all shards merged if it is there."""
    merged, recipe = recipes.merged(), recipes.shard(shard)
    if not store().has(merged.key):
        return run_stage(study, recipe, write).key
    # What killed attempts left goes after a day all the same: of events it names people.
    store().sweep(recipe.stage)
    return merged.key


def in_order(parts: Sequence[str], recipe_of_shard: Callable[[Shard], Recipe]) -> list[str]:
    """The keys in the order of their shards, if they are all the shards of what is merged.

    Args:
        recipe_of_shard: the recipe that a shard's task would use now.

    Raises:
        ReleaseChanged: they are all the shards, of which some were made by another release.
        ArtefactCorrupt: one is missing, or was made of something else.
    """
    if not parts:
        raise _not_all("none")
    config = store().manifest(parts[0])["recipe"]["config"]
    if "shard" not in config:
        raise _not_all(parts[0])
    count = Shard.read(config["shard"]).of
    recipes = [recipe_of_shard(shard) for shard in shards(count)]
    expected = [recipe.key for recipe in recipes]
    if set(expected) == set(parts):
        return expected
    found = [store().manifest(key)["recipe"] for key in parts]
    if _without_release(found) == _without_release(recipe.as_dict() for recipe in recipes):
        raise ReleaseChanged(
            "The release that stands is not the one that all shards were made by.",
            where=recipes[0].stage,
            remedy="Nothing of them is published. A release that was made meanwhile starts a run "
            "of its own; after a withdrawal, run the flow again from its start.",
        )
    raise _not_all(parts[0])


def _without_release(recipes: Iterable[Mapping[str, Any]]) -> set[str]:
    """The hash of each recipe, whatever release it is by."""
    return {
        hash_json(recipe | {part: _rest(recipe[part]) for part in ("config", "inputs")})
        for recipe in map(dict, recipes)
    }


def _rest(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name not in OF_RELEASE}


def _not_all(found: str) -> ArtefactCorrupt:
    return ArtefactCorrupt(
        "What is to be merged is not all the shards of one table, made as the study is now.",
        where=found,
        remedy="Run the flow again from the stage that makes the shards; the study, the release, "
        "the installed version and the number of shards must stay the same in between.",
    )

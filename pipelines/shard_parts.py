"""Shards and what is merged of them: the keys of all shards, in whatever order they were made."""

from collections.abc import Callable, Sequence

from pipelines.artefacts import Recipe
from pipelines.errors import ArtefactCorrupt
from pipelines.shards import Shard, shards
from pipelines.stage import store


def is_merged(stage: str, merged: Recipe) -> bool:
    """Whether all shards are merged already, so that a shard's stage has nothing to make.

    What killed attempts at it left goes after a day all the same: of events it names people.
    """
    store().sweep(stage)
    return store().has(merged.key)


def in_order(parts: Sequence[str], recipe_of_shard: Callable[[Shard], Recipe]) -> list[str]:
    """The keys in the order of their shards, if they are all the shards of what is merged.

    Args:
        recipe_of_shard: the recipe that a shard's task would use now.

    Raises:
        ArtefactCorrupt: one is missing, or was made of something else.
    """
    if not parts:
        raise _not_all("none")
    config = store().manifest(parts[0])["recipe"]["config"]
    if "shard" not in config:
        raise _not_all(parts[0])
    count = Shard.read(config["shard"]).of
    expected = [recipe_of_shard(shard).key for shard in shards(count)]
    if set(expected) != set(parts):
        raise _not_all(parts[0])
    return expected


def _not_all(found: str) -> ArtefactCorrupt:
    return ArtefactCorrupt(
        "What is to be merged is not all the shards of one table, made as the study is now.",
        where=found,
        remedy="Run the flow again from the stage that makes the shards; the study, the release, "
        "the installed version and the number of shards must stay the same in between.",
    )

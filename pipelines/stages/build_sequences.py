"""build_sequences: the events of a shard become examples and their ragged sequences."""

import json
from functools import partial
from pathlib import Path

import polars as pl

from pipelines.artefacts import Counts
from pipelines.domains import load_domain
from pipelines.example_shards import ShardWords, numbers_of, write_shard
from pipelines.example_source import ExampleSource
from pipelines.examples import Examples
from pipelines.publication.store import open_store
from pipelines.replay import Stored
from pipelines.sequence_recipes import SequenceRecipes
from pipelines.settings import settings
from pipelines.shard_parts import run_shard
from pipelines.shards import WHOLE, Shard
from pipelines.stage import open_inputs


def build_sequences(
    study: str, events: str, shard: str = str(WHOLE), as_of: str | None = None
) -> str:
    """Examples of a shard in all channels that the study declares, for training; or, with
    ``as_of``, of every subject eligible at that moment, in the vocabulary of the release.

    Returns the key of the shard's artefact, or that of all shards merged if it is there.

    Args:
        shard: which of how many, such as 0/1.
        as_of: an ISO date or time; a time without zone is UTC, a date means its first moment.

    Raises:
        NoRelease: people are to be scored, and no release stands.
    """
    part = Shard.read(shard)
    if as_of is not None and part.number == 0:
        # Before anything can refuse: what people withdrew must be out of the readers' sight.
        open_store(settings()).finish_changes()
    recipes = SequenceRecipes.of(study, events, as_of)
    return run_shard(study, recipes, part, lambda draft: _write(recipes, part, draft))


def _write(recipes: SequenceRecipes, shard: Shard, draft: Path) -> Counts:
    spec, inputs = recipes.spec, open_inputs(recipes.inputs)
    domain, config, as_of = load_domain(spec.domain), spec.records, recipes.as_of
    make = partial(domain.training_examples, config)
    if as_of is not None:
        make = partial(domain.scoring_examples, config, as_of=as_of)
    source = ExampleSource.read(spec, inputs["events"], shard, make)
    examples = source.examples()
    channels = sorted(source.kinds)
    beside = pl.DataFrame()  # a score knows of no outcome
    if as_of is None:
        beside = domain.labels_beside(config, source.events, examples.frame)
    else:
        channels = _vocabulary(inputs["vocabulary"])
    return _write_shard(source, examples, channels, beside, recipes, draft)


def _write_shard(
    source: ExampleSource,
    examples: Examples,
    channels: list[str],
    beside: pl.DataFrame,
    recipes: SequenceRecipes,
    draft: Path,
) -> Counts:
    sequences = source.sequences(examples, channels)
    lookback = source.domain.lookback_days(source.config)
    words = ShardWords(
        channels=[(code, source.kinds[code]) for code in channels],
        statics=examples.statics,
        groups=examples.groups,
        flow=examples.flow,
        replayed=source.replay(Stored(examples, sequences, channels, lookback), recipes.as_of),
        unknown_observations=source.unknown_observations(examples, channels),
        beside=beside.columns,
    )
    numbers = numbers_of(beside, examples.frame.height)
    write_shard(draft, examples.frame, sequences, numbers, words)
    return {
        "examples": examples.frame.height,
        "steps": sequences.step_days.size,
        "observations": sequences.observation_value.size,
    }


def _vocabulary(sequences: Path) -> list[str]:
    """The channels that the released model knows, in their order."""
    words = json.loads((sequences / "sequence.json").read_text())
    return [channel["code"] for channel in words["channels"]]

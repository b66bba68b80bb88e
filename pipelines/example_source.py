"""The events of a shard, and what a study's domain makes of them: examples and sequences."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Self

import polars as pl

from pipelines.domains import Domain, load_domain
from pipelines.event_store import read_events, read_subjects
from pipelines.examples import Examples
from pipelines.replay import Replayed, Stored, replay_cuts, replay_examples
from pipelines.sequences import Sequences, gather_sequences
from pipelines.shards import Shard
from pipelines.study import Study

# What examples and features of a domain come from that derives no feature from several events.
COLUMNS = ("subject_id", "time", "known_time", "code", "numeric_value")

ExamplesOf = Callable[[pl.DataFrame, pl.DataFrame], Examples]


@dataclass(frozen=True)
class ExampleSource:
    """The tables, what the domain takes from them, and how it makes examples of events."""

    domain: Domain
    config: Any
    events: pl.DataFrame
    subjects: pl.DataFrame
    make: ExamplesOf
    kinds: dict[str, str]
    features: pl.DataFrame

    @classmethod
    def read(cls, spec: Study, folder: Path, shard: Shard, make: ExamplesOf) -> Self:
        """The events of ``folder``, of one shard.

        Args:
            make: events and subjects -> the examples of them.
        """
        domain, config = load_domain(spec.domain), spec.records
        events = read_events(folder, shard, None if domain.DERIVES_FEATURES else COLUMNS)
        subjects = read_subjects(folder, shard)
        return cls(
            domain=domain,
            config=config,
            events=events,
            subjects=subjects,
            make=make,
            kinds=domain.channel_kinds(config, events),
            features=domain.feature_events(config, events, subjects),
        )

    def examples(self) -> Examples:
        """The examples of all events."""
        return self.make(self.events, self.subjects)

    def sequences(self, examples: Examples, channels: list[str]) -> Sequences:
        """What was known of each example, in these channels."""
        lookback = self.domain.lookback_days(self.config)
        return gather_sequences(self.features, examples.frame, channels, lookback)

    def unknown_observations(self, examples: Examples, channels: list[str]) -> int:
        """Observations of the examples that ``channels`` has no number for."""
        unknown = sorted(set(self.kinds) - set(channels))
        return self.sequences(examples, unknown).observation_value.size if unknown else 0

    def replay(self, stored: Stored, at: datetime | None = None) -> Replayed:
        """Truncation replay, of the events that features were computed from where they were.

        Args:
            at: the moment that examples are scored as of, if they are.
        """
        if not self.domain.DERIVES_FEATURES:
            return replay_examples(
                self.features, stored, partial(self.domain.derived_statics, self.config)
            )

        def build(known: pl.DataFrame) -> tuple[pl.DataFrame, Examples]:
            features = self.domain.feature_events(self.config, known, self.subjects)
            return features, self.make(known, self.subjects)

        return replay_cuts(self.events, build, stored, at=at)

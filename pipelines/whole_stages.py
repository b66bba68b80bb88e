"""Stages that the flows map over shards, whole: for commands that run them in one process."""

from pipelines.domains import shards_of
from pipelines.stages.build_sequences import build_sequences
from pipelines.stages.ingest_events import ingest_events
from pipelines.stages.merge_events import merge_events
from pipelines.stages.merge_scores import merge_scores
from pipelines.stages.merge_sequences import merge_sequences
from pipelines.stages.score_subjects import score_subjects
from pipelines.study import load_study


def whole_events(study: str) -> str:
    """The key of a study's events, made now if they are not there.

    Raises: as ``ingest_events`` and ``merge_events``.
    """
    return merge_events(study, [ingest_events(study, shard) for shard in _shards(study)])


def whole_sequences(study: str, events: str, as_of: str | None = None) -> str:
    """The key of a study's sequences, made shard by shard now if they are not there.

    Raises: as ``build_sequences`` and ``merge_sequences``.
    """
    parts = [build_sequences(study, events, shard, as_of) for shard in _shards(study)]
    return merge_sequences(study, events, parts, as_of)


def whole_scores(study: str, sequences: str) -> str:
    """The key of everybody's scores, made shard by shard now if they are not there.

    Raises: as ``score_subjects`` and ``merge_scores``.
    """
    parts = [score_subjects(study, sequences, shard) for shard in _shards(study)]
    return merge_scores(study, sequences, parts)


def _shards(study: str) -> list[str]:
    return [str(shard) for shard in shards_of(load_study(study).domain)]

"""The tasks that several flows begin with."""

from typing import Any

from airflow.sdk import XComArg
from airflow.sdk.bases.decorator import Task

from dags.stages import stage
from pipelines.domains import shards_of
from pipelines.study import Study


@stage(hours=2)
def ingest_events(study: str, shard: str) -> str:
    """Read the source, judge every row of a shard's subjects, keep what is sound."""
    from pipelines.stages.ingest_events import ingest_events as run

    return run(study, shard)


@stage(hours=1)
def merge_events(study: str, parts: list[str]) -> str:
    """Put the tables of all shards together: their bytes do not tell how many there were."""
    from pipelines.stages.merge_events import merge_events as run

    return run(study, list(parts))


def ingested(spec: Study) -> XComArg:
    """The key of the study's tables: a task per shard reads the source, one puts them together."""
    return merge_events(spec.name, over_shards(ingest_events, spec))


def over_shards(task: Task[..., str], spec: Study, **given: Any) -> XComArg:
    """A task for each shard of the study's subjects; all get what else is given."""
    words = [str(shard) for shard in shards_of(spec.domain)]
    # Airflow shows a function's docstring of a plain task only.
    of_shard = task.override(doc_md=task.function.__doc__)
    return of_shard.partial(study=spec.name, **given).expand(shard=words)


@stage(hours=1)
def check_events(study: str, events: str) -> str:
    """Judge the tables against the contract that the study declares. Fails if it is broken."""
    from pipelines.stages.check_events import check_events as run

    return run(study, events)


@stage(hours=2)
def build_sequences(study: str, events: str, shard: str, as_of: str | None = None) -> str:
    """Turn a shard's events into examples with what was known of them, for training or scoring."""
    from pipelines.stages.build_sequences import build_sequences as run

    return run(study, events, shard, as_of)


@stage(hours=1)
def merge_sequences(study: str, events: str, parts: list[str], as_of: str | None = None) -> str:
    """Put all shards together, with splits and weights for training. Fails if the future leaked."""
    from pipelines.stages.merge_sequences import merge_sequences as run

    return run(study, events, list(parts), as_of)

"""The tasks that several flows begin with."""

from dags.stages import stage


@stage(hours=2)
def ingest_events(study: str) -> str:
    """Read the source, judge every row, keep what is sound under pseudonyms."""
    from pipelines.stages.ingest_events import ingest_events as run

    return run(study)


@stage(hours=1)
def check_events(study: str, events: str) -> str:
    """Judge the tables against the contract that the study declares. Fails if it is broken."""
    from pipelines.stages.check_events import check_events as run

    return run(study, events)


@stage(hours=2)
def build_sequences(study: str, events: str) -> str:
    """Turn events into examples with labels, weights and splits. Fails if the future leaked."""
    from pipelines.stages.build_sequences import build_sequences as run

    return run(study, events)

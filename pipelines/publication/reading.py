"""Read what is published, from whichever store the installation names; no lock is taken."""

from datetime import date, datetime

import polars as pl

from pipelines.publication.contract import ListedGeneration as ListedGeneration
from pipelines.publication.store import open_store
from pipelines.settings import Settings


def read_current(study: str, settings: Settings) -> pl.DataFrame:
    """The current predictions of a study, one row per subject; times in UTC.

    Raises:
        SourceMissing: nothing was published yet.
        DatabaseUnavailable: the PostgreSQL that the installation names cannot be used.
    """
    return open_store(settings).read_current(study)


def read_as_of(study: str, day: date, settings: Settings) -> pl.DataFrame:
    """The predictions that stand for ``day`` (UTC): the newest generation as of it or earlier."""
    return open_store(settings).read_as_of(study, day)


def read_seen_at(study: str, moment: datetime, settings: Settings) -> pl.DataFrame:
    """What ``read_current`` gave at that moment; a person erased since then is gone from it too."""
    return open_store(settings).read_seen_at(study, moment)


def read_withdrawn(study: str, settings: Settings) -> pl.DataFrame:
    """Every prediction that was withdrawn, with the reason, the person and the time."""
    return open_store(settings).read_withdrawn(study)


def list_generations(study: str, settings: Settings) -> tuple[ListedGeneration, ...]:
    """Every generation of a study, oldest first; none when nothing was published yet."""
    return open_store(settings).list_generations(study)

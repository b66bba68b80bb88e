"""The tables that workers write what came of a task into.

Celery would make them at a worker's first start; a worker's login may not, so ``init`` does.
"""

from celery.backends.database.models import Task
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool


def make_result_tables(metadata_url: str) -> None:
    """Make those that are not there, owned by the metadata's login."""
    Task.metadata.create_all(create_engine(metadata_url, poolclass=NullPool))

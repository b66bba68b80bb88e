"""A failed task reaches a person."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipelines.errors import EquipoiseError, RunFailed
from pipelines.notices import Notice, send

log = logging.getLogger(__name__)


def tell_someone(context: Mapping[str, Any]) -> None:
    """Send a notice of a task that failed for good; the callback of every task."""
    if not send(notice_of(context)):
        log.warning("nobody was told of this failure: see EQUIPOISE_ALERT_WEBHOOK in the README")


def notice_of(context: Mapping[str, Any]) -> Notice:
    """What is said of a failure: where and of which class, never the words of an exception.

    A task that was killed from outside leaves no exception behind.
    """
    instance, error = context["ti"], context.get("exception")
    return Notice(
        dag=instance.dag_id,
        task=instance.task_id,
        run=instance.run_id,
        attempt=instance.try_number,
        error=type(error).__name__ if isinstance(error, BaseException) else "Killed",
        exit_code=error.exit_code if isinstance(error, EquipoiseError) else RunFailed.exit_code,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )

"""A failure reaches a person: from the task that failed, or else from its run."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pipelines.errors import EquipoiseError, RunFailed
from pipelines.notices import Notice, send, was_told

log = logging.getLogger(__name__)


def tell_of_task(context: Mapping[str, Any]) -> None:
    """Send a notice of a task that failed for good; the callback of every task."""
    _send(notice_of(context))


def tell_of_run(context: Mapping[str, Any]) -> None:
    """Send a notice of a failed run that nobody was told of; the callback of every DAG.

    Airflow calls no callback of a task whose process was killed (memory ran out, a worker was
    lost); this one is called by another process, when the run has failed.
    """
    run_id = context["run_id"]
    if not was_told(context["dag"].dag_id, run_id):
        instance = context.get("ti")
        _send(
            Notice(
                dag=context["dag"].dag_id,
                task=instance.task_id if instance is not None else "unknown",
                run=run_id,
                attempt=instance.try_number if instance is not None else 0,
                error="Killed",
                exit_code=RunFailed.exit_code,
                at=_now(),
            )
        )


def notice_of(context: Mapping[str, Any]) -> Notice:
    """What is said of a failure: where and of which class, never the words of an exception."""
    instance, error = context["ti"], context.get("exception")
    return Notice(
        dag=instance.dag_id,
        task=instance.task_id,
        run=instance.run_id,
        attempt=instance.try_number,
        error=type(error).__name__ if isinstance(error, BaseException) else "Killed",
        exit_code=error.exit_code if isinstance(error, EquipoiseError) else RunFailed.exit_code,
        at=_now(),
    )


def _send(notice: Notice) -> None:
    if not send(notice):
        log.warning("nobody was told of this failure: see EQUIPOISE_ALERT_WEBHOOK in the README")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

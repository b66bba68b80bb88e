"""What every task shares: patience, whom a failure reaches, and silence about values."""

import functools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule, task
from airflow.sdk.bases.decorator import Task
from airflow.sdk.exceptions import AirflowSkipException

from dags.alerts import tell_of_task
from dags.silence import without_values
from pipelines.errors import (
    ArtefactStoreUnavailable,
    AwaitingApproval,
    DatabaseUnavailable,
    EquipoiseError,
    RunFailed,
    StoreLocked,
    TrainingFailed,
    TrainingInterrupted,
)

# The time between is the installation's: [core] default_task_retry_delay, 300 s where none is set.
RETRIES = 2

# A gate that closed, or a study that is wrong, is as closed and as wrong five minutes later.
RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            [
                ArtefactStoreUnavailable,
                DatabaseUnavailable,
                StoreLocked,
                TrainingFailed,
                TrainingInterrupted,
            ],
            RetryAction.RETRY,
            reason="may pass by itself",
        ),
        RetryRule(RunFailed, RetryAction.DEFAULT, reason="unexpected"),
        RetryRule(EquipoiseError, RetryAction.FAIL, reason="only a person can change it"),
    ]
)

PATIENCE: dict[str, Any] = {
    "retries": RETRIES,
    "retry_policy": RETRY_POLICY,
    "on_failure_callback": tell_of_task,
}


def stage(
    *,
    hours: float,
    queue: str = "default",
    pool: str = "default_pool",
    trigger_rule: str = "all_success",
) -> Callable[[Callable[..., str]], Task[..., str]]:
    """Make a task of a function that calls one stage and returns its artefact's key.

    Args:
        hours: after these the task is stopped and counts as failed.
        queue: the workers that may take it.
        pool: the slots it needs one of.
        trigger_rule: when it runs, by the states of what is before it.
    """
    decorate: Callable[[Callable[..., str]], Task[..., str]] = task(
        **PATIENCE,
        execution_timeout=timedelta(hours=hours),
        queue=queue,
        pool=pool,
        trigger_rule=trigger_rule,
    )
    return lambda function: decorate(_skipped_without_a_key(without_values(function)))


def _skipped_without_a_key(function: Callable[..., str]) -> Callable[..., str]:
    """A stage that made nothing is skipped: it had nothing to do, or it waits for people.

    A skipped task hands on no asset, so nothing starts that waits for what was not made.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> str:
        try:
            key = function(*args, **kwargs)
        except AwaitingApproval as waiting:
            raise AirflowSkipException(str(waiting)) from None
        if not key:
            raise AirflowSkipException("there was nothing to do")
        return key

    return call

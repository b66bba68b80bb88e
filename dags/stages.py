"""What every task shares: patience, whom a failure reaches, and silence about values."""

from collections.abc import Callable
from datetime import timedelta

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule, task
from airflow.sdk.bases.decorator import Task

from dags.alerts import tell_of_task
from dags.silence import without_values
from pipelines.errors import EquipoiseError, RunFailed, StoreLocked, TrainingFailed

RETRIES = 2
RETRY_DELAY = timedelta(minutes=5)

# A gate that closed, or a study that is wrong, is as closed and as wrong five minutes later.
RETRY_POLICY = ExceptionRetryPolicy(
    rules=[
        RetryRule([StoreLocked, TrainingFailed], RetryAction.RETRY, reason="may pass by itself"),
        RetryRule(RunFailed, RetryAction.DEFAULT, reason="unexpected"),
        RetryRule(EquipoiseError, RetryAction.FAIL, reason="only a person can change it"),
    ]
)


def stage(
    *, hours: float, queue: str = "default", pool: str = "default_pool"
) -> Callable[[Callable[..., str]], Task[..., str]]:
    """Make a task of a function that calls one stage and returns its artefact's key.

    Args:
        hours: after these the task is stopped and counts as failed.
        queue: the workers that may take it.
        pool: the slots it needs one of.
    """
    decorate: Callable[[Callable[..., str]], Task[..., str]] = task(
        retries=RETRIES,
        retry_delay=RETRY_DELAY,
        retry_policy=RETRY_POLICY,
        execution_timeout=timedelta(hours=hours),
        on_failure_callback=tell_of_task,
        queue=queue,
        pool=pool,
    )
    return lambda function: decorate(without_values(function))

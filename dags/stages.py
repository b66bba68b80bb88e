"""What every task shares: patience, whom a failure reaches, and silence about values."""

import functools
import logging
import traceback
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule, task
from airflow.sdk.bases.decorator import Task

from dags.alerts import tell_someone
from pipelines.errors import EquipoiseError, RunFailed, StoreLocked, TrainingFailed

log = logging.getLogger(__name__)

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
        on_failure_callback=tell_someone,
        queue=queue,
        pool=pool,
    )
    return lambda function: decorate(without_values(function))


def without_values(function: Callable[..., str]) -> Callable[..., str]:
    """Let only our own errors speak: another library's message may quote a record.

    Airflow writes an exception and all that it was raised from into the task's log. Our own
    errors go on alone; any other becomes a ``RunFailed`` that names its class and place.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> str:
        failure: EquipoiseError
        try:
            return function(*args, **kwargs)
        except EquipoiseError as error:
            failure = error
        except Exception as error:
            failure = _anonymous(error, function.__name__)
        failure.__cause__ = failure.__context__ = None
        raise failure

    return call


def _anonymous(error: Exception, stage_name: str) -> RunFailed:
    """The class of an error and where it arose; its words stay unsaid."""
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames]
    log.error("%s in %s, raised at\n%s", type(error).__name__, stage_name, "\n".join(places))
    last = frames[-1]
    return RunFailed(
        f"{stage_name} met an unexpected {type(error).__name__}. "
        "Its message is withheld: it could quote a record.",
        where=f"{Path(last.filename).name}:{last.lineno} in {last.name}",
        remedy="The task's log lists the whole path. This is a fault of Equipoise or of its "
        "surroundings (disk, memory, network): please report it if it comes again.",
    )

"""The faults of the matrix: when each strikes, and within what it must be over."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import pytest

from tests.cluster import strikes as do
from tests.cluster.networks import needs_root
from tests.cluster.strikes import Strike
from tests.cluster.topology import Cluster


@dataclass(frozen=True)
class Fault:
    """strikes: the task that runs meanwhile, as (flow, task); bound: of the recovery, by name.

    ``bound`` names the settings (seconds) whose sum a flow may take longer than a calm one;
    ``ends`` is what it must come to, and ``error`` what the log of the task that failed names.
    """

    name: str
    strikes: tuple[str, str]
    act: Callable[[Strike], None]
    bound: tuple[str, ...]
    scorings: int = 1
    # Of a fault that strikes scoring: Airflow's own clock begins it, and nobody else.
    is_scheduled: bool = False
    ends: str = "success"
    error: str = ""
    # Entered before the flow is started and left after what it came to was looked at.
    around: Callable[[Cluster], AbstractContextManager[None]] = lambda _: nullcontext()
    marks: tuple[pytest.MarkDecorator, ...] = ()


LOST = (
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL",
)
RETRY = ("AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY",)
QUEUED = (
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL",
)
ORPHANED = (
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL",
)
TRAINING, SCORING = ("train", "train_model"), ("score", "score_subjects")
# The strike itself waits for the task: nobody takes it.
NO_WORKER = ("train", "")
ROOT = (needs_root,)
PUBLISHING = ("score", "publish_predictions")

FAULTS = (
    Fault("worker's machine dies in training", TRAINING, do.kill_machine, LOST + RETRY),
    Fault("worker's parent killed", TRAINING, do.kill_worker_parent, LOST + RETRY),
    Fault("task process killed", TRAINING, do.kill_task_process, LOST + RETRY),
    Fault("task's supervisor killed", TRAINING, do.kill_task_supervisor, LOST + RETRY),
    Fault("scheduler killed", SCORING, do.kill_service("scheduler"), ORPHANED + RETRY),
    Fault("api-server killed", SCORING, do.kill_service("api-server"), LOST + RETRY),
    Fault("triggerer killed", SCORING, do.kill_service("triggerer"), ()),
    Fault("dag-processor killed", SCORING, do.kill_service("dag-processor"), ()),
    Fault("broker killed and restarted", SCORING, do.kill_broker, QUEUED),
    Fault("broker flushed while a task runs", SCORING, do.flush_broker, QUEUED),
    Fault("broker flushed while a task is queued", NO_WORKER, do.flush_a_queued_task, QUEUED),
    Fault("message delivered twice", TRAINING, do.deliver_again, ()),
    Fault("PostgreSQL restarted", PUBLISHING, do.restart_postgres("fast"), LOST + RETRY),
    Fault("PostgreSQL crashed", PUBLISHING, do.restart_postgres("immediate"), LOST + RETRY),
    Fault("same flow started twice", TRAINING, do.start_twice, (), scorings=2),
    Fault("same stage run twice at once", TRAINING, do.run_beside, ()),
    Fault(
        "backfill during a scheduled run",
        SCORING,
        do.backfill,
        (),
        scorings=2,
        is_scheduled=True,
    ),
    # Shorter than the scaled heartbeat timeout, and longer.
    Fault("network cut for 10 s", SCORING, do.cut_network(10), LOST + RETRY, marks=ROOT),
    Fault("network cut for 45 s", SCORING, do.cut_network(45), LOST + RETRY, marks=ROOT),
    Fault("network cut at the end", PUBLISHING, do.cut_network(45), LOST + RETRY, marks=ROOT),
    Fault("disk full", TRAINING, do.fill_disk, RETRY, around=do.little_room, marks=ROOT),
    Fault("scorings overlap", SCORING, do.overlap, (), scorings=3),
    Fault(
        "disk stays full",
        TRAINING,
        do.fill_disk_for_good,
        (*RETRY, *RETRY),
        ends="failure",
        error="RunFailed",
        around=do.little_room,
        marks=ROOT,
    ),
)

"""What each fault of the matrix does to a running cluster."""

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import redis

from dags.processes import stop
from tests.cluster.flow import Flow, wait_until
from tests.cluster.keeper import Keeper
from tests.cluster.networks import small_disk
from tests.cluster.topology import Cluster
from tests.dags.installations import python

KILL = signal.SIGKILL
DISK_MEGABYTES = 64


@dataclass(frozen=True)
class Strike:
    """What a fault is given: the cluster, who restarts its services, and the flow it strikes."""

    cluster: Cluster
    keeper: Keeper
    flow: Flow


def kill_machine(strike: Strike) -> None:
    """All processes of the worker that trains, as when its machine dies."""
    wait_for_checkpoint(strike.flow)
    strike.cluster.service(strike.flow.host("train_model")).signal(KILL)


def kill_worker_parent(strike: Strike) -> None:
    """The worker's own process; what it had started may live on."""
    wait_for_checkpoint(strike.flow)
    leader = strike.cluster.service(strike.flow.host("train_model")).leader()
    assert leader is not None
    os.kill(leader, KILL)


def kill_task_process(strike: Strike) -> None:
    """The process in which the task's function runs."""
    os.kill(_task_processes(strike)[1], KILL)


def kill_task_supervisor(strike: Strike) -> None:
    """The worker's child that watches the task and tells that it lives."""
    os.kill(_task_processes(strike)[0], KILL)


def kill_service(name: str) -> Callable[[Strike], None]:
    return lambda strike: strike.cluster.service(name).signal(KILL)


def kill_broker(strike: Strike) -> None:
    """Killed and started again over its append-only file."""
    strike.cluster.broker.service.signal(KILL)
    stop([strike.cluster.broker.service], patience_seconds=1)
    time.sleep(2)
    strike.cluster.broker.start()


def flush_broker(strike: Strike) -> None:
    strike.cluster.broker.flush()


def flush_a_queued_task(strike: Strike) -> None:
    """No worker of the queue lives, the task's message waits, and is forgotten."""
    names = ["worker-gpu-1", "worker-gpu-2"]
    strike.keeper.left_alone.update(names)
    for name in names:
        strike.cluster.service(name).signal(KILL)
    wait_until(lambda: strike.flow.state(strike.flow.train, "train_model") == "queued", 420)
    wait_until(lambda: _messages(strike.cluster, "gpu") > 0, 60)
    strike.cluster.broker.flush()
    strike.keeper.left_alone.difference_update(names)


def deliver_again(strike: Strike) -> None:
    """The broker gives the message of a task that runs to a second worker."""
    with strike.cluster.broker.client() as client:
        kept: dict[bytes, bytes] = client.hgetall("unacked")
        mine = [text for text in kept.values() if b'"gpu"' in text]
        assert mine, "the message of the running task is not kept"
        message = json.loads(mine[-1])[0]
        message["properties"]["delivery_tag"] = "delivered-again"
        client.lpush("gpu", json.dumps(message))
    wait_until(lambda: _messages(strike.cluster, "gpu") == 0, 60)


def restart_postgres(mode: str) -> Callable[[Strike], None]:
    def act(strike: Strike) -> None:
        strike.cluster.postgres.stop(mode)
        time.sleep(2)
        strike.cluster.postgres.start()

    return act


def start_twice(strike: Strike) -> None:
    """A second run of the same flow while the first one trains."""
    strike.cluster.airflow.start(strike.flow.train)


def overlap(strike: Strike) -> None:
    """Two scorings more, asked for by hand while one runs."""
    for _ in range(2):
        strike.cluster.airflow.start(strike.flow.score)


def run_beside(strike: Strike) -> None:
    """The same stage over the same inputs, by a process that no worker knows of."""
    [[sequences]] = strike.cluster.sql(
        "SELECT value #>> '{}' FROM xcom WHERE task_id = 'merge_sequences' "  # noqa: S608
        f"AND dag_id = '{strike.flow.train}' AND key = 'return_value'"
    )
    module = "pipelines.stages.train_model"
    call = f"import sys; from {module} import train_model; train_model(*sys.argv[1:])"
    words = ("-c", call, strike.flow.study, str(sequences))
    code, _, errors = python(*words, env=strike.cluster.env, timeout_s=600)
    assert code == 0, errors


def backfill(strike: Strike) -> None:
    """The scoring of a year ago, while the one that was due today runs."""
    then = strike.flow.scheduled_at() - timedelta(days=365)
    asked = {
        "dag_id": strike.flow.score,
        "from_date": (then - timedelta(days=2)).isoformat(),
        "to_date": (then + timedelta(days=2)).isoformat(),
        "reprocess_behavior": "none",
        "max_active_runs": 1,
    }
    strike.cluster.airflow.ask("/api/v2/backfills", asked)


def little_room(cluster: Cluster) -> AbstractContextManager[None]:
    """The artefacts lie on a disk of their own, which is empty."""
    return small_disk(cluster.home / "artefacts", DISK_MEGABYTES)


def fill_disk(strike: Strike) -> None:
    """Not a byte is free until a task has failed for it; then somebody makes room."""
    fill_disk_for_good(strike)
    wait_until(lambda: "up_for_retry" in {task[2] for task in strike.flow.tasks()}, 300)
    _ballast(strike).unlink()


def fill_disk_for_good(strike: Strike) -> None:
    """Not a byte is free, and nobody makes room."""
    with _ballast(strike).open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(bytes(4096))


def cut_network(seconds: float) -> Callable[[Strike], None]:
    """Between the worker that scores and publishes and all else: api, broker, both databases."""

    def act(strike: Strike) -> None:
        assert strike.cluster.machine is not None
        strike.cluster.machine.cut()
        time.sleep(seconds)
        strike.cluster.machine.mend()

    return act


def wait_for_checkpoint(flow: Flow, epochs: int = 2) -> None:
    """Wait until so many epochs are kept: their JSON is written last, number 0 before them all."""
    folder = flow.cluster.home / "artefacts" / "train_model"
    words = f".work-*/checkpoints/*/{'[0-9]' * 6}.json"
    wait_until(lambda: any(int(file.stem) >= epochs for file in folder.glob(words)), 300)


def _ballast(strike: Strike) -> Path:
    return strike.cluster.home / "artefacts" / "ballast"


def _task_processes(strike: Strike) -> tuple[int, int]:
    """(the supervisor, the task) of the one task that the worker runs."""
    wait_for_checkpoint(strike.flow)
    service = strike.cluster.service(strike.flow.host("train_model"))
    [training] = [pid for pid in service.members() if "models.training" in _words(pid)]
    task = _parent(training)
    return _parent(task), task


def _words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _messages(cluster: Cluster, queue: str) -> int:
    client: redis.Redis
    with cluster.broker.client() as client:
        return int(str(client.llen(queue)))

"""``python -m tests.dags.describe``: what Airflow sees of the DAG files, as JSON.

Airflow sets up logging and warnings of the whole process at its import, hence a child process.
"""

import json
import sys
import time
from typing import Any

FILES = ("dags.training", "dags.approval", "dags.scoring")


def main() -> None:
    import airflow.sdk

    beside_airflow = set(sys.modules)
    seconds = {}
    for name in FILES:
        began = time.process_time()
        __import__(name)
        seconds[name] = time.process_time() - began
    modules = sorted(set(sys.modules) - beside_airflow)
    files = [sys.modules[name] for name in FILES]
    found = [dag for file in files for dag in file.DAGS.values()]
    described = {
        "airflow": airflow.__version__,
        "seconds": seconds,
        "modules": modules,
        "retries": retries(),
        "dags": {dag.dag_id: describe(dag) for dag in found},
    }
    print(json.dumps(described))


def retries() -> dict[str, str]:
    """Error class -> what the policy of every task decides about it."""
    from dags.stages import RETRY_POLICY
    from pipelines.errors import EquipoiseError

    errors = [cls("", where="", remedy="") for cls in EquipoiseError.__subclasses__()]
    every = [*errors, MemoryError()]
    return {type(e).__name__: RETRY_POLICY.evaluate(e, 1, 2).action.value for e in every}


def describe(dag: Any) -> dict[str, Any]:
    return {
        "doc": dag.doc_md,
        "schedule": describe_schedule(dag.schedule),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "paused": dag.is_paused_upon_creation,
        "tags": sorted(dag.tags),
        "on_failure": dag.on_failure_callback.__name__,
        "params": {name: dag.params.get_param(name).schema for name in dag.params},
        "tasks": {task.task_id: describe_task(task) for task in dag.topological_sort()},
    }


def describe_schedule(schedule: Any) -> dict[str, Any]:
    timetable = getattr(schedule, "timetable", schedule)
    condition = getattr(schedule, "asset_condition", None)
    assets = schedule if isinstance(schedule, list) else getattr(condition, "objects", [])
    return {
        "cron": getattr(timetable, "expression", None),
        "assets": [asset.name for asset in assets],
    }


def describe_task(task: Any) -> dict[str, Any]:
    from airflow.sdk import TriggerRule

    return {
        "doc": task.doc_md,
        "owner": task.owner,
        "queue": task.queue,
        "pool": task.pool,
        "retries": task.retries,
        "retry_delay_s": task.retry_delay.total_seconds(),
        "timeout_s": task.execution_timeout.total_seconds(),
        "on_failure": [callback.__name__ for callback in each_of(task.on_failure_callback)],
        "upstream": sorted(task.upstream_task_ids),
        "trigger_rule": TriggerRule(task.trigger_rule).value,
        "outlets": [outlet.name for outlet in task.outlets],
        "arguments": [str(argument) for argument in getattr(task, "op_args", ())],
    }


def each_of(callbacks: Any) -> list[Any]:
    """A mapped task keeps a single callback as it was given."""
    return [callbacks] if callable(callbacks) else list(callbacks)


if __name__ == "__main__":
    main()

"""``python -m tests.dags.silenced``: what each task says of an error that quotes a record, as JSON.

Each task's callable is the one that Airflow runs; the stage in it is one that fails.
"""

import inspect
import json
import sys
import traceback
from types import ModuleType
from typing import Any

RECORD = "patient 4711 weighs 93 kg"


class _Failing(ModuleType):
    """In the place of a stage's module: all of its functions fail and quote."""

    def __getattr__(self, name: str) -> Any:
        def fails(*_: object, **__: object) -> str:
            raise ValueError(RECORD)

        if name.startswith("__"):
            raise AttributeError(name)
        return fails


def main() -> None:
    import dags.scoring
    import dags.training

    said: dict[str, dict[str, Any]] = {}
    for file in (dags.training, dags.scoring):
        for dag in file.DAGS.values():
            for task in dag.tasks:
                said[f"{dag.dag_id}.{task.task_id}"] = _said_by(task)
    print(json.dumps(said))


def _said_by(task: Any) -> dict[str, Any]:
    mapped = hasattr(task, "partial_kwargs")
    function = task.python_callable
    module = f"pipelines.stages.{task.task_id}"
    for name in (module, "pipelines.stages.build_sequences"):
        sys.modules[name] = _Failing(name)
    count = len(inspect.signature(function).parameters)
    try:
        function(*["x"] * count)
    except BaseException as error:
        return {
            "mapped": mapped,
            "error": type(error).__name__,
            "printed": "".join(traceback.format_exception(error)),
        }
    return {"mapped": mapped, "error": None, "printed": ""}


if __name__ == "__main__":
    main()

"""Stages that do nothing, for trials of the graph alone: put this folder on PYTHONPATH.

Each call adds ``<function> <arguments as JSON>`` to the file ``TOY_CALLS`` and a line to the
journal. ``TOY_FAILURE`` is ``<function> <ErrorClass>``: that function raises that class, of
``pipelines.errors`` or built in, or sleeps for ten minutes if it is ``Sleep``.
"""

import builtins
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

RECORD = "patient 4711 weighs 93 kg"
PREFIX = "pipelines.stages."


class ToyStages(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname.startswith(PREFIX) else None

    def exec_module(self, module: ModuleType) -> None:
        stage = module.__name__.removeprefix(PREFIX)
        setattr(module, stage, toy(stage))


def toy(stage: str) -> Callable[..., str]:
    def call(study: str, *arguments: str) -> str:
        from pipelines.journal import JournalEntry, append_entry

        with Path(os.environ["TOY_CALLS"]).open("a") as calls:
            calls.write(f"{stage} {json.dumps(arguments)}\n")
        failing, _, error = os.environ.get("TOY_FAILURE", "").partition(" ")
        if failing == stage:
            raise_error(error)
        counts = {"rows_in": 1200, "accepted": 1190, "quarantined": 10}
        key = f"{stage}/0123456789abcdef"
        append_entry(JournalEntry(study, stage, key, made=True, seconds=0.25, counts=counts))
        return key

    return call


def raise_error(name: str) -> None:
    from pipelines import errors

    if name == "Sleep":
        time.sleep(600)
    if hasattr(errors, name):
        raise getattr(errors, name)("cause", where="place", remedy="remedy")
    raise getattr(builtins, name)(RECORD)


sys.meta_path.insert(0, ToyStages())

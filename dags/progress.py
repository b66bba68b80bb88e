"""What a run in this process tells its terminal: stages as they begin and end, and the failure."""

import logging
import shutil
import time
from collections.abc import Callable
from typing import Any, TextIO

from airflow.listeners import hookimpl

log = logging.getLogger(__name__)


class Progress:
    """An Airflow listener: prints a line per stage and keeps the last failure."""

    def __init__(self, terminal: TextIO, on_begin: Callable[[], None]) -> None:
        self.failure: BaseException | str | None = None
        self.failed_stage = self._failed = ""
        self.skipped: set[str] = set()
        self._terminal = terminal
        self._on_begin = on_begin
        self._began = time.monotonic()

    @hookimpl
    def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:
        """Airflow calls this before the task's function."""
        self._began = time.monotonic()
        self._on_begin()
        self.say(f"{_name(task_instance)} …")

    @hookimpl
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
        """Airflow calls this after the task's function."""
        if _name(task_instance) == self._failed:
            self.failure = None  # it was tried again; what another stage does mends nothing
        self.say(f"{_name(task_instance)} done in {self._seconds():.1f} s")

    @hookimpl
    def on_task_instance_failed(
        self, previous_state: Any, task_instance: Any, error: BaseException | str | None
    ) -> None:
        """Airflow calls this for every failed attempt."""
        self.failure, self.failed_stage = error, task_instance.task_id
        self._failed = _name(task_instance)
        kind = type(error).__name__ if isinstance(error, BaseException) else "unknown"
        self.say(f"{self._failed} failed after {self._seconds():.1f} s ({kind})")

    @hookimpl
    def on_task_instance_skipped(self, previous_state: Any, task_instance: Any) -> None:
        """Airflow calls this for a task that had nothing to do, or that waits for people."""
        self.skipped.add(task_instance.task_id)
        self.say(f"{task_instance.task_id} skipped")

    def say(self, line: str) -> None:
        """One line to the terminal, at once."""
        print(f"{self._clear()}{line}", file=self._terminal, flush=True)

    def say_for_now(self, line: str) -> None:
        """A line that gives its place to the next one, on a terminal; a plain line elsewhere."""
        if not self._terminal.isatty():
            self.say(line)
            return
        width = shutil.get_terminal_size().columns - 1
        print(f"{self._clear()}{line[:width]}", end="", file=self._terminal, flush=True)

    def _clear(self) -> str:
        return "\r\x1b[K" if self._terminal.isatty() else ""

    def _seconds(self) -> float:
        return time.monotonic() - self._began


def _name(task_instance: Any) -> str:
    """The stage, and from the second of its tasks on the number: of most stages there is one."""
    number = task_instance.map_index + 1
    return f"{task_instance.task_id} {number}" if number > 1 else str(task_instance.task_id)


class StageLines(logging.Handler):
    """Shows what stages log, indented under the stage's own line; training's epochs in place."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(logging.INFO)
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        """Show one line."""
        line = f"  {record.getMessage()}"
        if line.startswith("  training:"):
            self._progress.say_for_now(line)
        else:
            self._progress.say(line)

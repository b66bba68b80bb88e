"""``python -m dags.run STUDY``: the very DAGs of the scheduler, run whole in this process.

Exit codes: 0; 25 where people must approve first; that of the ``EquipoiseError`` that failed the
run; 41 for any other failure; 130 and 143 when interrupted or terminated.
"""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from datetime import date, timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from dags.environment import airflow_environment, enter
from dags.metadata import metadata_file, migrate
from pipelines.errors import EquipoiseError, RunFailed
from pipelines.runs import new_run_id
from pipelines.settings import settings
from pipelines.study import load_study
from pipelines.tuning.section import tuning_of

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from dags.progress import Progress

FLOWS = {
    "train": ("train",),
    "score": ("score",),
    "both": ("train", "score"),
    "tune": ("tune",),
}


def main(arguments: list[str] | None = None) -> int:
    """Run one study's flows; returns the exit code."""
    asked = _parse(arguments)
    _stop_at_signals()
    run = os.environ.setdefault("EQUIPOISE_RUN", new_run_id())
    try:
        spec = load_study(asked.study)
        if asked.flow == "tune":
            tuning_of(spec)
        with metadata_file(run) as database:
            enter(airflow_environment(database))
            return _run(asked, run, database)
    except EquipoiseError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def log_file(run: str) -> Path:
    """Where all that Airflow and the stages log in a run is kept."""
    return settings().airflow_home / "logs" / "runs" / f"{run}.log"


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dags.run", description=__doc__)
    parser.add_argument("study")
    parser.add_argument("--as-of", type=date.fromisoformat, help="score as of this day (UTC)")
    parser.add_argument("--flow", choices=FLOWS, default="both")
    return parser.parse_args(arguments)


def _run(asked: argparse.Namespace, run: str, database: Path) -> int:
    terminal = sys.stdout
    log_file(run).parent.mkdir(parents=True, exist_ok=True)
    # Airflow logs to the standard streams it finds at its import.
    with log_file(run).open("a") as log, redirect_stdout(log), redirect_stderr(log):
        import airflow

        from dags.progress import Progress, StageLines

        migrate(database)
        progress = Progress(terminal, _stop_at_signals)
        _listen(progress)
        logging.getLogger("pipelines").addHandler(StageLines(progress))
        progress.say(f"run {run} on airflow {airflow.__version__}, log {log_file(run)}")
        try:
            return _flows(asked, progress)
        except Exception as error:
            logging.getLogger(__name__).exception("the run itself failed")
            raise RunFailed(
                f"The run ended with an unexpected {type(error).__name__}, in no stage.",
                where=str(log_file(run)),
                remedy="Run again; if it comes back, please report it with the end of that log.",
            ) from None


def _flows(asked: argparse.Namespace, progress: "Progress") -> int:
    """Airflow starts no asset's consumer here: scoring follows training by our own hand."""
    for flow in FLOWS[asked.flow]:
        conf = {"as_of": asked.as_of.isoformat()} if flow == "score" and asked.as_of else {}
        if not _succeeds(_dag(flow, asked.study), conf):
            return _tell(progress)
        if "release_model" in progress.skipped:
            return _tell_of_waiting(asked.study)
    return 0


def _dag(flow: str, study: str) -> "DAG":
    import dags.scoring
    import dags.training
    import dags.tuning

    found = {"train": dags.training, "score": dags.scoring, "tune": dags.tuning}
    dag: DAG = found[flow].DAGS[study]
    for task in dag.tasks:
        # Somebody is waiting at the terminal.
        task.retry_delay = timedelta(0)
    return dag


def _succeeds(dag: "DAG", conf: dict[str, str]) -> bool:
    from airflow.sdk import DagRunState

    # Like a run that an asset triggered: without a logical date.
    return bool(dag.test(logical_date=None, run_conf=conf).state == DagRunState.SUCCESS)


def _tell(progress: "Progress") -> int:
    """Say why the run failed; returns the exit code."""
    failure = progress.failure
    if isinstance(failure, EquipoiseError):
        print(f"{progress.failed_stage} failed: {failure}", file=sys.__stderr__)
        return failure.exit_code
    print(f"{progress.failed_stage} failed: {type(failure).__name__}", file=sys.__stderr__)
    return RunFailed.exit_code


def _tell_of_waiting(study: str) -> int:
    """Say what people are asked and how to answer; returns the exit code."""
    from pipelines.approvals.awaiting import awaiting_now

    waiting = awaiting_now(study)
    print(waiting, file=sys.__stderr__)
    return waiting.exit_code


def _listen(progress: "Progress") -> None:
    from airflow.sdk.listener import get_listener_manager

    listen: Callable[[object], None] = get_listener_manager().add_listener
    listen(progress)


def _stop_at_signals() -> None:
    """Airflow's task runner takes SIGTERM and lets a task go on, and a Ctrl-C would be retried."""
    stop: Callable[[int, FrameType | None], None] = _stop
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def _stop(number: int, frame: FrameType | None) -> None:
    """End at once: every stage bears being killed, and a training process that has lost its
    parent ends at its next line.
    """
    os._exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())

"""Start a run in a child process: only ``dags`` may import airflow, and pipelines not ``dags``."""

import os
import signal
import subprocess
import sys
import uuid
from datetime import UTC, date, datetime
from types import FrameType


def new_run_id() -> str:
    """A name for a run that sorts by time and is never given twice."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}"


def run_study(study: str, run: str, as_of: date | None) -> int:
    """Train and score a study by its DAGs, the child's lines on our own streams.

    Returns:
        The child's exit code; 128 + n if signal n ended it.
    """
    command = [sys.executable, "-m", "dags.run", study]
    if as_of is not None:
        command += ["--as-of", as_of.isoformat()]
    with subprocess.Popen(command, env=os.environ | {"EQUIPOISE_RUN": run}) as child:
        _share_signals_with(child)
        code = child.wait()
    return code if code >= 0 else 128 - code


def _share_signals_with(child: subprocess.Popen[bytes]) -> None:
    """Let the child decide when both end. A terminal's Ctrl-C reaches it without our help."""

    def forward(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, lambda number, frame: None)

"""What a setting of Airflow's is, said without importing Airflow."""

import os
import shlex
import subprocess

ANSWER_SECONDS = 10.0


def airflow_setting(variable: str, seconds: float = ANSWER_SECONDS) -> str:
    """The value in a variable as ``AIRFLOW__CELERY__BROKER_URL``, or what its ``…_CMD`` prints.

    Empty where neither is set, or where the command cannot be run or prints nothing in time.
    """
    if variable in os.environ:
        return os.environ[variable]
    # As Airflow does: where no value is set, and no shell, the words of the command.
    words = os.environ.get(f"{variable}_CMD", "")
    if not words:
        return ""
    try:
        done = subprocess.run(
            shlex.split(words), capture_output=True, text=True, check=False, timeout=seconds
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()

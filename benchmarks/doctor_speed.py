"""How long ``equipoise doctor`` takes, from its start to its end, with each executor that we ship.

Wall time of whole processes, on an idle machine. The limit: a median of at most 5 s. A check that
was given up for lack of time is told: then the machine was not idle.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

MOST_SECONDS = 5.0
EXECUTORS = ("LocalExecutor", "CeleryExecutor")


def main() -> int:
    """Run it so often for each executor, print; 1 if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    medians = []
    for executor in EXECUTORS:
        measured = [examined(executor) for _ in range(runs)]
        seconds = sorted(taken for taken, _ in measured)
        given_up = sum(late for _, late in measured)
        medians.append(statistics.median(seconds))
        print(
            f"{executor:15} median {medians[-1]:.2f} s, {seconds[0]:.2f} to {seconds[-1]:.2f}; "
            f"{given_up} checks given up in {runs} runs; limit {MOST_SECONDS:.0f} s"
        )
    return int(max(medians) > MOST_SECONDS)


def examined(executor: str) -> tuple[float, int]:
    """(seconds, checks that did not end in time) of one run."""
    environment = os.environ | {"AIRFLOW__CORE__EXECUTOR": executor}
    began = time.monotonic()
    done = subprocess.run(
        [Path(sys.executable).with_name("equipoise"), "doctor", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    words = [check["words"] for check in json.loads(done.stdout)]
    return seconds, sum("no answer in" in each or "was not imported in" in each for each in words)


if __name__ == "__main__":
    sys.exit(main())

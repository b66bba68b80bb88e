"""``python -m tests.cluster.matrix_table RECORD...``: the table of a fault record.

The record is what `EQUIPOISE_FAULT_RECORD=FILE pytest -m slow tests/cluster` adds to FILE, a line
of JSON for each trial.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.cluster.faults import FAULTS

HEAD = (
    "| fault | must end in | bound + allowance, s | trials | success | clear failure | no end "
    "| tried again | longest recovery, s | old drafts | violations |\n"
    "|---|---|---|---|---|---|---|---|---|---|---|"
)
ENDS = {fault.name: fault.ends for fault in FAULTS}


def table(trials: list[dict[str, Any]]) -> str:
    """A row for each fault, in the order in which they were tried."""
    by_fault: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in trials:
        by_fault[each["fault"]].append(each)
    return "\n".join([HEAD, *(_row(name, found) for name, found in by_fault.items())])


def _row(name: str, trials: list[dict[str, Any]]) -> str:
    ended = [trial["ended"] for trial in trials]
    again = sorted({task for trial in trials for task in trial["tries"]})
    cells = [
        name,
        ENDS[name],
        " + ".join(f"{trials[0][f'{part}_seconds']:.0f}" for part in ("bound", "allowance")),
        len(trials),
        *(ended.count(word) for word in ("success", "failure", "nothing")),
        ", ".join(again) or "nothing",
        f"{max(trial['seconds'] for trial in trials):.0f}",
        sum(trial["aged"] for trial in trials),
        sum(len(trial["violations"]) for trial in trials),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Print the table of the records that are named."""
    lines = [line for name in sys.argv[1:] for line in Path(name).read_text().splitlines()]
    print(table([json.loads(line) for line in lines]))


if __name__ == "__main__":
    main()

"""Sequence building against pandas sort + groupby: CPU seconds and peak memory, side by side.

Ten million generated events of 250,000 subjects (log-normal number of events, shuffled) become
one ragged sequence per subject. Each run is a process of its own; the median of three is shown.
The limits: at least three times less CPU than pandas, and at most 1.5 GB.
"""

import argparse
import importlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl

EVENTS, SUBJECTS, CODES = 10_000_000, 250_000, 24
LEAST_RATIO, MOST_GIGABYTES = 3.0, 1.5
CHANNELS = [f"code_{number:02d}" for number in range(CODES)]


def main() -> int:
    """Run both ways in turn, print the table, fail if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--way", choices=["ours", "pandas"])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.way:
        _measure(arguments.way, arguments.data)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        _generate(data, arguments.events)
        return _compare(data, arguments.repeats)


def _generate(folder: Path, events: int) -> None:
    random = np.random.default_rng(0)
    lengths = random.lognormal(np.log(20), 1.1, SUBJECTS)
    subject = random.choice(SUBJECTS, events, p=lengths / lengths.sum()).astype(np.int64)
    minutes = random.integers(0, 10 * 365 * 24 * 60, events)
    time_column = pl.Series(minutes * 60_000_000).cast(pl.Datetime("us", "UTC"))
    pl.DataFrame(
        {
            "subject_id": subject * 7919,
            "time": time_column,
            "known_time": time_column,
            "code": pl.Series(random.integers(0, CODES, events)).replace_strict(
                dict(enumerate(CHANNELS)), return_dtype=pl.Categorical
            ),
            "numeric_value": random.normal(size=events).astype(np.float32),
        }
    ).write_parquet(folder / "events.parquet")
    pl.DataFrame(
        {
            "subject_id": np.arange(SUBJECTS, dtype=np.int64) * 7919,
            "index_time": pl.Series([10 * 365 * 86_400_000_000]).cast(pl.Datetime("us", "UTC"))[
                np.zeros(SUBJECTS, np.int64)
            ],
        }
    ).write_parquet(folder / "examples.parquet")


def _ours(folder: Path) -> int:
    from pipelines.sequences import gather_sequences

    columns = ["subject_id", "time", "known_time", "code", "numeric_value"]
    events = pl.read_parquet(folder / "events.parquet", columns=columns)
    examples = pl.read_parquet(folder / "examples.parquet")
    return gather_sequences(events, examples, CHANNELS).observation_value.size


def _pandas(folder: Path) -> int:
    import pandas as pd

    columns = ["subject_id", "time", "code", "numeric_value"]
    events = pd.read_parquet(folder / "events.parquet", columns=columns)
    events = events.sort_values(["subject_id", "time", "code"])
    merged = events.groupby(["subject_id", "time", "code"], observed=True, sort=False)[
        "numeric_value"
    ].mean()
    offsets = merged.groupby(level="subject_id", sort=False).size().cumsum().to_numpy()
    return int(offsets[-1])


def _measure(way: str, folder: Path) -> None:
    # What an import costs is not what building costs.
    importlib.import_module("pipelines.sequences" if way == "ours" else "pandas")
    started, cpu = time.perf_counter(), time.process_time()
    observations = _ours(folder) if way == "ours" else _pandas(folder)
    figures = {
        "observations": observations,
        "cpu_seconds": time.process_time() - cpu,
        "seconds": time.perf_counter() - started,
        "peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }
    print(json.dumps(figures))


def _compare(data: Path, repeats: int) -> int:
    runs: dict[str, list[dict[str, float]]] = {"ours": [], "pandas": []}
    for _ in range(repeats):
        for way, figures in runs.items():
            command = [sys.executable, "-m", "benchmarks.sequence_building"]
            output = subprocess.run(
                [*command, "--way", way, "--data", str(data)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            figures.append(json.loads(output.splitlines()[-1]))
    print(f"{'way':8} {'observations':>13} {'CPU s':>7} {'s':>7} {'peak GB':>8}")
    for way, figures in runs.items():
        row = {name: median(figure[name] for figure in figures) for name in figures[0]}
        print(
            f"{way:8} {row['observations']:13,.0f} {row['cpu_seconds']:7.2f} "
            f"{row['seconds']:7.2f} {row['peak_gigabytes']:8.2f}"
        )
    ratio = _median(runs["pandas"], "cpu_seconds") / _median(runs["ours"], "cpu_seconds")
    peak = _median(runs["ours"], "peak_gigabytes")
    met = ratio >= LEAST_RATIO and peak <= MOST_GIGABYTES
    print(
        f"{ratio:.2f} times less CPU than pandas (limit {LEAST_RATIO:g}), "
        f"peak {peak:.2f} GB (limit {MOST_GIGABYTES:g}): {'met' if met else 'MISSED'}"
    )
    return 0 if met else 1


def _median(figures: list[dict[str, float]], name: str) -> float:
    return median(figure[name] for figure in figures)


if __name__ == "__main__":
    sys.exit(main())

"""Events cut into shards: CPU seconds per event and peak memory of each stage's tasks.

Generated records of a hospital (fifty events a subject, in order of time, not of subjects) are
ingested by a process per shard, merged and checked; each number of events in a home of its own.
The limits: at most 4 GB a task, and CPU per event at most 1.15 times that of a tenth of the events.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipelines.strict_yaml import strict_yaml

ROOT = Path(__file__).parents[1]
STUDY = "generated"
BASE = ROOT / "studies" / "nafld_diabetes.yaml"
EVENTS_PER_SUBJECT, ROWS_AT_ONCE, DAYS = 50, 1_000_000, 3_000
MOST_GIGABYTES, MOST_GROWTH = 4.0, 1.15
LABS = [f"lab_{number:02d}" for number in range(10)]
CODES = [*LABS, "stroke", "left"]


@dataclass(frozen=True)
class Cost:
    """What the tasks of a stage came to: CPU seconds of all, gigabytes of the largest."""

    stage: str
    cpu_seconds: float
    gigabytes: float


def main() -> int:
    """Generate, run every stage for every number of events, print; fail if a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[5_000_000, 50_000_000])
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--private", action="store_true", help="pseudonyms by an own key")
    parser.add_argument("--folder", type=Path, help="where to put the files; default: temporary")
    arguments = parser.parse_args()
    ends = []
    for events in arguments.events:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            costs = list(measure(Path(folder), events, arguments.shards, arguments.private))
        cpu = sum(cost.cpu_seconds for cost in costs) / events
        print(f"{events:>12,} events   all {cpu * 1e6:.2f} us of CPU an event", flush=True)
        ends.append((cpu, max(cost.gigabytes for cost in costs)))
    growth = ends[-1][0] / ends[0][0]
    print(f"CPU an event grows {growth:.3f} times; limits {MOST_GROWTH}, {MOST_GIGABYTES} GB")
    return int(growth > MOST_GROWTH or max(memory for _, memory in ends) > MOST_GIGABYTES)


def measure(folder: Path, events: int, shards: int, private: bool) -> Iterator[Cost]:
    """Each stage in turn, a process per task."""
    write_records(folder / "data" / STUDY, events)
    write_study(folder / "studies", private)
    os.environ |= {
        "EQUIPOISE_HOME": str(folder / "home"),
        "EQUIPOISE_STUDIES": str(folder / "studies"),
        "EQUIPOISE_DATA": str(folder / "data"),
        "EQUIPOISE_SHARDS": str(shards),
    }
    parts = [f"{number}/{shards}" for number in range(shards)]
    ingested = yield from _stage("ingest_events", [[part] for part in parts], events)
    merged = yield from _stage("merge_events", [[ingested]], events)
    yield from _stage("check_events", [[merged[0]]], events)


def _stage(stage: str, calls: list[list[object]], events: int) -> Generator[Cost, None, list[str]]:
    """Run a stage once per list of arguments, each in a child; returns the keys."""
    keys, seconds, gigabytes = [], [], []
    for arguments in calls:
        key, cpu, memory = _child(stage, arguments)
        keys.append(key)
        seconds.append(cpu)
        gigabytes.append(memory)
    cost = Cost(stage, sum(seconds), max(gigabytes))
    print(
        f"{events:>12,} events   {stage:<16}{cost.cpu_seconds / events * 1e6:>10.2f} us of CPU an "
        f"event, {cost.gigabytes:.2f} GB a task",
        flush=True,
    )
    yield cost
    return keys


def _child(stage: str, arguments: list[object]) -> tuple[str, float, float]:
    """A call in a process of its own: what it returned, its CPU seconds, its peak in gigabytes."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reads)
        os.dup2(writes, 1)
        call = f"from pipelines.stages.{stage} import {stage} as run\n"
        call += f"print(run({STUDY!r}, *{arguments!r}))"
        os.execv(sys.executable, [sys.executable, "-c", call])  # noqa: S606
    os.close(writes)
    with os.fdopen(reads) as answer:
        key = answer.read().strip()
    _, status, usage = os.wait4(child, 0)
    if status != 0:
        raise RuntimeError(f"{stage} failed")
    return key, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e9


def write_records(folder: Path, events: int, seed: int = 0) -> None:
    """Two Parquet files, written a million rows at a time: who there is, and what happened."""
    folder.mkdir(parents=True)
    draw = np.random.default_rng(seed)
    subjects = events // EVENTS_PER_SUBJECT
    people = {
        "patient": pa.array([f"mrn-{number:09d}" for number in range(subjects)]),
        "age": pa.array(draw.integers(20, 90, subjects)),
        "sex": pa.array(np.where(draw.random(subjects) < 0.5, "f", "m")),
    }
    pq.write_table(pa.table(people), folder / "people.parquet")
    schema = pa.schema(
        {"patient": pa.string(), "day": pa.int32(), "what": pa.string(), "value": pa.float64()}
    )
    with pq.ParquetWriter(folder / "events.parquet", schema) as writer:
        for start in range(0, events, ROWS_AT_ONCE):
            rows = min(ROWS_AT_ONCE, events - start)
            writer.write_table(_events(draw, rows, subjects, start / events, schema))


def _events(
    draw: np.random.Generator, rows: int, subjects: int, begun: float, schema: pa.Schema
) -> pa.Table:
    """Rows in order of days; one in a thousand is broken, as many say again what was said."""
    code = draw.choice(len(CODES), rows, p=[0.098] * len(LABS) + [0.01, 0.01])
    value = np.where(code < len(LABS), draw.normal(100, 20, rows).round(1), np.nan)
    value[draw.random(rows) < 0.001] = 1e9
    names = pa.array([f"mrn-{number:09d}" for number in draw.integers(0, subjects, rows)])
    day = np.full(rows, int(begun * DAYS)) + np.sort(draw.integers(0, 60, rows))
    what = pa.array(np.array(CODES, dtype=object)[code])
    columns = [names, pa.array(day, pa.int32()), what, pa.array(value, from_pandas=True)]
    return pa.table(columns, schema=schema)


def write_study(folder: Path, private: bool) -> None:
    """The study of the generated records, with whatever else a study says from another one."""
    folder.mkdir(parents=True)
    words = strict_yaml(BASE.read_text())
    words["ehr"] = _section(private)
    (folder / f"{STUDY}.yaml").write_text(yaml.safe_dump(words))


def _section(private: bool) -> dict[str, object]:
    everybody = {"shape": "long", "table": "people.parquet", "subject": "patient"}
    return {
        "source": {
            "format": "parquet",
            "folder": STUDY,
            "day_zero": "2000-01-01",
            "records_are_public": not private,
            "subjects": {
                "table": "people.parquet",
                "subject": "patient",
                "age_years": "age",
                "sex": "sex",
                "sex_values": {"f": "female", "m": "male"},
            },
            "events": [
                everybody | {"day": 1_500, "constant_code": "enrolled"},
                everybody | {"day": 4_000, "constant_code": "end"},
                {
                    "shape": "long",
                    "table": "events.parquet",
                    "subject": "patient",
                    "day": "day",
                    "code": "what",
                    "value": "value",
                },
            ],
        },
        "codes": {lab: {"role": "measurement", "plausible": [-1000, 1000]} for lab in LABS}
        | {code: {"role": "diagnosis"} for code in ("stroke", "left")}
        | {code: {"role": "marker"} for code in ("enrolled", "end")},
        "cohort": {"index": "enrolled"},
        "outcome": {
            "title": "stroke",
            "codes": ["stroke"],
            "horizon_days": 365,
            "end_of_follow_up": ["end"],
        },
        "age_bands_from_years": [18, 65],
    }


if __name__ == "__main__":
    sys.exit(main())

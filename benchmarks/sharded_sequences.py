"""Sequences and scores of many generated events, shard by shard: memory per task, time per event.

    python -m benchmarks.sharded_sequences --home FOLDER --events 5000000 50000000

A small model is trained and released on real records. Generated events of its codes, some forty a
subject, then go through the very stages of the scoring flow, each task in a process of its own.
The limits: 4 GB per task, and at the last size at most 1.15 times the processor's time per event
of the first. An import costs what it costs once; it is not counted.
"""

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

MOST_GIGABYTES, MOST_RATIO = 4.0, 1.15
EVENTS_PER_SUBJECT = 40
STUDY, AS_OF = "quick", "2012-01-01"
NUMERIC = ("weight", "height", "bmi", "hdl", "sbp", "fib4", "smoke")
MARKS = ("nafld", "htn", "dyslipidemia", "MI", "stroke", "afib")
DAYS = 11 * 365
MICROSECONDS_PER_DAY = 86_400_000_000


def main() -> int:
    """Make what is missing, run every task at every size, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--events", type=int, nargs="+", default=[5_000_000, 50_000_000])
    parser.add_argument("--shards", type=int, default=8)
    parser.add_argument("--task", nargs="+")
    asked = parser.parse_args()
    os.environ["EQUIPOISE_HOME"] = str(asked.home)
    os.environ["EQUIPOISE_STUDIES"] = str(asked.home / "studies")
    if asked.task:
        print(json.dumps(_measured(*asked.task)))
        return 0
    _run(asked.home, "release")
    return _compare([_all_tasks(asked.home, size, asked.shards) for size in asked.events])


def _all_tasks(home: Path, events: int, count: int) -> dict[str, Any]:
    """Task -> CPU seconds and peak gigabytes; and the number of events."""
    shards = [f"{number}/{count}" for number in range(count)]
    generated = _run(home, "generate", str(events))["key"]
    built = [_run(home, "build_sequences", generated, shard) for shard in shards]
    sequences = _run(home, "merge_sequences", generated, *(one["key"] for one in built))
    scored = [_run(home, "score_subjects", sequences["key"], shard) for shard in shards]
    scores = _run(home, "merge_scores", sequences["key"], *(one["key"] for one in scored))
    tasks = {
        "build_sequences": built,
        "merge_sequences": [sequences],
        "score_subjects": scored,
        "merge_scores": [scores],
    }
    for name, runs in tasks.items():
        cpu = sum(run["cpu_seconds"] for run in runs)
        peak = max(run["peak_gigabytes"] for run in runs)
        per_event = 1e6 * cpu / events
        print(
            f"{events:12,} {name:16} {len(runs):2} tasks {cpu:8.1f} CPU s {per_event:7.3f} us "
            f"an event, peak {peak:.2f} GB",
            flush=True,
        )
    everything = [run for runs in tasks.values() for run in runs]
    return {
        "events": events,
        "cpu_seconds": sum(run["cpu_seconds"] for run in everything),
        "peak_gigabytes": max(run["peak_gigabytes"] for run in everything),
    }


def _compare(sizes: list[dict[str, Any]]) -> int:
    first, last = (1e6 * one["cpu_seconds"] / one["events"] for one in (sizes[0], sizes[-1]))
    peak = max(one["peak_gigabytes"] for one in sizes)
    met = peak <= MOST_GIGABYTES and last <= MOST_RATIO * first
    print(
        f"{first:.3f} us an event of {sizes[0]['events']:,}, {last:.3f} of "
        f"{sizes[-1]['events']:,}: {last / first:.3f} times (limit {MOST_RATIO}); peak "
        f"{peak:.2f} GB (limit {MOST_GIGABYTES:g}): {'met' if met else 'MISSED'}"
    )
    return 0 if met else 1


def _run(home: Path, *task: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.sharded_sequences", "--home", str(home)]
    done = subprocess.run(
        [*command, "--task", *task], check=True, stdout=subprocess.PIPE, text=True
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _measured(task: str, *given: str) -> dict[str, Any]:
    modules = {"score_subjects": "models.bucket_scoring"}
    if task == "release":
        return {"key": _release()}
    if task == "generate":
        return {"key": _generate(given[0])}
    stage = importlib.import_module(f"pipelines.stages.{task}")
    importlib.import_module(modules.get(task, "pipelines.sequences"))
    importlib.import_module("pipelines.ehr.domain")
    started, cpu = time.perf_counter(), time.process_time()
    read, *others = given
    call: Callable[[], str] = {
        "build_sequences": lambda: stage.build_sequences(STUDY, read, *others, AS_OF),
        "merge_sequences": lambda: stage.merge_sequences(STUDY, read, others, AS_OF),
        "score_subjects": lambda: stage.score_subjects(STUDY, read, *others),
        "merge_scores": lambda: stage.merge_scores(STUDY, read, others),
    }[task]
    return {
        "key": call(),
        "cpu_seconds": time.process_time() - cpu,
        "seconds": time.perf_counter() - started,
        "peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    }


def _release() -> str:
    """Train and release a small model on real records, unless one stands."""
    from pipelines.errors import NoRelease
    from pipelines.releases import current_release
    from pipelines.stages.audit_model import audit_model
    from pipelines.stages.check_events import check_events
    from pipelines.stages.predict_holdout import predict_holdout
    from pipelines.stages.release_model import release_model
    from pipelines.stages.train_model import train_model
    from pipelines.whole_stages import whole_events, whole_sequences
    from tests.dags.installations import quick_study

    studies = Path(os.environ["EQUIPOISE_STUDIES"])
    studies.mkdir(parents=True, exist_ok=True)
    (studies / f"{STUDY}.yaml").write_text(quick_study())
    try:
        return current_release(STUDY).release_id
    except NoRelease:
        events = whole_events(STUDY)
        checks, sequences = check_events(STUDY, events), whole_sequences(STUDY, events)
        model = train_model(STUDY, sequences)
        predictions = predict_holdout(STUDY, sequences, model)
        audit = audit_model(STUDY, events, checks, sequences, model, predictions)
        return release_model(STUDY, audit)


def _generate(events: str) -> str:
    """An artefact such as merge_events leaves, bucket by bucket; its key."""
    from pipelines.artefacts import Counts, Recipe
    from pipelines.event_store import write_events
    from pipelines.shards import BUCKETS
    from pipelines.stage import store

    def write(draft: Path) -> Counts:
        people = []
        for bucket in range(BUCKETS):
            rows, subjects = _bucket(bucket, int(events) // BUCKETS)
            write_events(draft, rows)
            people.append(subjects)
        pl.concat(people).sort("subject_id").write_parquet(draft / "subjects.parquet")
        return {"events": int(events)}

    recipe = Recipe("merge_events", {}, {}, {"generated": int(events)}, {}, {})
    return store().make(recipe, write).key


def _bucket(bucket: int, events: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The events of a bucket's subjects, shuffled; lengths are log-normal."""
    from pipelines.event_store import SCHEMA
    from pipelines.shards import BUCKET_BITS

    random = np.random.default_rng([events, bucket])
    count = max(1, events // EVENTS_PER_SUBJECT)
    subjects = (bucket << BUCKET_BITS) + random.choice(2**40, count, replace=False).astype(np.int64)
    lengths = random.lognormal(0, 1.1, count)
    owner = random.choice(count, events - count, p=lengths / lengths.sum())
    owner = np.concatenate([np.arange(count), owner])  # everybody has an event
    codes = (*NUMERIC, *MARKS)
    code = random.integers(0, len(codes), events)
    value = np.where(code < len(NUMERIC), random.normal(60, 10, events), np.nan)
    time = pl.Series(random.integers(0, DAYS, events) * MICROSECONDS_PER_DAY + 946_684_800_000_000)
    moment = time.cast(pl.Datetime("us", "UTC"))
    rows = pl.DataFrame(
        {
            "subject_id": subjects[owner],
            "time": moment,
            "known_time": moment,
            "code": pl.Series(np.array(codes)[code]).cast(pl.Categorical),
            "numeric_value": pl.Series(value.astype(np.float32)).fill_nan(None),
            "text_value": pl.Series([None], dtype=pl.String).new_from_index(0, events),
            "unit": pl.Series([None], dtype=pl.String).new_from_index(0, events),
            "source_file": pl.Series(["generated"]).new_from_index(0, events),
            "source_row": np.arange(events, dtype=np.int64),
        }
    ).cast(SCHEMA)
    people = pl.DataFrame({"subject_id": subjects, "cluster": subjects}).with_columns(
        birth=pl.lit("1950-06-01").str.to_date(),
        sex=pl.Series(np.where(random.random(count) < 0.5, "male", "female")),
        known_time=pl.lit("1999-12-31")
        .str.to_datetime("%Y-%m-%d", time_zone="UTC")
        .dt.cast_time_unit("us"),
    )
    return rows, people


if __name__ == "__main__":
    sys.exit(main())

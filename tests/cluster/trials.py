"""One trial: a flow is started, a fault strikes it, and what came of it is looked at and kept."""

import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.cluster.faults import Fault
from tests.cluster.flow import CALM_SECONDS, Flow, TooLong, wait_until
from tests.cluster.inspection import Calm, model_of, published, violations
from tests.cluster.keeper import kept
from tests.cluster.strikes import Strike
from tests.cluster.topology import Cluster, log_in

# Of each fault of the matrix.
TRIALS = int(os.environ.get("EQUIPOISE_FAULT_TRIALS", "1"))
# Every flow may take this long after the strike besides the fault's bound, or as long as the calm
# one did from nothing if that was longer.
ALLOWANCE_SECONDS = 180.0
TWO_DAYS_SECONDS = 48 * 3600
# Made anew in every trial that strikes them or what is before them.
STAGES = ("train_model", "score_subjects", "merge_scores")


@dataclass(frozen=True)
class Outcome:
    """What a trial came to; seconds from the fault to the end of the flow.

    ``aged`` counts the drafts that killed tasks had left before, made two days old at the start.
    """

    fault: str
    ended: str
    seconds: float
    bound_seconds: float
    allowance_seconds: float
    aged: int
    restarted: list[str]
    tries: dict[str, int]
    violations: list[str]


def calm_flow(cluster: Cluster, study: str) -> Calm:
    """A flow without a fault, and what it came to."""
    flow = Flow(cluster, study)
    flow.start()
    seconds = wait_until(flow.has_ended, 2 * CALM_SECONDS)
    assert _ended(flow) == "success"
    rows = published(cluster, study)
    assert rows
    return Calm(rows, model_of(cluster), seconds)


def trial(cluster: Cluster, fault: Fault, study: str, calm: Calm) -> Outcome:
    """Run one flow under one fault; what it strikes, and what is scored then, is made anew."""
    aged = forget(cluster.home / "artefacts", fault.strikes[1])
    flow = Flow(cluster, study, fault.strikes[0] == "score", fault.is_scheduled)
    bound = bound_seconds(fault, cluster.env)
    allowed = fault.scorings * max(ALLOWANCE_SECONDS, calm.seconds)
    with fault.around(cluster), kept(cluster) as keeper:
        flow.start()
        if fault.strikes[1]:
            flow.wait_for_task(f"{fault.strikes[0]}__{study}", fault.strikes[1])
        fault.act(Strike(cluster, keeper, flow))
        try:
            seconds = wait_until(lambda: flow.has_ended(fault.scorings), bound + allowed)
            ended = _ended(flow)
        except TooLong:
            seconds, ended = bound + allowed, "nothing"
        found = _unlike(fault, flow, ended)
        wait_until(cluster.is_healthy, CALM_SECONDS)
        restarted = list(keeper.restarted)
        log_in(cluster.airflow)
        found += violations(cluster, study, calm, ends_well=ended == "success")
    tries = flow.tries()
    return Outcome(fault.name, ended, seconds, bound, allowed, aged, restarted, tries, found)


def _unlike(fault: Fault, flow: Flow, ended: str) -> list[str]:
    """What is not as the fault says: how the flow ends, and that a failure says why."""
    if ended != fault.ends:
        left = sorted(
            f"{task} {state}" for _, task, state, *_ in flow.tasks() if state != "success"
        )
        return [f"it ended in {ended} and not in {fault.ends}: {', '.join(left)}"]
    if fault.error not in flow.log_of_failures():
        return [f"no task says {fault.error}"]
    return []


def bound_seconds(fault: Fault, settings: Mapping[str, str]) -> float:
    """How much longer than a calm one the flow may take."""
    return sum(float(settings[name]) for name in fault.bound)


def forget(artefacts: Path, struck: str) -> int:
    """Remove what a fault strikes and what follows it: of publishing, nothing is kept anyway.

    Drafts that killed tasks left of these stages stay and become two days old: making the same
    again must sweep them. Returns their number.
    """
    aged, then = 0, time.time() - TWO_DAYS_SECONDS
    first = {"publish_predictions": len(STAGES), "score_subjects": 1}.get(struck, 0)
    for stage in STAGES[first:]:
        for folder in (artefacts / stage).glob("*"):
            if folder.name.startswith(".draft-"):
                os.utime(folder, (then, then))
                aged += 1
            else:
                shutil.rmtree(folder, ignore_errors=True)
    return aged


def keep(outcome: Outcome) -> None:
    """Add it to the record that docs/reliability.md's table is made of, if one is named."""
    if file := os.environ.get("EQUIPOISE_FAULT_RECORD"):
        with Path(file).open("a") as stream:
            stream.write(json.dumps(asdict(outcome)) + "\n")


@contextmanager
def awake(cluster: Cluster) -> Iterator[Cluster]:
    """Whatever the trial before did, all services run when the next one begins."""
    with kept(cluster):
        wait_until(cluster.is_healthy, CALM_SECONDS)
        wait_until(cluster.has_workers, CALM_SECONDS)
    yield cluster


def _ended(flow: Flow) -> str:
    states = {state for _, state in flow.runs()}
    return "success" if states == {"success"} else "failure"

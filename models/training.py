"""Trains all networks and challengers of a study: `python -m models.training --help`.

Meant to run as a child process that may be killed at any time: started again with the same
arguments it goes on from the last whole epoch and ends with the same bits.
"""

import argparse
import json
import os
import sys
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.calibration import Calibration
from models.challengers.fitting import ChallengersTask, calibrate, fit_challengers
from models.challengers.table import Table
from models.checkpoints import write_atomically
from models.config import ModelConfig
from models.distributed import ProcessesDisagree, joined, leads, processes_together
from models.ensembles import raw_answers, together
from models.estimator import Estimator, Model, best_device
from models.features import Features, build_features
from models.inputs import fit_inputs
from models.loop import NetworkJob
from models.mitigation import Mitigation, MitigationUnusable
from models.networks import (
    NetworkTask,
    Trained,
    fingerprint_of,
    fit_network,
    made_with,
    use_threads,
)
from models.parts import Part, TrainingImpossible, is_released, known, released_part, window_part
from models.processes import exit_code_of, workers
from models.progress import Report, line, reporting, silent
from models.scaling import Scaler
from models.scoring import score
from models.store import SequenceStore, SequencesUnusable

# The folder, in a mitigated model's own, of the model trained without the mitigation.
TWIN = "unmitigated"

Challengers = Future[dict[str, Calibration]]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


def train(
    sequences: Path,
    config: ModelConfig,
    output: Path,
    checkpoints: Path,
    processes: int = 1,
    mitigation: Mitigation | None = None,
) -> None:
    """Write a model directory to `output`, resuming from `checkpoints` where it can.

    Args:
        processes: networks trained at a time; any number gives the same bits.
        mitigation: what the networks do about groups; the challengers do nothing.

    Raises:
        SequencesUnusable: `sequences` is not a readable store.
        TrainingImpossible: a part lacks a class or labels.
    """
    store = SequenceStore.open(sequences)
    use_threads(config.threads)
    output.mkdir(parents=True, exist_ok=True)
    plans = plan_estimators(store, config)
    fitting = Fitting(sequences, config, output, checkpoints, mitigation)
    networks = sum(len(plan.networks) for plan in plans)
    # One network needs no process beside this one; several together train one after the other.
    processes = min(processes, networks) if processes_together() == 1 else 1
    heard = reporting(networks) if leads() else nullcontext(silent)
    with heard as told, workers(processes) as pool:
        report = told if processes == 1 else line  # another process cannot draw on our bar
        estimators = {one.name: one for one in fitting.fit(plans, pool, report)}
    if not leads():
        return
    fitting.write_log()
    Model.of(
        store,
        config,
        sequences_sha256=fitting.sequences_sha256,
        released=estimators["released"],
        windows=tuple(estimators[name] for name in window_names(store, config)),
        made_with=made_with(),
    ).write(output)


@dataclass(frozen=True)
class Plan:
    """One estimator to fit: its rows and its networks, as (name, seed)."""

    part: Part
    networks: tuple[tuple[str, int], ...]


def plan_estimators(store: SequenceStore, config: ModelConfig) -> list[Plan]:
    """The released estimator and those of the windows; one that serves as both is there once.

    Raises:
        TrainingImpossible: a part lacks a class or labels.
    """
    networks = tuple((f"seed_{seed}", seed) for seed in config.seeds)
    plans = [Plan(released_part(store), networks)]
    for window, name in enumerate(window_names(store, config)):
        if name != "released":
            seeds = config.seeds[: config.window_seeds]
            of_window = tuple((f"{name}_seed_{seed}", seed) for seed in seeds)
            plans.append(Plan(window_part(store, window), of_window))
    return plans


def window_names(store: SequenceStore, config: ModelConfig) -> list[str]:
    """The name of each window's estimator.

    The last window's is the released one where rows and seeds are the same: fitted once.
    """
    names = [f"window_{window}" for window in range(len(store.windows))]
    if names and config.window_seeds == len(config.seeds) and is_released(store, len(names) - 1):
        names[-1] = "released"
    return names


def require_groups(store: SequenceStore, config: ModelConfig) -> None:
    """What quantiles are corrected by must be there before hours are spent.

    Raises:
        TrainingImpossible: `conformal_by` is none of the store's static features.
    """
    if config.conformal_by is not None and config.conformal_by not in store.statics:
        known = ", ".join(store.statics) or "none"
        raise TrainingImpossible(
            f"conformal_by: expected a static feature ({known}), found {config.conformal_by}"
        )


@dataclass(frozen=True)
class Started:
    """An estimator whose networks are being fitted somewhere."""

    plan: Plan
    scaler: Scaler
    networks: list[Future[Trained]]


class Fitting:
    """One training in progress: fits estimators and remembers how it went."""

    def __init__(
        self,
        sequences: Path,
        config: ModelConfig,
        output: Path,
        checkpoints: Path,
        mitigation: Mitigation | None = None,
        with_challengers: bool = True,
    ) -> None:
        self.store = SequenceStore.open(sequences)
        require_groups(self.store, config)
        self.sequences, self.config, self.output = sequences, config, output
        self.checkpoints, self.mitigation = checkpoints, mitigation
        self.with_challengers = with_challengers or bool(config.together_with)
        # A file, so that every process maps the same columns instead of being sent a copy.
        self.columns = checkpoints / "features.npy"
        checkpoints.mkdir(parents=True, exist_ok=True)
        self.sequences_sha256 = self.store.fingerprint()
        self.log: dict[str, Any] = {}

    @cached_property
    def features(self) -> Features:
        """What the challengers see, in a file as well."""
        features = build_features(self.store, max_steps=self.config.max_steps)
        np.save(self.columns, features.columns)
        return features

    def fit(self, plans: list[Plan], pool: Executor, report: Report) -> list[Estimator]:
        """Every estimator, in the order of the plans; where one fails, no more is begun.

        Of several processes that train together the first answers; the others are done before.
        """
        try:
            started = [self.start(plan, pool, report) for plan in plans]
            if not leads():
                return []
            challengers = [self.start_challengers(plan, pool) for plan in plans]
            return [self.finish(*one) for one in zip(started, challengers, strict=True)]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # one failed: the rest is in vain
            raise

    def start(self, plan: Plan, pool: Executor, report: Report) -> Started:
        """Fit the scaler; hand the networks to `pool`."""
        config = self.config
        scaler = fit_inputs(self.store, plan.part.train, config.max_steps, config.scaling)
        networks = []
        for name, seed in plan.networks:
            words, by = (self.config, self.sequences_sha256, plan.part, name, seed), self.mitigation
            mark, saved = fingerprint_of(*words, by), self.checkpoints / name
            job = NetworkJob(name, seed, plan.part, scaler, saved, mark, by)
            task = NetworkTask(self.sequences, self.config, job, self.output)
            networks.append(pool.submit(fit_network, task, report))
        return Started(plan, scaler, networks)

    def start_challengers(self, plan: Plan, pool: Executor) -> Challengers | None:
        """Hand the challengers to `pool`, where any are wanted."""
        if not self.with_challengers:
            return None
        task = ChallengersTask(
            self.sequences,
            self.features.names,
            self.columns,
            plan.part,
            self.output,
            self.config.threads,
        )
        return pool.submit(fit_challengers, task)

    def finish(self, started: Started, fitted: Challengers | None) -> Estimator:
        """Wait for the networks and the challengers, and calibrate the networks' mean."""
        part = started.plan.part
        judged = known(self.store, part.validation)
        trained = [network.result() for network in started.networks]
        names = tuple(name for name, _ in started.plan.networks)
        self.log |= {name: one.log for name, one in zip(names, trained, strict=True)}
        raw = sum((one.raw for one in trained), np.zeros(1)) / len(trained)
        challengers = {} if fitted is None else fitted.result()
        if beside := self.config.together_with:
            table = Table(self.store, self.features, judged)
            folder = self.output / "challengers" / part.name
            raw = together(raw[None], raw_answers(beside, folder, table))[0]
        return Estimator(
            name=part.name,
            networks=names,
            scaler=started.scaler,
            trained_until=trained_until(self.store, part),
            calibration=calibrate(self.store, judged, raw),
            challengers=challengers,
        )

    def write_log(self) -> None:
        content = json.dumps(self.log, indent=1).encode()
        write_atomically(self.output / "training_log.json", content)


def trained_until(store: SequenceStore, part: Part) -> float:
    """The day on which the last of the part's training labels was decided."""
    rows = known(store, part.train)
    return float(np.nanmax(np.append(store.label_end_day[rows], store.index_day[rows].max())))


def fitting_processes(threads: int) -> int:
    """One per so many threads of the CPU; one in all where the networks share a GPU."""
    return 1 if best_device().type == "cuda" else max(1, (os.cpu_count() or 1) // threads)


def _train_beside_twin(told: argparse.Namespace, config: ModelConfig, processes: int) -> None:
    """The model with its mitigation, and in a folder of its own the same one without."""
    examples = len(SequenceStore.open(told.sequences))
    mitigation = Mitigation.read(told.mitigation, told.groups, examples)
    twin, kept = told.output / TWIN, told.checkpoints / TWIN
    train(told.sequences, config, twin, kept, processes)
    if leads():
        write_scores(told.sequences, twin)
    train(told.sequences, config, told.output, told.checkpoints, processes, mitigation)


def write_scores(sequences: Path, model: Path) -> None:
    """Write what the model says of every example, one file per population: score.npy, …"""
    columns = score(sequences, model)
    for name in ("score", "score_cross_fitted"):
        if name in columns:
            np.save(model / f"{name}.npy", columns[name])


def main() -> int:
    """Train as the command line says; what goes wrong is told in the last line on stderr."""
    parser = argparse.ArgumentParser(description="Train a study's networks and challengers.")
    parser.add_argument("--sequences", type=Path, required=True, help="a sequence store")
    parser.add_argument("--config", type=Path, required=True, help="JSON of a ModelConfig")
    parser.add_argument("--output", type=Path, required=True, help="where the model is written")
    parser.add_argument("--checkpoints", type=Path, required=True, help="kept until it is whole")
    parser.add_argument("--processes", type=int, help="networks at a time; as many as fit")
    parser.add_argument("--mitigation", type=Path, help="JSON of a TrainingMitigation")
    parser.add_argument("--groups", type=Path, help="the group of each example, for it")
    parser.add_argument("--device", help="cpu or cuda: refused at once where torch has another")
    told = parser.parse_args()
    config = ModelConfig.model_validate_json(told.config.read_text())
    processes = told.processes or fitting_processes(config.threads)

    def work() -> None:
        if told.device not in (None, best_device().type):
            found = f"the machine has {told.device} and torch finds {best_device().type} alone"
            raise TrainingImpossible(f"{found}: give torch a build that fits, or hide the GPU")
        with joined():
            if told.mitigation is None:
                train(told.sequences, config, told.output, told.checkpoints, processes)
            else:
                _train_beside_twin(told, config, processes)

    expected = (SequencesUnusable, TrainingImpossible, MitigationUnusable, ProcessesDisagree)
    code = exit_code_of(work, expected)
    if code and processes_together() > 1:
        sys.stderr.flush()
        os._exit(code)  # at once: leaving the others in order would wait for them
    return code


if __name__ == "__main__":
    sys.exit(main())

"""The challengers of one estimator from its rows to their files, in whichever process."""

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from models.calibration import IDENTITY, Calibration, fit_calibration
from models.challengers.registry import CHALLENGERS
from models.challengers.table import Floats, Rows, Table
from models.features import Features
from models.parts import Part, known
from models.progress import Heartbeat
from models.store import PROBABILITIES, SequenceStore

# How long each took to fit, of the processor's time: a log, and so no part of what was made.
SECONDS_LOG = "seconds_log.json"


@dataclass(frozen=True)
class ChallengersTask:
    """What a process needs to fit them; it maps sequences and feature columns [E, K] itself."""

    sequences: Path
    feature_names: tuple[str, ...]
    feature_columns: Path
    part: Part
    output: Path
    threads: int


def fit_challengers(task: ChallengersTask) -> dict[str, Calibration]:
    """Fit and write every challenger of the store's task; the calibration of each."""
    # Idle OpenMP threads would spin beside our other processes.
    threadpool_limits(task.threads, user_api="openmp")
    store = SequenceStore.open(task.sequences)
    columns = np.load(task.feature_columns, mmap_mode="r", allow_pickle=False)
    features = Features(task.feature_names, columns)
    folder = task.output / "challengers" / task.part.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder.parent / "features.json").write_text(json.dumps(task.feature_names))
    judged = known(store, task.part.validation)
    training = Table(store, features, known(store, task.part.train))
    validation = Table(store, features, judged)
    calibrations, seconds = {}, {}
    kinds, heartbeat = CHALLENGERS[store.task], Heartbeat(f"challengers of {task.part.name}")
    for number, (name, kind) in enumerate(kinds.items()):
        started = time.process_time()
        challenger = kind.fit(training)
        seconds[name] = time.process_time() - started
        challenger.write(folder)
        calibrations[name] = calibrate(store, judged, challenger.predict(validation))
        heartbeat.beat(number + 1, len(kinds))
    (folder / SECONDS_LOG).write_text(json.dumps(seconds))
    return calibrations


def calibrate(store: SequenceStore, judged: Rows, raw: Floats) -> Calibration:
    """Of the logits raw [R, 1]; the identity where the task predicts no probability."""
    if store.task not in PROBABILITIES:
        return IDENTITY
    label = store.label[judged].astype(np.float64)
    return fit_calibration(raw[:, 0], label, store.weight[judged].astype(np.float64))

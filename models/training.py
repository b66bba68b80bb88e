"""Trains all networks and challengers of a study: `python -m models.training --help`.

Meant to run as a child process that may be killed at any time: started again with the same
arguments it goes on from the last whole epoch and ends with the same bits.
"""

import argparse
import hashlib
import json
import platform
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import sklearn
import torch
from safetensors.torch import save_file

from models.calibration import Calibration, fit_calibration
from models.challengers import CHALLENGERS
from models.checkpoints import write_atomically
from models.config import ModelConfig
from models.estimator import Estimator, Model, best_device, new_network
from models.features import build_features
from models.inputs import fit_inputs
from models.loop import Standing, Task, predict_logits, train_network
from models.parts import (
    Part,
    TrainingImpossible,
    assign_folds,
    fold_part,
    known,
    released_part,
)
from models.progress import Report, reporting
from models.store import SequenceStore, SequencesUnusable

Floats = npt.NDArray[np.float64]


def train(sequences: Path, config: ModelConfig, output: Path, checkpoints: Path) -> None:
    """Write a model directory to `output`, resuming from `checkpoints` where it can.

    Raises:
        SequencesUnusable: `sequences` is not a readable store.
        TrainingImpossible: a part lacks a class.
    """
    store = SequenceStore.open(sequences)
    use_threads(config.threads)
    output.mkdir(parents=True, exist_ok=True)
    with reporting(len(config.seeds) + config.cross_fit_folds) as report:
        fitting = Fitting(store, config, output, checkpoints, report)
        released = fitting.fit(released_part(store), [(f"seed_{s}", s) for s in config.seeds])
        folds = fitting.fit_folds()
    fitting.write_log()
    Model(
        config=config,
        channels=store.channels,
        statics=store.statics,
        horizon_days=store.horizon_days,
        sequences_sha256=fitting.sequences_sha256,
        released=released,
        folds=folds,
        made_with=made_with(),
    ).write(output)


class Fitting:
    """One training in progress: fits estimators and remembers how it went."""

    def __init__(
        self,
        store: SequenceStore,
        config: ModelConfig,
        output: Path,
        checkpoints: Path,
        report: Report,
    ) -> None:
        self.store, self.config, self.output = store, config, output
        self.checkpoints, self.report = checkpoints, report
        self.features = build_features(store, max_steps=config.max_steps)
        self.sequences_sha256 = store.fingerprint()
        self.log: dict[str, Any] = {}

    def fit(self, part: Part, networks: list[tuple[str, int]]) -> Estimator:
        """Scaler, networks (name, seed), their calibration and the challengers for one part."""
        scaler = fit_inputs(self.store, part.train, self.config.max_steps)
        judged = known(self.store, part.validation)
        logits = np.zeros(len(judged))
        for name, seed in networks:
            folder = self.checkpoints / name
            task = Task(name, seed, part, scaler, folder, self._fingerprint(part, name, seed))
            standing = train_network(self.store, task, self.config, self.report)
            self._remember(name, standing)
            network = new_network(scaler, self.config).to(best_device())
            network.load_state_dict(standing.best)
            logits += predict_logits(
                network, self.store, judged, self.config.max_steps, best_device()
            )
        calibration = self._calibrate(judged, logits / len(networks))
        return Estimator(
            name=part.name,
            networks=tuple(name for name, _ in networks),
            scaler=scaler,
            calibration=calibration,
            challengers=self._fit_challengers(part, judged),
        )

    def fit_folds(self) -> tuple[Estimator, ...]:
        """One estimator per fold, and folds.npy [E]: the fold that never saw each example."""
        if not self.config.cross_fit_folds:
            return ()
        fold_of_example = assign_folds(self.store, self.config.cross_fit_folds)
        np.save(self.output / "folds.npy", fold_of_example)
        return tuple(
            self.fit(
                fold_part(self.store, fold_of_example, fold),
                [(f"fold_{fold}", self.config.seeds[0])],
            )
            for fold in range(self.config.cross_fit_folds)
        )

    def write_log(self) -> None:
        content = json.dumps(self.log, indent=1).encode()
        write_atomically(self.output / "training_log.json", content)

    def _fit_challengers(self, part: Part, judged: npt.NDArray[np.int64]) -> dict[str, Calibration]:
        folder = self.output / "challengers" / part.name
        folder.mkdir(parents=True, exist_ok=True)
        names = json.dumps(self.features.names)
        (folder.parent / "features.json").write_text(names)
        rows = known(self.store, part.train)
        label = self.store.label[rows].astype(np.float64)
        weight = self.store.weight[rows].astype(np.float64)
        calibrations = {}
        for name, kind in CHALLENGERS.items():
            challenger = kind.fit(self.features.columns[rows], label, weight)
            challenger.write(folder)
            logits = challenger.logits(self.features.columns[judged])
            calibrations[name] = self._calibrate(judged, logits)
        return calibrations

    def _calibrate(self, judged: npt.NDArray[np.int64], logits: Floats) -> Calibration:
        label = self.store.label[judged].astype(np.float64)
        return fit_calibration(logits, label, self.store.weight[judged].astype(np.float64))

    def _remember(self, name: str, standing: Standing) -> None:
        best = {k: v.cpu().contiguous() for k, v in standing.best.items()}
        save_file(best, self.output / f"{name}.safetensors")
        self.log[name] = {
            "best_epoch": standing.best_epoch,
            "epochs": [asdict(entry) for entry in standing.log],
        }

    def _fingerprint(self, part: Part, name: str, seed: int) -> str:
        """Equal for two trainings exactly when one may go on where the other stopped."""
        words = [
            self.config.model_dump(mode="json"),
            self.sequences_sha256,
            made_with(),
            name,
            seed,
        ]
        digest = hashlib.sha256(json.dumps(words).encode())
        digest.update(part.train.tobytes())
        digest.update(part.validation.tobytes())
        return digest.hexdigest()


def use_threads(threads: int) -> None:
    """Fix what decides the last bits on a CPU: the number of threads and the kernels."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(best_device().type == "cpu")


def made_with() -> dict[str, str]:
    """The versions and the kind of machine that decide the numbers."""
    return {
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "device": best_device().type,
        "machine": platform.machine(),
    }


def main() -> int:
    """Train as the command line says; what goes wrong is told in the last line on stderr."""
    parser = argparse.ArgumentParser(description="Train a study's networks and challengers.")
    parser.add_argument("--sequences", type=Path, required=True, help="a sequence store")
    parser.add_argument("--config", type=Path, required=True, help="JSON of a ModelConfig")
    parser.add_argument("--output", type=Path, required=True, help="where the model is written")
    parser.add_argument("--checkpoints", type=Path, required=True, help="kept until it is whole")
    told = parser.parse_args()
    config = ModelConfig.model_validate_json(told.config.read_text())
    try:
        train(told.sequences, config, told.output, told.checkpoints)
    except (SequencesUnusable, TrainingImpossible) as error:
        print(error, file=sys.stderr)
        return 1
    except Exception as error:
        # Another library's message may quote a value: its class and place say enough.
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno} in {last.name}"
        print(f"{type(error).__name__} at {place}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

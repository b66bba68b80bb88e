"""TPE against random search at equal trials, on an objective of our own training loop.

    python -m benchmarks.tuning_efficiency

The objective is the least validation loss of one small network on generated sequences whose labels
follow from a last value and an age. Learning rate, width, dropout and weight decay are searched
over ranges most of which train badly. Both samplers draw their first ten trials by chance from the
same seeds, so only what follows differs. It prints the best of each by seed, and fails if TPE's
best is not at least as good in eight of ten seeds.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from models.config import ModelConfig
from models.inputs import fit_inputs
from models.loop import NetworkJob, train_network
from models.networks import use_threads
from models.parts import TrainingImpossible, released_part
from pipelines.tuning.config import Parameters, TuningSection, tuned
from pipelines.tuning.trials import TuningTrials
from tests.models.generated_stores import make_learnable_store

Objective = Callable[[Parameters], float]

EXAMPLES, EPOCHS = 500, 5
SHARE_OF_SEEDS = 0.8
# Of a training whose loss is no number any more: worse than any that ended.
DIVERGED = 10.0
PARAMETERS = {
    "learning_rate": {"low": 1e-5, "high": 1.0, "log": True},
    "hidden_size": {"low": 1, "high": 64, "log": True},
    "dropout": {"low": 0.0, "high": 0.95},
    "weight_decay": {"low": 1e-3, "high": 30.0, "log": True},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=30)
    told = parser.parse_args()
    use_threads(1)
    began, won = time.perf_counter(), 0
    for seed in range(told.seeds):
        objective = training_loss(seed)
        best = {name: best_of(name, seed, told.trials, objective) for name in ("tpe", "random")}
        won += best["tpe"] <= best["random"]
        print(f"seed {seed}: TPE {best['tpe']:.5f}, random {best['random']:.5f}", flush=True)
    seconds = (time.perf_counter() - began) / (2 * told.seeds * told.trials)
    print(f"TPE at least as good in {won} of {told.seeds} seeds, {told.trials} trials each", end="")
    print(f"; {seconds:.2f} s a trial, those that both share counted for both")
    return 0 if won >= SHARE_OF_SEEDS * told.seeds else 1


def training_loss(seed: int) -> Objective:
    """The least validation loss of one network with these values; the store is of the seed."""
    store = make_learnable_store(EXAMPLES, seed)
    part = released_part(store)
    scaler = fit_inputs(store, part.train, max_steps=64)
    base = ModelConfig(max_epochs=EPOCHS, min_epochs=1, patience_epochs=EPOCHS, max_steps=64)

    @cache
    def loss(chosen: tuple[tuple[str, float], ...]) -> float:
        config = tuned(base, dict(chosen))
        with tempfile.TemporaryDirectory() as folder:
            job = NetworkJob("network", 0, part, scaler, Path(folder), fingerprint="one run")
            try:
                standing = train_network(store, job, config, _tell_nobody)
            except TrainingImpossible:
                return DIVERGED
        return min(entry.validation_loss for entry in standing.log)

    return lambda parameters: loss(tuple(parameters.items()))


def best_of(sampler: str, seed: int, trials: int, objective: Objective) -> float:
    """The least of the objective over trials that the sampler proposes."""
    section = TuningSection.model_validate(
        {"sampler": sampler, "seed": seed, "trials": trials, "parameters": PARAMETERS}
    )
    found = []
    with tempfile.TemporaryDirectory() as folder:
        tuning = TuningTrials(Path(folder), sampler, section, most_steps=EPOCHS)
        for number in section.numbers():
            found.append(objective(tuning.begin(number).parameters))
            tuning.complete(number, found[-1], {})
    return min(found)


def _tell_nobody(
    network: str, epoch: int, epochs: int, losses: str, validation_loss: float
) -> None:
    """No report is wanted."""


if __name__ == "__main__":
    sys.exit(main())

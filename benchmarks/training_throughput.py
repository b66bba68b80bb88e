"""Training speed: our batches against every sequence padded to the global maximum.

Generated sequences of log-normal length (median 20, at most 512), one thread, the same network
and the same training loop on both sides; only the batches differ. Counted are useful time steps,
padding not among them, per CPU-second, or per second on a GPU, where the encoder computes in
bfloat16 and both sides have batches of as many steps; shown is the median of interleaved repeats.
The limit, on a CPU: ours trains at least eight times as many.

    python -m benchmarks.training_throughput
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch

from models.batches import Padding, Rows
from models.config import ModelConfig
from models.estimator import best_device
from models.inputs import fit_inputs
from models.loop import NetworkJob, plan_epoch, start_training, train_epoch
from models.networks import use_threads
from models.parts import Part
from models.precision import autocast
from models.standing import Standing
from models.store import Channel, SequenceStore

LEAST_RATIO = 8.0
MEDIAN_STEPS, SPREAD, MOST_STEPS = 20, 1.3, 512
CHANNELS, OBSERVED_PER_STEP = 21, 4  # 3 x 21 + 1 = 64 inputs a step
PADDED_BATCH = 256
CONFIG = ModelConfig(hidden_size=128, window_batches=50, max_steps=MOST_STEPS, threads=1)


@dataclass(frozen=True)
class Size:
    """How much is trained, and in which batches: a GPU wants more of both than one thread."""

    examples: int
    padded_examples: int
    tokens_per_batch: int

    def config(self) -> ModelConfig:
        return CONFIG.model_copy(update={"tokens_per_batch": self.tokens_per_batch})


SIZES = {"cpu": Size(8192, 512, 16_384), "cuda": Size(65_536, 8192, PADDED_BATCH * MOST_STEPS)}


def main() -> int:
    """Measure both, print the table, fail if the limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    use_threads(CONFIG.threads)
    size = SIZES[best_device().type]
    store = _generate(size.examples)
    padded_rows = _every_so_many(store, size.examples // size.padded_examples)
    sides: dict[str, tuple[Rows, Padding | None]] = {
        "padded to the longest": (padded_rows, Padding(least_steps=MOST_STEPS)),
        "our batches": (np.arange(size.examples), None),
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    padding: dict[str, float] = {}
    for _ in range(repeats):
        for name, (rows, fill) in sides.items():
            rate, padding[name] = _measure(store, rows, fill, size.config())
            rates[name].append(rate)
    return _judge({name: median(found) for name, found in rates.items()}, padding)


def _measure(
    store: SequenceStore, rows: Rows, fill: Padding | None, config: ModelConfig
) -> tuple[float, float]:
    """Useful time steps per second of one epoch, and padded steps per useful one."""
    standing = _fresh(store, rows, config)
    plan = plan_epoch(store, rows, config, (0, 1)) if fill is None else _at_random(rows)
    train_epoch(store, plan[:1], standing, config, 1.0, fill)  # warm: memory, kernels
    began = _seconds()
    entry = train_epoch(store, plan, standing, config, 1.0, fill)
    return float(store.lengths[rows].sum() / (_seconds() - began)), entry["padded_per_step"]


def _seconds() -> float:
    """Of this process's CPU time, or of the clock once a GPU has done what it was given."""
    if best_device().type == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def _at_random(rows: Rows) -> list[Rows]:
    shuffled = np.random.default_rng(0).permutation(rows)
    return np.split(shuffled, len(rows) // PADDED_BATCH)


def _fresh(store: SequenceStore, rows: Rows, config: ModelConfig) -> Standing:
    part = Part("benchmark", train=rows, validation=rows)
    scaler = fit_inputs(store, rows, config.max_steps)
    job = NetworkJob("benchmark", 0, part, scaler, checkpoints=Path(), fingerprint="")
    return start_training(store, rows, job, config, positive_weight=1.0)


def _every_so_many(store: SequenceStore, stride: int) -> Rows:
    """A subset with the lengths' own distribution, so that no luck of a draw decides the ratio."""
    return np.sort(np.argsort(store.lengths, kind="stable")[stride // 2 :: stride])


def _generate(examples: int) -> SequenceStore:
    """Sequences of log-normal length whose steps each hold four different channels."""
    random = np.random.default_rng(0)
    drawn = random.lognormal(np.log(MEDIAN_STEPS), SPREAD, examples)
    lengths = np.clip(np.round(drawn), 1, MOST_STEPS).astype(np.int64)
    steps = int(lengths.sum())
    owner_end = np.repeat(np.cumsum(lengths), lengths)
    first = random.integers(0, CHANNELS, (steps, 1))
    channel = np.sort((first + 5 * np.arange(OBSERVED_PER_STEP)) % CHANNELS, axis=1)
    return SequenceStore(
        step_offsets=np.concatenate([[0], np.cumsum(lengths)]),
        observation_offsets=np.arange(steps + 1) * OBSERVED_PER_STEP,
        step_days=(np.arange(steps) - owner_end).astype(np.float32),
        observation_channel=channel.ravel().astype(np.int32),
        observation_value=random.normal(size=channel.size).astype(np.float32),
        static_value=random.normal(size=(examples, 2)).astype(np.float32),
        label=(random.random(examples) < 0.1).astype(np.float32),
        weight=np.ones(examples, np.float32),
        split=np.zeros(examples, np.int8),
        cluster=np.arange(examples),
        scale=np.ones(examples, np.float32),
        subject=np.arange(examples),
        index_day=np.zeros(examples),
        label_end_day=np.full(examples, 365.0),
        followed_days=np.full(examples, 365.0, np.float32),
        other_label=np.empty((examples, 0), np.float32),
        windows=np.empty((0, examples), np.int8),
        channels=tuple(Channel(f"lab_{c}", "numeric") for c in range(CHANNELS)),
        statics=("age_years", "sex_male"),
        task="risk",
        levels=(),
        horizon="365 days",
        resampling="none",
        other_labels=(),
    )


def _judge(rates: dict[str, float], padding: dict[str, float]) -> int:
    device = best_device().type
    unit = "CPU-second" if device == "cpu" else "second"
    print(f"torch {torch.__version__}, {_machine()}, LSTM 64 -> {CONFIG.hidden_size}")
    print(f"{'batches':24}{'padded per useful':>18}{f'useful steps per {unit}':>30}")
    for name, rate in rates.items():
        print(f"{name:24}{padding[name]:>18.2f}{rate:>30,.0f}")
    padded, ours = rates.values()
    ratio = ours / padded
    if device != "cpu":
        print(f"ours / padded: {ratio:.1f} (no limit is set for a GPU)")
        return 0
    verdict = "reached" if ratio >= LEAST_RATIO else "MISSED"
    print(f"ours / padded: {ratio:.1f} (limit {LEAST_RATIO:.0f}: {verdict})")
    return 0 if ratio >= LEAST_RATIO else 1


def _machine() -> str:
    device = best_device()
    if device.type == "cpu":
        return f"{CONFIG.threads} thread of a CPU, float32"
    with autocast(CONFIG.precision, device):
        arithmetic = "bfloat16" if torch.is_autocast_enabled(device.type) else "float32"
    return f"{torch.cuda.get_device_name()}, {arithmetic}"


if __name__ == "__main__":
    sys.exit(main())

"""An encoder learns to foresee the next time step before it learns of any outcome.

Every example of the training part teaches it, whatever became of the subject: labels are not
looked at. Like the training that follows it can be killed at any moment.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.batch_size import halve_batches, halved
from models.batches import Rows, assemble, plan_batches
from models.checkpoints import (
    Checkpoint,
    by_kind,
    optimizer_tensors,
    read_latest,
    restore_optimizer,
    write_checkpoint,
)
from models.config import ModelConfig, Pretraining
from models.distributed import (
    if_it_fits,
    own_seed,
    require_same,
    share_of,
    start_alike,
)
from models.encoders.encoder import Sequences
from models.network import SequenceNetwork
from models.next_steps import Foresight, NextSteps, without_age
from models.optimisation import learning_rate, optimizer_of, set_rate, take_steps
from models.parts import Part, TrainingImpossible
from models.precision import autocast
from models.store import SequenceStore
from models.truncation import windows

# Epochs of the training that follows draw from (seed, epoch): these must not.
STREAM = 1
FOLDER = "pretraining"


def pretrain(
    network: SequenceNetwork,
    store: SequenceStore,
    part: Part,
    config: ModelConfig,
    *,
    seed: int,
    checkpoints: Path,
    fingerprint: str,
) -> Foresight | None:
    """Train the encoder of `network`, where the study's `model.pretraining` says so.

    Answered is what it foresees with: nobody needs it afterwards, but for a measurement.

    Raises:
        TrainingImpossible: the encoder's states know what they would foresee, or nothing is there
            to be foreseen.
    """
    if config.pretraining is None:
        return None
    foresight, goal = foresight_of(network, store, config.pretraining)
    if not network.encoder.is_causal:
        raise TrainingImpossible("pretraining: an encoder that reads the future foresees nothing")
    everything = foreseeable(store, part.train, goal, config)
    if everything == 0:
        wanted = "" if goal.what == "next_events" else " with a number"
        raise TrainingImpossible(f"pretraining: no sequence has a next step{wanted} to be foreseen")
    lessons = Lessons(network, foresight, goal, store, everything)
    foresight.start_from(goal.start(store, part.train))
    start_alike(foresight)
    settings = _settings(config, config.pretraining)
    optimizer, folder = optimizer_of(foresight, settings), checkpoints / FOLDER
    restored = _restore(foresight, optimizer, folder, fingerprint)
    if restored is None:
        _save(foresight, optimizer, folder, 0, fingerprint, 0)
    done, halvings = restored or (0, 0)
    while done < settings.max_epochs:
        epoch, sized = done + 1, halved(settings, halvings)
        require_same(foresight, f"pretraining before epoch {epoch}")
        torch.manual_seed(own_seed(seed, epoch, STREAM))
        set_rate(optimizer, learning_rate(settings, epoch))
        plan = plan_batches(
            store.lengths.clip(max=settings.max_steps),
            part.train,
            tokens=sized.tokens_per_batch,
            window_batches=sized.window_batches,
            seed=(seed, epoch, STREAM),
        )
        if lessons.fit(optimizer, plan, sized):
            done = epoch
        else:
            done, _ = _restore(foresight, optimizer, folder, fingerprint) or (0, 0)
            halvings = halve_batches(halvings, plan, "pretraining")
        _save(foresight, optimizer, folder, done, fingerprint, halvings)
    return foresight


def foresight_of(
    network: SequenceNetwork, store: SequenceStore, pretraining: Pretraining
) -> tuple[Foresight, NextSteps]:
    """What foresees with the encoder of `network`, which it shares, and what it foresees."""
    device = next(network.parameters()).device
    foresight = Foresight(network.encoder, len(store.channels)).to(device)
    return foresight, NextSteps.of(store, pretraining.objective)


@dataclass(frozen=True)
class Lessons:
    """Who foresees what, of whose sequences; `everything` counts what there is to foresee."""

    network: SequenceNetwork
    foresight: Foresight
    goal: NextSteps
    store: SequenceStore
    everything: float

    def fit(self, optimizer: torch.optim.Optimizer, plan: list[Rows], config: ModelConfig) -> bool:
        """Whether there was memory for the epoch; where not, it stopped in its midst."""
        self.foresight.train()

        def learn(rows: Rows, factor: float) -> None:
            self.learn(share_of(rows, self.store.lengths), config, factor)

        take = partial(take_steps, self.foresight, optimizer, plan, config, learn, self.everything)
        return if_it_fits(partial(take, "pretraining")) is not None

    def learn(self, rows: Rows, config: ModelConfig, factor: float) -> None:
        """Add the gradient of factor x the loss of `rows` [B], which may be none."""
        if len(rows) == 0:
            return
        device = self.foresight.line.weight.device
        batch = assemble(self.store, rows, max_steps=config.max_steps).to(device)
        sequences, _ = self.network.read(batch)
        for losses, _ in _window_losses(self.foresight, self.goal, sequences, config):
            torch.autograd.backward(losses.sum() * factor)


@torch.inference_mode()
def mean_foreseen(
    network: SequenceNetwork,
    foresight: Foresight,
    goal: NextSteps,
    store: SequenceStore,
    rows: Rows,
    config: ModelConfig,
) -> float:
    """The mean loss of the examples `rows` [R]: nats per set of codes, or squared error."""
    foresight.eval()
    device = foresight.line.weight.device
    total = count = 0.0
    lengths = store.lengths.clip(max=config.max_steps)
    for chosen in plan_batches(lengths, rows, tokens=config.tokens_per_batch):
        batch = assemble(store, chosen, max_steps=config.max_steps).to(device)
        sequences, _ = network.read(batch)
        for losses, counts in _window_losses(foresight, goal, sequences, config):
            total, count = total + float(losses.sum()), count + float(counts.sum())
    return total / count


def _window_losses(
    foresight: Foresight, goal: NextSteps, sequences: Sequences, config: ModelConfig
) -> Iterator[tuple[Tensor, Tensor]]:
    """Losses and counts [B, T] of all steps at once, or of `truncate_steps` at a time."""
    known = without_age(sequences)
    window = config.truncate_steps or known.inputs.shape[1]
    readings = windows(foresight.encoder, known, window)
    while True:
        # Only the encoder computes in half precision; it reads while we ask for the next window.
        with autocast(config.precision, sequences.inputs.device):
            read = next(readings, None)
        if read is None:
            return
        start, _, encoded = read
        # One step more than was read: the next of the window's last.
        ahead = sequences.span(start, start + window + 1)
        raw = foresight.told(encoded.states)
        losses, counts = goal.losses(_as_wide(raw, ahead), ahead)
        inside = encoded.states.shape[1]
        yield losses[:, :inside], counts[:, :inside]


def _as_wide(raw: Tensor, sequences: Sequences) -> Tensor:
    """[B, T, C] raw of as many steps as the sequences have; of what was added nothing counts."""
    missing = sequences.inputs.shape[1] - raw.shape[1]
    return nn.functional.pad(raw, (0, 0, 0, missing))


def foreseeable(store: SequenceStore, rows: Rows, goal: NextSteps, config: ModelConfig) -> float:
    """How many sets or values there are to foresee."""
    lengths = store.lengths[rows].clip(max=config.max_steps)
    if goal.what == "next_events":
        return float((lengths - 1).clip(min=0).sum())
    counts = np.array(goal.numeric)[store.observation_channel]
    until = np.concatenate([[0], np.cumsum(counts)])[store.observation_offsets]  # [S + 1]
    end = store.step_offsets[rows + 1]
    second = end - (lengths - 1).clip(min=0)  # the first step that another one comes before
    return float((until[end] - until[second]).sum())


def _settings(config: ModelConfig, pretraining: Pretraining) -> ModelConfig:
    """The training's own settings, but for the epochs and how fast it goes."""
    own = {"max_epochs": pretraining.epochs, "warmup_epochs": 0}
    return config.model_copy(update=own | {"learning_rate": pretraining.learning_rate})


def _save(
    foresight: Foresight,
    optimizer: torch.optim.Optimizer,
    folder: Path,
    epoch: int,
    fingerprint: str,
    halvings: int,
) -> None:
    tensors = {f"network.{name}": value for name, value in foresight.state_dict().items()}
    tensors |= optimizer_tensors(optimizer)
    progress = {"fingerprint": fingerprint, "epoch": epoch, "halvings": halvings}
    write_checkpoint(folder, epoch, Checkpoint(tensors, progress))


def _restore(
    foresight: Foresight, optimizer: torch.optim.Optimizer, folder: Path, fingerprint: str
) -> tuple[int, int] | None:
    """Go on where the last whole epoch ended: its number and the halvings, if there was one."""
    checkpoint = read_latest(folder, fingerprint)
    if checkpoint is None:
        return None
    parts = by_kind(checkpoint.tensors, foresight.line.weight.device)
    foresight.load_state_dict(parts["network"])
    restore_optimizer(optimizer, parts.get("optimizer", {}))
    return int(checkpoint.progress["epoch"]), int(checkpoint.progress["halvings"])

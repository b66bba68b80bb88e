"""An encoder learns to foresee the next time step before it learns of any outcome.

Every example of the training part teaches it, whatever became of the subject: labels are not
looked at. Like the training that follows it can be killed at any moment.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.batches import Padding, Rows, assemble, plan_batches
from models.checkpoints import Checkpoint, read_latest, write_checkpoint
from models.config import ModelConfig, Pretraining
from models.encoders.encoder import Sequences
from models.network import SequenceNetwork
from models.next_steps import Foresight, NextSteps, without_age
from models.optimisation import add_penalty, clip, learning_rate, optimizer_of, set_rate
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
    if not (store.lengths[part.train] > 1).any():
        raise TrainingImpossible("pretraining: no sequence has a next step to be foreseen")
    foresight.start_from(goal.start(store, part.train))
    settings = _settings(config, config.pretraining)
    optimizer, folder = optimizer_of(foresight, settings), checkpoints / FOLDER
    done = _restore(foresight, optimizer, folder, fingerprint)
    for epoch in range(done + 1, settings.max_epochs + 1):
        torch.manual_seed(int(np.random.SeedSequence([seed, epoch, STREAM]).generate_state(1)[0]))
        set_rate(optimizer, learning_rate(settings, epoch))
        plan = plan_batches(
            store.lengths.clip(max=settings.max_steps),
            part.train,
            tokens=settings.tokens_per_batch,
            window_batches=settings.window_batches,
            seed=(seed, epoch, STREAM),
        )
        foresee_epoch(network, foresight, goal, optimizer, store, plan, settings)
        _save(foresight, optimizer, folder, epoch, fingerprint)
    return foresight


def foresight_of(
    network: SequenceNetwork, store: SequenceStore, pretraining: Pretraining
) -> tuple[Foresight, NextSteps]:
    """What foresees with the encoder of `network`, which it shares, and what it foresees."""
    device = next(network.parameters()).device
    foresight = Foresight(network.encoder, len(store.channels)).to(device)
    return foresight, NextSteps.of(store, pretraining.objective)


def foresee_epoch(
    network: SequenceNetwork,
    foresight: Foresight,
    goal: NextSteps,
    optimizer: torch.optim.Optimizer,
    store: SequenceStore,
    plan: list[Rows],
    config: ModelConfig,
    padding: Padding | None = None,
) -> float:
    """One pass over `plan`; the mean loss of what was foreseen.

    Each batch's gradient is of a sum: a step weighs the same whatever its company.
    """
    foresight.train()
    device = foresight.line.weight.device
    everything = _foreseeable(store, np.concatenate(plan), goal, config)
    total = 0.0
    for chosen in plan:
        batch = assemble(store, chosen, max_steps=config.max_steps, padding=padding).to(device)
        sequences, _ = network.read(batch)
        optimizer.zero_grad()
        for losses, _ in _window_losses(foresight, goal, sequences, config):
            loss = losses.sum()
            if loss.requires_grad:
                torch.autograd.backward(loss * (len(plan) / everything))
            total += float(loss.detach())
        add_penalty(foresight, config.l2_penalty)
        clip(foresight, config)
        optimizer.step()
    return total / everything


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


def _foreseeable(store: SequenceStore, rows: Rows, goal: NextSteps, config: ModelConfig) -> float:
    """How many sets or values there are to foresee."""
    lengths = store.lengths[rows].clip(max=config.max_steps)
    if goal.what == "next_events":
        return float((lengths - 1).clip(min=0).sum())
    counts = np.array(goal.numeric)[store.observation_channel]
    until = np.concatenate([[0], np.cumsum(counts)])[store.observation_offsets]  # [S + 1]
    end = store.step_offsets[rows + 1]
    second = end - (lengths - 1).clip(min=0)  # the first step that another one comes before
    return float(max((until[end] - until[second]).sum(), 1))


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
) -> None:
    tensors = {f"network.{name}": value for name, value in foresight.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in state.items()}
    progress = {"fingerprint": fingerprint, "epoch": epoch}
    whole = {name: value.contiguous() for name, value in tensors.items()}
    write_checkpoint(folder, epoch, Checkpoint(whole, progress))


def _restore(
    foresight: Foresight, optimizer: torch.optim.Optimizer, folder: Path, fingerprint: str
) -> int:
    """Go on where the last whole epoch ended; its number, 0 before the first."""
    checkpoint = read_latest(folder, fingerprint)
    if checkpoint is None:
        return 0
    device = foresight.line.weight.device
    weights: dict[str, Tensor] = {}
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in checkpoint.tensors.items():
        kind, rest = name.split(".", 1)
        if kind == "network":
            weights[rest] = tensor.to(device)
        else:
            number, key = rest.split(".", 1)
            state.setdefault(int(number), {})[key] = tensor.to(device)
    foresight.load_state_dict(weights)
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
    return int(checkpoint.progress["epoch"])

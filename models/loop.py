"""The training of one network: a straight loop over epochs that can be killed at any moment.

Every epoch draws its order and its dropout from a seed of its own, so an epoch that is repeated
after a kill draws what the lost one drew, and no generator's state needs saving.
"""

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.batches import Padding, Rows, assemble, plan_batches
from models.checkpoints import Checkpoint, read_latest, write_checkpoint
from models.config import ModelConfig
from models.estimator import best_device, new_network
from models.group_robust import GroupRobust
from models.losses import example_weights, weighted_loss_sum, weighted_losses
from models.mitigation import Mitigation
from models.network import SequenceNetwork
from models.parts import Part, TrainingImpossible, known
from models.progress import Report
from models.scaling import Scaler
from models.store import PROBABILITIES, SequenceStore
from models.tasks import task_of

SCORING_TOKENS = 32_768
LOWEST_RATE = 0.1


@dataclass(frozen=True)
class EpochLog:
    """One epoch in numbers; a step is a time step of a sequence, padding not counted."""

    epoch: int
    train_loss: float
    validation_loss: float
    clip_rate: float
    padded_per_step: float
    steps_per_second: float


_NONE = EpochLog(0, math.inf, math.inf, 0.0, 0.0, 0.0)


@dataclass
class Standing:
    """Where a training stands between two epochs: all that changes, all that a resume needs.

    robust: the weights of groups, where the loss serves the worst of them.
    """

    network: SequenceNetwork
    optimizer: torch.optim.Optimizer
    best: dict[str, Tensor]
    log: list[EpochLog]
    min_epochs: int
    robust: GroupRobust | None = None

    @property
    def best_epoch(self) -> int:
        """The epoch of the lowest validation loss from `min_epochs` on; until then, of all."""
        candidates = self.log[self.min_epochs - 1 :] or self.log
        return min(candidates, key=lambda entry: entry.validation_loss, default=_NONE).epoch

    def finished(self, config: ModelConfig) -> bool:
        epochs = len(self.log)
        waited = epochs >= self.min_epochs and epochs - self.best_epoch >= config.patience_epochs
        return waited or epochs >= config.max_epochs


@dataclass(frozen=True)
class NetworkJob:
    """One network to train, on what, from which seed, with what to tell and where to save.

    mitigation: what is done about groups, if anything. The epoch to keep is chosen by the plain
    loss of the validation part either way.
    """

    name: str
    seed: int
    part: Part
    scaler: Scaler
    checkpoints: Path
    fingerprint: str
    mitigation: Mitigation | None = None


def train_network(
    store: SequenceStore, job: NetworkJob, config: ModelConfig, report: Report
) -> Standing:
    """Train until the validation loss stops falling; `best` holds the best epoch's weights.

    Raises:
        TrainingImpossible: the loss is no number any more; a lower learning rate may help.
    """
    device = best_device()
    if job.mitigation is not None:
        store = job.mitigation.reweighed(store, job.part.train)
    train, validation = known(store, job.part.train), known(store, job.part.validation)
    positive_weight = class_weight(store, train, config)
    standing = _resume(start_training(store, train, job, config, positive_weight), job)
    while not standing.finished(config):
        epoch = len(standing.log) + 1
        torch.manual_seed(_seed_of(job.seed, epoch))
        _set_rate(standing.optimizer, config, epoch)
        plan = plan_epoch(store, train, config, (job.seed, epoch))
        entry = train_epoch(store, plan, standing, config, positive_weight)
        raw = predict_raw(standing.network, store, validation, config.max_steps, device)
        loss = mean_loss(store, validation, raw, positive_weight)
        if not math.isfinite(loss):
            raise TrainingImpossible(f"{job.name}: the loss is not finite after epoch {epoch}")
        standing.log.append(EpochLog(epoch=epoch, validation_loss=loss, **entry))
        if standing.best_epoch == epoch:
            standing.best = _copy(standing.network.state_dict())
        write_checkpoint(job.checkpoints, epoch, _checkpoint(standing, job.fingerprint))
        losses = f"loss {entry['train_loss']:.4f}, validation {loss:.4f}"
        report(job.name, epoch, config.max_epochs, losses, loss)
    return standing


def plan_epoch(
    store: SequenceStore, rows: Rows, config: ModelConfig, seed: tuple[int, int]
) -> list[Rows]:
    """The batches of one pass over `rows`."""
    return plan_batches(
        store.lengths.clip(max=config.max_steps),
        rows,
        tokens=config.tokens_per_batch,
        window_batches=config.window_batches,
        seed=seed,
    )


def train_epoch(
    store: SequenceStore,
    plan: list[Rows],
    standing: Standing,
    config: ModelConfig,
    positive_weight: float,
    padding: Padding | None = None,
) -> dict[str, float]:
    """One pass over `plan`. Each example weighs the same in it whatever its batch's company."""
    network, optimizer, device = standing.network.train(), standing.optimizer, best_device()
    task = task_of(store.task, store.levels)
    everything = float(_weights(store, np.concatenate(plan), positive_weight).sum())
    began, total, clipped, steps, padded = time.perf_counter(), 0.0, 0, 0, 0
    for chosen in plan:
        batch = assemble(store, chosen, max_steps=config.max_steps, padding=padding)
        steps, padded = steps + int(batch.steps.sum()), padded + batch.steps.numel()
        batch = batch.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            raw = network(batch)
        weights = example_weights(batch.label, batch.weight, positive_weight)
        losses = weighted_losses(task, raw, batch.label, batch.scale, weights)
        loss = _loss_of(losses, weights, chosen, standing.robust)
        optimizer.zero_grad()
        torch.autograd.backward(loss * (len(plan) / everything))
        norm = nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
        optimizer.step()
        total, clipped = total + float(loss.detach()), clipped + int(norm > config.clip_norm)
    return {
        "train_loss": total / everything,
        "clip_rate": clipped / len(plan),
        "padded_per_step": padded / max(steps, 1),
        "steps_per_second": steps / (time.perf_counter() - began),
    }


def _loss_of(losses: Tensor, weights: Tensor, rows: Rows, robust: GroupRobust | None) -> Tensor:
    """[] of weighted losses and weights [B]: their sum, or what serves the worst group."""
    if robust is None:
        return losses.sum()
    return robust.loss(losses, weights, torch.from_numpy(rows))


@torch.inference_mode()
def predict_raw(
    network: SequenceNetwork, store: SequenceStore, rows: Rows, max_steps: int, device: torch.device
) -> npt.NDArray[np.float64]:
    """[R, K] raw answers for the examples `rows` [R], computed in order of length."""
    network.eval()
    answers = np.empty((len(store), network.outputs), dtype=np.float64)
    for chosen in plan_batches(store.lengths.clip(max=max_steps), rows, tokens=SCORING_TOKENS):
        batch = assemble(store, chosen, max_steps=max_steps).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            raw = network(batch)
        answers[chosen] = raw.double().cpu().numpy()
    return answers[rows]


def mean_loss(
    store: SequenceStore, rows: Rows, raw: npt.NDArray[np.float64], positive_weight: float
) -> float:
    """Weighted mean loss of the examples `rows` [R] whose raw answers are [R, K], in float64."""
    task, weights = task_of(store.task, store.levels), _weights(store, rows, positive_weight)
    label, scale = (torch.from_numpy(a[rows]).double() for a in (store.label, store.scale))
    loss = weighted_loss_sum(task, torch.from_numpy(raw), label, scale, weights.double())
    return float(loss / weights.double().sum())


def class_weight(store: SequenceStore, rows: Rows, config: ModelConfig) -> float:
    """The factor on positives: the config's number, or what makes both classes weigh the same.

    Where the task is no probability there are no positives, and the factor is 1.
    """
    if store.task not in PROBABILITIES:
        return 1.0
    if config.positive_weight != "balanced":
        return config.positive_weight
    positive = store.weight[rows[store.label[rows] == 1]].sum(dtype=np.float64)
    return float(store.weight[rows].sum(dtype=np.float64) / positive - 1.0)


def _weights(store: SequenceStore, rows: Rows, positive_weight: float) -> Tensor:
    label, weight = torch.from_numpy(store.label[rows]), torch.from_numpy(store.weight[rows])
    return example_weights(label, weight, positive_weight)


def start_training(
    store: SequenceStore, train: Rows, job: NetworkJob, config: ModelConfig, positive_weight: float
) -> Standing:
    """A new network whose first answer is the task's start, such as everybody's weighted risk."""
    torch.manual_seed(_seed_of(job.seed, 0))
    task = task_of(store.task, store.levels)
    network = new_network(job.scaler, config, task.outputs)
    weights = _weights(store, train, positive_weight).double().numpy()
    label, scale = (a[train].astype(np.float64) for a in (store.label, store.scale))
    network.head.start_from(task.start(label, scale, weights))
    network = network.to(best_device())
    matrices = [p for p in network.parameters() if p.ndim > 1]
    biases = [p for p in network.parameters() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": biases, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
    robust = _robust(store, train, job, positive_weight)
    best = _copy(network.state_dict())
    return Standing(network, optimizer, best, [], config.min_epochs, robust)


def _robust(
    store: SequenceStore, train: Rows, job: NetworkJob, positive_weight: float
) -> GroupRobust | None:
    if job.mitigation is None or job.mitigation.config.group_robust_step is None:
        return None
    groups, rows = torch.from_numpy(job.mitigation.groups), torch.from_numpy(train)
    weights = _weights(store, train, positive_weight)
    return GroupRobust.start(groups, rows, weights, job.mitigation.config.group_robust_step)


def _set_rate(optimizer: torch.optim.Optimizer, config: ModelConfig, epoch: int) -> None:
    """Half a cosine from the learning rate in the first epoch down to a tenth of it."""
    fall = 0.5 * (1.0 + math.cos(math.pi * (epoch - 1) / config.max_epochs))
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * (LOWEST_RATE + (1.0 - LOWEST_RATE) * fall)


def _seed_of(seed: int, epoch: int) -> int:
    """Seeds of neighbouring epochs must not resemble each other; numpy mixes them."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0] >> 1)


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def _checkpoint(standing: Standing, fingerprint: str) -> Checkpoint:
    tensors = {f"network.{k}": v for k, v in standing.network.state_dict().items()}
    tensors |= {f"best.{k}": v for k, v in standing.best.items()}
    for number, state in standing.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{k}": v for k, v in state.items()}
    if standing.robust is not None:
        tensors["robust.q"] = standing.robust.q
    progress = {"fingerprint": fingerprint, "log": [asdict(entry) for entry in standing.log]}
    return Checkpoint({k: v.contiguous() for k, v in tensors.items()}, progress)


def _resume(standing: Standing, job: NetworkJob) -> Standing:
    """`standing` moved to the latest whole checkpoint of the same training, if there is one."""
    checkpoint = read_latest(job.checkpoints, job.fingerprint)
    if checkpoint is None:
        return standing
    device = best_device()
    parts: dict[str, dict[str, Tensor]] = {
        k: {} for k in ("network", "best", "optimizer", "robust")
    }
    for name, tensor in checkpoint.tensors.items():
        kind, rest = name.split(".", 1)
        parts[kind][rest] = tensor.to(device)
    standing.network.load_state_dict(parts["network"])
    standing.best = parts["best"]
    if standing.robust is not None:
        standing.robust.q = parts["robust"]["q"].cpu()
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in parts["optimizer"].items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = tensor
    standing.optimizer.load_state_dict(standing.optimizer.state_dict() | {"state": state})
    standing.log = [EpochLog(**entry) for entry in checkpoint.progress["log"]]
    return standing

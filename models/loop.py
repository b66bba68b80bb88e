"""The training of one network: a straight loop over epochs that can be killed at any moment.

Every epoch draws its order and its dropout from a seed of its own, so an epoch that is repeated
after a kill draws what the lost one drew, and no generator's state needs saving.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.batch_size import halve_batches, halved
from models.batches import Batch, Padding, Rows, assemble, plan_batches
from models.config import ModelConfig
from models.cost import peak_memory_bytes
from models.distributed import (
    added_up,
    if_it_fits,
    largest,
    own_seed,
    processes_together,
    require_memory,
    require_same,
    share_of,
    shares_of_plan,
    start_alike,
)
from models.estimator import best_device, new_network
from models.group_robust import GroupRobust
from models.losses import example_weights, weighted_loss_sum
from models.mitigation import Mitigation
from models.network import SequenceNetwork
from models.objectives import Objective, Outcomes, objective_of, teaching
from models.optimisation import learning_rate, optimizer_of, set_rate, take_steps
from models.parts import Part, TrainingImpossible, known
from models.precision import autocast
from models.pretraining import pretrain
from models.progress import Report
from models.scaling import Scaler
from models.seeds import mixed
from models.standing import EpochLog, Standing, weights_of
from models.store import PROBABILITIES, SequenceStore
from models.tasks import task_of
from models.truncation import read_truncated

SCORING_TOKENS = 32_768

Told = Callable[[Batch], Tensor]  # [B, K] of a batch


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

    What `report` raises ends the training, whose last epoch is then saved already.

    Raises:
        TrainingImpossible: the loss is no number any more (a lower learning rate may help), one
            example does not fit into memory, or an option does not suit the task.
    """
    if job.mitigation is not None:
        if job.mitigation.config.reweighing and config.head == "hazard":
            raise TrainingImpossible("reweighing: the likelihood of a hazard has no such weights")
        if job.mitigation.config.group_robust_step is not None and config.accumulate_batches > 1:
            raise TrainingImpossible("group_robust: weights that move with each batch, not step")
        store = job.mitigation.reweighed(store, job.part.train)
    validation = known(store, job.part.validation)
    positive_weight = class_weight(store, known(store, job.part.train), config)
    train = teaching(objective_of(store, config, positive_weight), store, job.part.train)
    standing = start_training(store, train, job, config, positive_weight)
    if not standing.restore(job.checkpoints, job.fingerprint):
        standing.save(job.checkpoints, job.fingerprint)
    while not standing.finished(config):
        epoch, sized = len(standing.log) + 1, halved(config, standing.halvings)
        require_same(standing.network, f"{job.name} before epoch {epoch}")
        torch.manual_seed(own_seed(job.seed, epoch))
        rate = learning_rate(config, epoch)
        set_rate(standing.optimizer, rate)
        plan = plan_epoch(store, train, sized, (job.seed, epoch))
        train_once = partial(
            train_epoch, store, plan, standing, sized, positive_weight, name=job.name
        )
        entry = if_it_fits(train_once)
        if entry is None:
            standing.restore(job.checkpoints, job.fingerprint)
            standing.halvings = halve_batches(standing.halvings, plan, job.name)
            standing.save(job.checkpoints, job.fingerprint)
            continue
        raw = predict_together(standing.network, store, validation, config.max_steps)
        loss = mean_loss(store, validation, raw, positive_weight)
        if not math.isfinite(loss):
            raise TrainingImpossible(f"{job.name}: the loss is not finite after epoch {epoch}")
        measured = EpochLog(
            epoch=epoch,
            validation_loss=loss,
            learning_rate=rate,
            tokens_per_batch=sized.tokens_per_batch,
            peak_memory_bytes=int(largest(peak_memory_bytes())),
            **entry,
        )
        standing.append(measured)
        standing.save(job.checkpoints, job.fingerprint)
        losses = f"loss {entry['train_loss']:.4f}, validation {loss:.4f}"
        report(job.name, epoch, config.max_epochs, losses, validation_loss=loss)
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
    name: str = "training",
) -> dict[str, float]:
    """One pass over `plan`. Each example weighs the same in it whatever its batch's company.

    Of several processes each learns from its share of every batch, and all take the same steps.
    """
    network, optimizer = standing.network.train(), standing.optimizer
    lesson = Lesson(store, standing, config, objective_of(store, config, positive_weight), padding)
    everything = lesson.weight_of(np.concatenate(plan))
    told = torch.zeros(3, dtype=torch.float64)  # loss, time steps, time steps with padding

    def learn(rows: Rows, factor: float) -> None:
        told.add_(lesson.learn(share_of(rows, store.lengths), factor))

    began = time.perf_counter()
    clip_rate = take_steps(network, optimizer, plan, config, learn, everything, name)
    require_memory()
    total, steps, padded = added_up(told).tolist()
    seconds = time.perf_counter() - began
    return {
        "train_loss": total / everything,
        "clip_rate": clip_rate,
        "padded_per_step": padded / max(steps, 1),
        "steps_per_second": steps / seconds,
        "seconds": seconds,
    }


@dataclass(frozen=True)
class Lesson:
    """What one batch after the other teaches the network of `standing`."""

    store: SequenceStore
    standing: Standing
    config: ModelConfig
    objective: Objective
    padding: Padding | None = None

    def weight_of(self, rows: Rows) -> float:
        """How much the examples `rows` [R] count together."""
        return float(self.objective.weights(Outcomes.of_rows(self.store, rows)).sum())

    def learn(self, rows: Rows, factor: float) -> Tensor:
        """Add the gradient of factor x the loss of `rows` [B], which may be none.

        Answered is [3]: the loss, the time steps, and those with padding.
        """
        if len(rows) == 0:
            nothing = torch.zeros(0)
            _loss_of(nothing, nothing, rows, self.standing.robust)  # the others' groups
            return torch.zeros(3)
        network, config, device = self.standing.network, self.config, best_device()
        batch = assemble(self.store, rows, max_steps=config.max_steps, padding=self.padding)
        steps, padded = int(batch.steps.sum()), batch.steps.numel()
        batch = batch.to(device)
        with autocast(network.precision, device):
            pooled, facts = _pooled(network, batch, config.truncate_steps)
        outcomes = Outcomes.of_batch(batch)
        losses = self.objective.losses(network, pooled, facts, outcomes)
        weights = self.objective.weights(outcomes)
        loss = _loss_of(losses, weights, rows, self.standing.robust)
        torch.autograd.backward(loss * factor)
        return torch.tensor([float(loss.detach()), steps, padded], dtype=torch.float64)


def _pooled(
    network: SequenceNetwork, batch: Batch, truncate_steps: int | None
) -> tuple[Tensor, Tensor]:
    """What the encoder pools [B, P], with a gradient that goes so far back; and facts [B, F]."""
    sequences, facts = network.read(batch)
    if truncate_steps is None:
        return network.encoder(sequences).pooled, facts
    return read_truncated(network.encoder, sequences, truncate_steps).pooled, facts


def _loss_of(losses: Tensor, weights: Tensor, rows: Rows, robust: GroupRobust | None) -> Tensor:
    """[] of weighted losses and weights [B]: their sum, or what serves the worst group."""
    if robust is None:
        return losses.sum()
    return robust.loss(losses, weights, torch.from_numpy(rows))


def predict_together(
    network: SequenceNetwork, store: SequenceStore, rows: Rows, max_steps: int
) -> npt.NDArray[np.float64]:
    """As predict_raw, each process answering for some of the batches and hearing of the others.

    They are the batches that one process answers in: the same weights answer the same bits.
    """
    device = best_device()
    if processes_together() == 1:
        return predict_raw(network, store, rows, max_steps, device)
    answers = torch.zeros((len(store), network.outputs), dtype=torch.float64)
    plan = plan_batches(store.lengths.clip(max=max_steps), rows, tokens=SCORING_TOKENS)
    for chosen in shares_of_plan(plan):
        answers[chosen] = torch.from_numpy(predict_raw(network, store, chosen, max_steps, device))
    found: npt.NDArray[np.float64] = added_up(answers).numpy()[rows]
    return found


def predict_raw(
    network: SequenceNetwork, store: SequenceStore, rows: Rows, max_steps: int, device: torch.device
) -> npt.NDArray[np.float64]:
    """[R, K] raw answers for the examples `rows` [R], computed in order of length."""
    network.eval()

    def told(batch: Batch) -> Tensor:
        with autocast(network.precision, device):
            raw: Tensor = network(batch)
        return raw

    return answer_in_batches(told, network.outputs, store, rows, max_steps, device)


@torch.inference_mode()
def answer_in_batches(
    told: Told,
    outputs: int,
    store: SequenceStore,
    rows: Rows,
    max_steps: int,
    device: torch.device,
) -> npt.NDArray[np.float64]:
    """[R, outputs] what `told` says of the examples `rows` [R], computed in order of length."""
    answers = np.empty((len(store), outputs), dtype=np.float64)
    for chosen in plan_batches(store.lengths.clip(max=max_steps), rows, tokens=SCORING_TOKENS):
        answers[chosen] = _told_in_parts(told, store, chosen, max_steps, device)
    return answers[rows]


def _told_in_parts(
    told: Told, store: SequenceStore, rows: Rows, max_steps: int, device: torch.device
) -> npt.NDArray[np.float64]:
    """[R, K] answers, of half the rows at a time where all do not fit into memory."""
    try:
        return told(assemble(store, rows, max_steps=max_steps).to(device)).double().cpu().numpy()
    except torch.OutOfMemoryError:
        if len(rows) == 1:
            raise
    parts = np.array_split(rows, 2)
    return np.concatenate([_told_in_parts(told, store, part, max_steps, device) for part in parts])


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
    """A new network whose first answer is the task's start, such as everybody's weighted risk.

    Raises:
        TrainingImpossible: an option does not suit the task, or the data have no next steps.
    """
    torch.manual_seed(mixed(job.seed, 0))
    if config.focal_gamma > 0 and store.task not in PROBABILITIES:
        raise TrainingImpossible(f"focal_gamma: the task {store.task} has no classes")
    objective = objective_of(store, config, positive_weight)
    others = len(store.other_labels) if config.other_labels_share > 0 else 0
    outputs = task_of(store.task, store.levels).outputs
    network = new_network(job.scaler, config, outputs, others)
    outcomes = Outcomes.of_rows(store, train)
    objective.start(network, outcomes)
    network = network.to(best_device())
    start_alike(network)
    pretrain(
        network,
        store,
        job.part,
        config,
        seed=job.seed,
        checkpoints=job.checkpoints,
        fingerprint=job.fingerprint,
    )
    optimizer, best = optimizer_of(network, config), weights_of(network)
    robust = _robust(train, objective.weights(outcomes), job)
    return Standing(network, optimizer, best, [], config.min_epochs, robust)


def _robust(rows: Rows, weights: Tensor, job: NetworkJob) -> GroupRobust | None:
    if job.mitigation is None or job.mitigation.config.group_robust_step is None:
        return None
    groups, chosen = torch.from_numpy(job.mitigation.groups), torch.from_numpy(rows)
    return GroupRobust.start(groups, chosen, weights, job.mitigation.config.group_robust_step)

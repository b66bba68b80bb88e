"""Where a training stands between two epochs, and how that is saved and found again."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from models.checkpoints import (
    Checkpoint,
    by_kind,
    optimizer_tensors,
    read_latest,
    restore_optimizer,
    write_checkpoint,
)
from models.config import ModelConfig
from models.estimator import best_device
from models.group_robust import GroupRobust
from models.network import SequenceNetwork


@dataclass(frozen=True)
class EpochLog:
    """One epoch in numbers; a step is a time step of a sequence, padding not counted.

    Attributes:
        clip_rate: share of the optimiser's steps whose gradient was cut or shortened.
        seconds: of the training rows alone, without the validation.
        tokens_per_batch: less than the study's where such batches did not fit into memory.
        peak_memory_bytes: as models/cost.py counts it, up to here.
    """

    epoch: int
    train_loss: float
    validation_loss: float
    clip_rate: float
    padded_per_step: float
    steps_per_second: float
    seconds: float
    learning_rate: float
    tokens_per_batch: int
    peak_memory_bytes: int


_NONE = EpochLog(0, math.inf, math.inf, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0)


@dataclass
class Standing:
    """All that changes in a training, all that a resume needs.

    Attributes:
        best: the weights of the best epoch so far.
        robust: the weights of groups, where the loss serves the worst of them.
        halvings: how often batches were halved because they did not fit into memory.
    """

    network: SequenceNetwork
    optimizer: torch.optim.Optimizer
    best: dict[str, Tensor]
    log: list[EpochLog]
    min_epochs: int
    robust: GroupRobust | None = None
    halvings: int = 0

    @property
    def best_epoch(self) -> int:
        """The epoch of the lowest validation loss from `min_epochs` on; until then, of all."""
        candidates = self.log[self.min_epochs - 1 :] or self.log
        return min(candidates, key=lambda entry: entry.validation_loss, default=_NONE).epoch

    def finished(self, config: ModelConfig) -> bool:
        epochs = len(self.log)
        waited = epochs >= self.min_epochs and epochs - self.best_epoch >= config.patience_epochs
        return waited or epochs >= config.max_epochs

    def append(self, entry: EpochLog) -> None:
        """Add an epoch; if it is the best, its weights are kept."""
        self.log.append(entry)
        if self.best_epoch == entry.epoch:
            self.best = weights_of(self.network)

    def save(self, folder: Path, fingerprint: str) -> None:
        """Write the checkpoint of the last epoch, 0 before the first: for all processes at once."""
        tensors = {f"network.{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        tensors |= optimizer_tensors(self.optimizer)
        if self.robust is not None:
            tensors["robust.q"] = self.robust.q
        progress = {
            "fingerprint": fingerprint,
            "log": [asdict(entry) for entry in self.log],
            "halvings": self.halvings,
        }
        write_checkpoint(folder, len(self.log), Checkpoint(tensors, progress))

    def restore(self, folder: Path, fingerprint: str) -> bool:
        """Go to the latest whole checkpoint of the same training; whether there was one."""
        checkpoint = read_latest(folder, fingerprint)
        if checkpoint is None:
            return False
        parts = by_kind(checkpoint.tensors, best_device())
        self.network.load_state_dict(parts["network"])
        self.best = parts["best"]
        if self.robust is not None:
            self.robust.q = parts["robust"]["q"].cpu()
        restore_optimizer(self.optimizer, parts.get("optimizer", {}))
        self.log = [EpochLog(**entry) for entry in checkpoint.progress["log"]]
        self.halvings = checkpoint.progress["halvings"]
        return True


def weights_of(network: SequenceNetwork) -> dict[str, Tensor]:
    """A copy of the weights as they are now, but for what is there while training only."""
    weights = network.state_dict().items()
    return {name: w.detach().clone() for name, w in weights if not name.startswith("beside.")}

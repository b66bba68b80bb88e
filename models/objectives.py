"""What a training minimises: whom it learns from, how much each counts, and the loss.

Not the task itself: a task says what is predicted. Whatever was minimised, a network answers the
task's raw numbers, and the epoch to keep is chosen by the task's own weighted loss, so that
trainings with different heads can be compared.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from models.batches import Batch, Rows
from models.config import ModelConfig
from models.heads import HazardHead, Head
from models.losses import example_weights, weighted_losses
from models.network import SequenceNetwork
from models.parts import TrainingImpossible
from models.store import SequenceStore
from models.tasks import Task, task_of


@dataclass(frozen=True)
class Outcomes:
    """What became of B examples: label, weight, scale, followed_days [B] and other_label [B, A]."""

    label: Tensor
    weight: Tensor
    scale: Tensor
    followed_days: Tensor
    other_label: Tensor

    @classmethod
    def of_rows(cls, store: SequenceStore, rows: Rows) -> Self:
        def chosen(array: npt.NDArray[np.float32]) -> Tensor:
            return torch.from_numpy(array[rows])

        return cls(
            chosen(store.label),
            chosen(store.weight),
            chosen(store.scale),
            chosen(store.followed_days),
            chosen(store.other_label),
        )

    @classmethod
    def of_batch(cls, batch: Batch) -> Self:
        return cls(batch.label, batch.weight, batch.scale, batch.followed_days, batch.other_label)


class Objective(Protocol):
    """One thing to minimise, pure and without state."""

    def weights(self, of: Outcomes) -> Tensor:
        """[B] how much each example counts; exactly 0 for one that teaches nothing."""
        ...

    def start(self, network: SequenceNetwork, of: Outcomes) -> None:
        """Let the untrained network answer what is known of the training examples [R] in sum."""
        ...

    def losses(
        self, network: SequenceNetwork, pooled: Tensor, facts: Tensor, of: Outcomes
    ) -> Tensor:
        """[B] weights x loss of what the encoder pooled [B, P] and facts [B, F]."""
        ...


@dataclass(frozen=True)
class Direct:
    """The task's own loss, by the weights for censoring and class."""

    task: Task
    positive_weight: float = 1.0
    focal_gamma: float = 0.0

    def weights(self, of: Outcomes) -> Tensor:
        return example_weights(of.label, of.weight, self.positive_weight)

    def start(self, network: SequenceNetwork, of: Outcomes) -> None:
        weights = self.weights(of)
        known = weights > 0
        label, scale, weight = (
            each[known].double().numpy() for each in (of.label, of.scale, weights)
        )
        network.head.start_from(self.task.start(label, scale, weight))

    def losses(
        self, network: SequenceNetwork, pooled: Tensor, facts: Tensor, of: Outcomes
    ) -> Tensor:
        raw = network.conclude(pooled, facts)
        weights = self.weights(of)
        return weighted_losses(self.task, raw, of.label, of.scale, weights, self.focal_gamma)


@dataclass(frozen=True)
class Hazards:
    """The likelihood of when the event came, in equal parts of the horizon.

    An event in part k adds -log h_k and -log(1 - h_j) of each part j before; whoever was followed
    without one adds -log(1 - h_j) of each part, a part seen in part counting for that share of
    it, as if the hazard were the same throughout (Singer & Willett 1993; Gensheimer & Narasimhan
    2019, who round the last part instead). So censoring is inside: who was lost counts for as
    long as they were seen, with weight 1. The weights for censoring stand in for the lost and
    would count them twice; they belong to the loss of a label that is known or is not.

    Both assume that losing sight says nothing of the event. A competing event is followed to the
    end of the horizon (models/store.py): 1 - prod(1 - h) is then the chance that the event comes,
    and not the chance that it would come if nobody died.
    """

    horizon_days: float
    bins: int

    def weights(self, of: Outcomes) -> Tensor:
        # Whoever was lost at once was followed through nothing.
        return ((of.followed_days > 0) | (of.label == 1)).float()

    def start(self, network: SequenceNetwork, of: Outcomes) -> None:
        """From the life table: events by examples at risk, part by part."""
        event, survived = self.life_table(of)
        events = event.sum(dim=0).double()
        # Half an event more, half a survivor: a part without events has a finite logit.
        odds = (events + 0.5) / (survived.double().sum(dim=0) + 0.5)
        _hazard_head(network).start_from(torch.log(odds).tolist())

    def losses(
        self, network: SequenceNetwork, pooled: Tensor, facts: Tensor, of: Outcomes
    ) -> Tensor:
        logits = network.told_by(_hazard_head(network).hazards, pooled, facts)
        return self.likelihood(logits, of)

    def likelihood(self, logits: Tensor, of: Outcomes) -> Tensor:
        """[B] minus the log likelihood of hazards whose logits are [B, K]."""
        event, survived = self.life_table(of)
        losses = survived * softplus(logits) + event.to(logits.dtype) * softplus(-logits)
        return torch.where(self.weights(of) > 0, losses.sum(dim=1), 0.0)

    def life_table(self, of: Outcomes) -> tuple[Tensor, Tensor]:
        """[B, K] whether the event came in a part, and the share of it survived without."""
        days = torch.where(self.weights(of) > 0, of.followed_days, 0.0)
        # In float64 and multiplied first: an edge that is a whole number of days is met exactly.
        place = (days.double() * self.bins / self.horizon_days).unsqueeze(1)  # [B, 1] in parts
        part = torch.arange(self.bins, device=days.device)
        # A part ends with its last day: what comes on an edge belongs to the part before it.
        last = (torch.ceil(place) - 1).clamp(0, self.bins - 1)
        event = (of.label == 1).unsqueeze(1) & (part == last)
        survived = (place - part).clamp(0.0, 1.0).to(days.dtype)
        return event, torch.where(event, 0.0, survived)


@dataclass(frozen=True)
class Beside:
    """Another objective and, for a share of the loss, the study's other outcomes.

    Of an example the mean cross-entropy of those that are known: it counts although its own label
    is not. No weights for censoring or class: nothing of these answers is shown, they only shape
    what the encoder remembers.
    """

    own: Objective
    share: float

    def weights(self, of: Outcomes) -> Tensor:
        known = (~torch.isnan(of.other_label)).any(dim=1)
        return (1.0 - self.share) * self.own.weights(of) + self.share * known

    def start(self, network: SequenceNetwork, of: Outcomes) -> None:
        self.own.start(network, of)
        known = ~torch.isnan(of.other_label)
        positive = torch.where(known, of.other_label, 0.0).double().sum(dim=0)
        odds = (positive + 0.5) / (known.sum(dim=0) - positive + 0.5)
        _beside(network).start_from(torch.log(odds).tolist())

    def losses(
        self, network: SequenceNetwork, pooled: Tensor, facts: Tensor, of: Outcomes
    ) -> Tensor:
        own = self.own.losses(network, pooled, facts, of)
        raw = network.told_by(_beside(network), pooled, facts)
        return (1.0 - self.share) * own + self.share * other_losses(raw, of.other_label)


def other_losses(raw: Tensor, label: Tensor) -> Tensor:
    """[B] mean cross-entropy of the labels [B, A] that are known; 0 where none is."""
    known = ~torch.isnan(label)
    # where, on the way in and out: 0 x NaN would poison sum and gradient.
    told = torch.where(known, label, 0.0)
    losses = binary_cross_entropy_with_logits(raw, told, reduction="none")
    return torch.where(known, losses, 0.0).sum(dim=1) / known.sum(dim=1).clamp(min=1)


def objective_of(store: SequenceStore, config: ModelConfig, positive_weight: float) -> Objective:
    """What a model section has a training minimise.

    Raises:
        TrainingImpossible: an option does not suit the task, or there are no other outcomes.
    """
    own: Objective = Direct(task_of(store.task, store.levels), positive_weight, config.focal_gamma)
    if config.head == "hazard":
        if store.task != "risk":
            raise TrainingImpossible(f"head: the task {store.task} has no event to be hazarded")
        own = Hazards(store.horizon_days, config.hazard_bins)
    if config.other_labels_share == 0:
        return own
    if not store.other_labels:
        raise TrainingImpossible("other_labels_share: the study names no outcomes under `also`")
    return Beside(own, config.other_labels_share)


def teaching(objective: Objective, store: SequenceStore, rows: Rows) -> Rows:
    """Those of `rows` [R] that the objective learns from."""
    counts: npt.NDArray[np.bool_] = (objective.weights(Outcomes.of_rows(store, rows)) > 0).numpy()
    return rows[counts]


def _hazard_head(network: SequenceNetwork) -> HazardHead:
    if not isinstance(network.head, HazardHead):
        raise TypeError("a hazard is learned by a network with the head for it")
    return network.head


def _beside(network: SequenceNetwork) -> Head:
    if network.beside is None:
        raise TypeError("other outcomes are learned by a network with a head for them")
    return network.beside

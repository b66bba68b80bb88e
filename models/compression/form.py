"""What a form of a smaller model does: make it of a trained network, keep it, score with it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import Tensor

from models.batches import Batch, Rows
from models.compression.registry import FORMS
from models.config import ModelConfig
from models.estimator import best_device
from models.loop import predict_raw
from models.network import SequenceNetwork
from models.parts import Part
from models.scaling import Scaler
from models.store import SequenceStore

Floats = npt.NDArray[np.float64]


class CompressionImpossible(Exception):
    """A model of this kind has no such form."""


class Scorer(Protocol):
    """Raw [B, K] of a Batch. Padding and batch mates change nothing."""

    outputs: int

    def __call__(self, batch: Batch) -> Tensor: ...


@runtime_checkable
class StoreScorer(Scorer, Protocol):
    """A scorer that reads the store by a shorter way than through batches."""

    def predict(self, store: SequenceStore, rows: Rows, max_steps: int) -> Floats: ...


@dataclass(frozen=True)
class Training:
    """What a network was trained on and from which seed, for a form that trains on."""

    store: SequenceStore
    part: Part
    seed: int


class Form(ABC):
    """One way to make a network smaller or faster; it is kept as `<name><suffix>`.

    Attributes:
        trains_on: it trains some more epochs, by the plain loss and no mitigation.
    """

    suffix: str
    trains_on: bool = False

    def config(self, config: ModelConfig) -> ModelConfig:
        """The model section of the smaller network."""
        return config

    def compressed(
        self, network: SequenceNetwork, config: ModelConfig, training: Training
    ) -> SequenceNetwork:
        """The smaller network of a trained one; the same where only the arithmetic differs."""
        return network

    @abstractmethod
    def write(self, network: SequenceNetwork, file: Path) -> None:
        """Keep the network. Raises CompressionImpossible where its encoder has no such form."""

    @abstractmethod
    def read(self, file: Path, scaler: Scaler, config: ModelConfig, outputs: int) -> Scorer:
        """The network that was kept. Raises ModelUnusable on any other file."""


def predict(scorer: Scorer, store: SequenceStore, rows: Rows, max_steps: int) -> Floats:
    """[R, K] raw answers for the examples `rows` [R]."""
    if isinstance(scorer, StoreScorer):
        return scorer.predict(store, rows, max_steps)
    network = cast(SequenceNetwork, scorer)  # all other forms are read as networks
    device = best_device()
    return predict_raw(network.to(device), store, rows, max_steps, device)


def lost_by_forms(config: ModelConfig) -> str | None:
    """What a model section asks of its networks that none has in another form; None if nothing.

    Asked before a model is compressed and, should one have been all the same, when it scores.
    """
    if config.dropout_draws:
        return "a compressed network has no dropout to be left on, as dropout_draws asks"
    return None


def form_of(name: str) -> Form:
    """The form of that name. Raises CompressionImpossible where there is none."""
    if name not in FORMS:
        raise CompressionImpossible(f"no form {name}; there are {', '.join(FORMS)}")
    entry = FORMS[name]
    made: Form = getattr(import_module(entry.module), entry.name)()
    return made

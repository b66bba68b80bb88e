"""What a training does about groups: other weights of its rows, or a loss that serves the worst."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from models.config import TrainingMitigation
from models.parts import Rows, known
from models.store import SequenceStore


class MitigationUnusable(Exception):
    """The groups do not belong to the sequences, or cannot be read."""


@dataclass(frozen=True)
class Mitigation:
    """The mitigation of a training. groups [E]: the number, from 0, of each example's group."""

    config: TrainingMitigation
    groups: npt.NDArray[np.int64]

    @classmethod
    def read(cls, config: Path, groups: Path, examples: int) -> Self:
        """Raises MitigationUnusable where the groups are not one number per example."""
        try:
            found = np.load(groups, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise MitigationUnusable(f"{groups} is not readable") from error
        if found.dtype != np.int64 or found.shape != (examples,) or (found < 0).any():
            raise MitigationUnusable(f"{groups} is not one group number for each example")
        return cls(TrainingMitigation.model_validate_json(config.read_text()), found)

    def reweighed(self, store: SequenceStore, rows: Rows) -> SequenceStore:
        """The store with the weights of the training `rows` [R] such that group and label are
        independent among them; the weight of all together stays.

        weight x P(group) P(label) / P(group, label), shares of weight (Kamiran and Calders, Knowl
        Inf Syst 2012). Rows of an unknown label keep their weight of 0.
        """
        if not self.config.reweighing:
            return store
        told = known(store, rows)
        own = store.weight[told].astype(np.float64)
        group, label = self.groups[told], (store.label[told] == 1.0).astype(np.int64)
        held = np.zeros((int(self.groups.max()) + 1, 2))
        np.add.at(held, (group, label), own)
        share = held / held.sum()
        expected = share.sum(axis=1, keepdims=True) * share.sum(axis=0, keepdims=True)
        weight = np.array(store.weight)
        weight[told] = own * expected[group, label] / share[group, label]
        return replace(store, weight=weight)

    def fingerprint(self) -> str:
        """Equal for two mitigations exactly when they do the same to the same groups."""
        digest = hashlib.sha256(json.dumps(self.config.model_dump(mode="json")).encode())
        digest.update(self.groups.tobytes())
        return digest.hexdigest()

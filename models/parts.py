"""Who trains and who decides: the released model's rows, and the folds' for cross-fitting."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.store import NO_SPLIT, TRAIN, VALIDATION, SequenceStore

Rows = npt.NDArray[np.int64]

VALIDATION_SHARE_OF_FOLD = 1 / 8


class TrainingImpossible(Exception):
    """The rows given cannot train or judge a model: a class or a whole part is missing."""


@dataclass(frozen=True)
class Part:
    """The examples one estimator is fitted on, and those that stop and calibrate it."""

    name: str
    train: Rows
    validation: Rows


def released_part(store: SequenceStore) -> Part:
    """The study's own training and validation splits.

    Raises:
        TrainingImpossible: either of them lacks known positives or negatives.
    """
    part = Part(
        "released",
        train=np.flatnonzero(store.split == TRAIN),
        validation=np.flatnonzero(store.split == VALIDATION),
    )
    return _checked(part, store)


def assign_folds(store: SequenceStore, folds: int) -> npt.NDArray[np.int8]:
    """[E] the fold whose network never sees the example; -1 for examples outside every split.

    Folds are drawn over clusters, seeded: a matched set is never torn apart.
    """
    of_example = _draw(store.cluster, np.array([folds], dtype=np.int64)) % folds
    return np.where(store.split == NO_SPLIT, -1, of_example).astype(np.int8)


def fold_part(store: SequenceStore, fold_of_example: npt.NDArray[np.int8], fold: int) -> Part:
    """All other folds' examples, an eighth of their clusters set aside to stop and calibrate.

    Raises:
        TrainingImpossible: the training or the validation part lacks a class.
    """
    others = np.flatnonzero((fold_of_example >= 0) & (fold_of_example != fold))
    rank = _draw(store.cluster[others], np.array([1_000_003, fold], dtype=np.int64))
    share = rank / (rank.max(initial=0) + 1)
    return _checked(
        Part(
            f"fold_{fold}",
            train=others[share >= VALIDATION_SHARE_OF_FOLD],
            validation=others[share < VALIDATION_SHARE_OF_FOLD],
        ),
        store,
    )


def known(store: SequenceStore, rows: Rows) -> Rows:
    """Those of `rows` whose label is known and counts."""
    return rows[(store.weight[rows] > 0) & ~np.isnan(store.label[rows])]


def _draw(cluster: npt.NDArray[np.int64], seed: Rows) -> Rows:
    """For each example [R] its cluster's place in a seeded shuffle of the clusters."""
    clusters, which = np.unique(cluster, return_inverse=True)
    return np.random.default_rng(seed).permutation(len(clusters))[which]


def _checked(part: Part, store: SequenceStore) -> Part:
    for what, rows in (("training", part.train), ("validation", part.validation)):
        classes = np.unique(store.label[known(store, rows)])
        if len(classes) < 2:
            raise TrainingImpossible(
                f"the {what} part of {part.name} holds {len(classes)} of the two classes"
            )
    return part

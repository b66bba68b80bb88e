"""Who trains and who decides: the rows of the released model and those of every window.

Whoever wrote the store drew the parts; here they are only read.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.store import PROBABILITIES, TRAIN, VALIDATION, SequenceStore

Rows = npt.NDArray[np.int64]

LEAST_ROWS = 50


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
        TrainingImpossible: either of them lacks known positives or negatives, or known labels.
    """
    return _checked(part_of("released", store.split), store)


def window_part(store: SequenceStore, window: int) -> Part:
    """What window number `window` trains and stops on.

    Raises:
        TrainingImpossible: as `released_part`.
    """
    return _checked(part_of(f"window_{window}", store.windows[window]), store)


def part_of(name: str, split: npt.NDArray[np.int8]) -> Part:
    """The part that `split` [E] describes."""
    return Part(name, np.flatnonzero(split == TRAIN), np.flatnonzero(split == VALIDATION))


def is_released(store: SequenceStore, window: int) -> bool:
    """Whether the window trains and stops on the very rows of the released model."""
    ours, released = (part_of("", split) for split in (store.windows[window], store.split))
    return np.array_equal(ours.train, released.train) and np.array_equal(
        ours.validation, released.validation
    )


def known(store: SequenceStore, rows: Rows) -> Rows:
    """Those of `rows` whose label is known and counts."""
    return rows[(store.weight[rows] > 0) & ~np.isnan(store.label[rows])]


def _checked(part: Part, store: SequenceStore) -> Part:
    for what, rows in (("training", part.train), ("validation", part.validation)):
        label = store.label[known(store, rows)]
        where = f"the {what} part of {part.name}"
        if store.task in PROBABILITIES:
            classes = len(np.unique(label))
            if classes < 2:
                raise TrainingImpossible(f"{where} holds {classes} of the two classes")
        elif len(label) < LEAST_ROWS:
            raise TrainingImpossible(f"{where} holds {len(label)} labels of at least {LEAST_ROWS}")
        elif store.task == "volatility" and not (label > 0).all():
            raise TrainingImpossible(f"{where} holds a volatility that is not above 0")
    return part

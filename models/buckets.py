"""Scoring goes bucket by bucket of subjects: what a row is told depends on no other bucket.

A network's answer differs in its last bits with the shape of the batch. A bucket's batches hold
nobody of another one, so it comes to the same bits whether it is scored alone or with all others.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from models.store import SequenceStore

# The bucket of a pseudonym is what stands above these bits, as in pipelines/shards.py.
BUCKET_BITS = 57
# What is predicted of a subject from its own record alone. A market's answers look at other names
# and at times before: all of it is one unit.
CUT_BY_SUBJECT = ("risk",)

Rows = npt.NDArray[np.int64]


def units_of(store: SequenceStore, first: int, last: int) -> Iterator[Rows]:
    """The examples of the subjects from `first` to `last`, in the units that are scored at once.

    A unit may hold examples of other subjects as well, where the task is not cut by subjects.
    """
    rows = wanted(store, first, last)
    if store.task not in CUT_BY_SUBJECT:
        yield from [np.arange(len(store))] * bool(len(rows))
        return
    bucket = store.subject[rows] >> BUCKET_BITS
    for number in np.unique(bucket):
        yield rows[bucket == number]


def wanted(store: SequenceStore, first: int, last: int) -> Rows:
    """The examples of the subjects from `first` to `last`, in the store's order."""
    return np.flatnonzero((store.subject >= first) & (store.subject <= last))


def of_like_length(lengths: Rows, rows: Rows) -> Iterator[npt.NDArray[np.int64]]:
    """Places in `rows` whose examples are between a power of four and the next steps long.

    A small bucket is one batch: it would be padded to the longest of all. A large one has batches
    enough of one length each.
    """
    classes = (np.frexp(np.maximum(lengths[rows], 1))[1] - 1) // 2
    for number in np.unique(classes):
        yield np.flatnonzero(classes == number)

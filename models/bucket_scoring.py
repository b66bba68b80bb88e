"""The released model's scores of some subjects of a store, the same bits whoever else is scored."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.buckets import CUT_BY_SUBJECT, of_like_length, units_of, wanted
from models.challengers.table import Challenger
from models.compression.form import Scorer
from models.estimator import Estimator, Model
from models.features import Features, build_features
from models.scoring import Floats, Rows, Scoring, check_features, open_fitting
from models.store import SequenceStore, select


def score_by_bucket(sequences: Path, model: Path, first: int, last: int) -> dict[str, Floats]:
    """Columns [E] of the examples of the subjects from `first` to `last`, in the store's order.

    Those of `models.scoring.score` that the released networks answer: challengers beside them are
    asked only where they answer together. No column where the store has nobody of these subjects.
    A row's bits depend on its own bucket alone, and memory follows the largest bucket.

    Raises:
        SequencesUnusable, ModelUnusable: as `score` does.
    """
    store, words = open_fitting(sequences, model)
    released = Released.read_of(store, model, words)
    rows, columns = wanted(store, first, last), dict[str, Floats]()
    for unit in units_of(store, first, last):
        asked_for = np.isin(unit, rows)
        for name, values in released.columns(select(store, unit)).items():
            column = columns.setdefault(name, np.full(len(rows), np.nan))
            column[np.searchsorted(rows, unit[asked_for])] = values[asked_for]
    return columns


@dataclass(frozen=True)
class Released:
    """The released estimator, read once for all units."""

    folder: Path
    words: Model
    networks: list[Scorer]
    beside: list[Challenger]

    @classmethod
    def read_of(cls, store: SequenceStore, folder: Path, words: Model) -> "Released":
        scoring = Scoring(store, _no_features(store), folder, words)
        networks = list(scoring.read(words.released))
        return cls(folder, words, networks, scoring.answering_together(words.released))

    def columns(self, unit: SequenceStore) -> dict[str, Floats]:
        """The columns of all examples of a store."""
        features = _no_features(unit)
        if self.beside:
            features = build_features(unit, max_steps=self.words.config.max_steps)
            check_features(features, self.folder)
        scoring = _Unit(unit, features, self.folder, self.words, self)
        everyone, history = np.arange(len(unit)), scoring.seen_by_none()
        return scoring.columns(self.words.released, everyone, history)


@dataclass(frozen=True)
class _Unit(Scoring):
    """Scoring that reads nothing twice and pads short examples little."""

    released: Released

    def read(self, estimator: Estimator) -> Iterator[Scorer]:
        return iter(self.released.networks)

    def answering_together(self, estimator: Estimator) -> list[Challenger]:
        return self.released.beside

    def challengers(self, estimator: Estimator, rows: Rows) -> dict[str, Floats]:
        """None: whoever is scored is not compared."""
        return {}

    def asked(self, ask: Callable[[Rows], Floats], rows: Rows) -> Floats:
        """[..., R, K], asked of examples of like length at a time where units are small."""
        if self.store.task not in CUT_BY_SUBJECT:
            return ask(rows)
        lengths = self.store.lengths.clip(max=self.words.config.max_steps)
        order, found = [], []
        for places in of_like_length(lengths, rows):
            order.append(places)
            found.append(ask(rows[places]))
        answers: Floats = np.concatenate(found, axis=-2)
        return answers[..., np.argsort(np.concatenate(order)), :]


def _no_features(store: SequenceStore) -> Features:
    return Features((), np.empty((len(store), 0)))

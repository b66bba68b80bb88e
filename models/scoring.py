"""Scores of every example of a store, by a stored model and by the challengers beside it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from models.answers import BY_SEED, Answers, columns_of
from models.challengers.registry import CHALLENGERS
from models.challengers.table import Challenger, Table
from models.compression.form import Scorer, form_of, lost_by_forms, predict
from models.compression.registry import TRAINED
from models.conformal import Correction
from models.dropout_draws import draw_raw
from models.ensembles import UNREADABLE, read_challengers, said_raw, together
from models.estimator import Estimator, Model, ModelUnusable, best_device, read_network
from models.features import Features, build_features
from models.inputs import fit_inputs
from models.network import SequenceNetwork
from models.networks import use_threads
from models.parts import part_of
from models.store import TEST, VALIDATION, SequenceStore, select
from models.tasks import task_of

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

# What tells of the released networks' inner state is not asked of a cross-fitted single network.
ONLY_RELEASED = ("score_raw", "seed_spread")


def score(sequences: Path, model: Path) -> dict[str, Floats]:
    """Columns [E] in the order of the store's examples, in the unit of the label.

    score: calibrated probability, volatility, or conformally corrected median; score_raw: before
    that; seed_spread: standard deviation of the single networks' scores, or of those with the
    head's dropout left on where the study asks for them; score_seed_0 and so on: of an ensemble,
    the probability that each network gives, averaged with the challengers that answer together
    with it if the study names any; and the challengers'
    (models/challengers/registry.py) by name. Quantiles have a column per level instead:
    score_q05, ridge_q95; score is then score_q50.

    When the model's windows are of this very store, also the same columns with the suffix
    _cross_fitted or _walk_forward: by estimators that never saw the example (cross-fitted: its
    cluster), NaN where it is in no window's test part.

    Raises:
        SequencesUnusable: `sequences` is not a readable store.
        ModelUnusable: the model is incomplete or altered, or the store's channels, static
            features, task, levels or horizon are not those that the model was trained on.
    """
    scoring = Scoring.open(sequences, model)
    everyone = np.arange(len(scoring.store))
    columns = scoring.columns(scoring.words.released, everyone, scoring.seen_by_none())
    if scoring.words.windows and scoring.words.sequences_sha256 == scoring.store.fingerprint():
        columns |= scoring.out_of_sample()
    return columns


def refitted_scalers(sequences: Path, model: Path) -> dict[str, bool]:
    """Estimator -> whether its scaler is what its training rows alone give.

    All other rows are deleted from the store before it is fitted again.

    Raises:
        SequencesUnusable: `sequences` is not a readable store.
        ModelUnusable: the model is not readable, or was trained on other sequences.
    """
    store, words = SequenceStore.open(sequences), Model.read(model)
    if words.sequences_sha256 != store.fingerprint():
        raise ModelUnusable("the model was trained on other sequences")
    use_threads(words.config.threads)
    splits = {e.name: s for e, s in zip(words.windows, store.windows, strict=True)}
    splits["released"] = store.split
    scalers = {e.name: e.scaler for e in (*words.windows, words.released)}
    answer = {}
    for name, scaler in scalers.items():
        alone = select(store, part_of(name, splits[name]).train)
        everyone = np.arange(len(alone))
        again = fit_inputs(alone, everyone, words.config.max_steps, words.config.scaling)
        answer[name] = again == scaler
    return answer


@dataclass(frozen=True)
class Scoring:
    """A store and a model that fit each other."""

    store: SequenceStore
    features: Features
    folder: Path
    words: Model

    @classmethod
    def open(cls, sequences: Path, model: Path) -> "Scoring":
        store, words = open_fitting(sequences, model)
        features = build_features(store, max_steps=words.config.max_steps)
        check_features(features, model)
        return cls(store, features, model, words)

    def columns(self, estimator: Estimator, rows: Rows, history: Rows) -> dict[str, Floats]:
        """Every column of the examples `rows` [R].

        Args:
            history: rows that the estimator never saw, whose misses may correct its quantiles.
        """
        known = None
        if self.store.task == "quantiles":
            both = np.union1d(rows, history)
            raw = self.networks(estimator, both)
            past = raw[:, np.searchsorted(both, history)]
            known = Answers(self.store, history, past, by=self._corrected_by()).history()
            raw = raw[:, np.searchsorted(both, rows)]
        else:
            raw = self.networks(estimator, rows)
        answers = Answers(self.store, rows, raw, self.drawn(estimator, rows), self._corrected_by())
        config, challengers = self.words.config, self.challengers(estimator, rows)
        correction = Correction(config.conformal_days, config.conformal_rate)
        return columns_of(answers, challengers, estimator, known, correction)

    def _corrected_by(self) -> str | None:
        by = self.words.config.conformal_by
        if by is not None and by not in self.store.statics:
            raise ModelUnusable(f"quantiles are corrected by {by}, which is no static feature")
        return by

    def out_of_sample(self) -> dict[str, Floats]:
        """The columns of the windows, side by side."""
        found: dict[str, Floats] = {}
        for split, estimator in zip(self.store.windows, self.words.windows, strict=True):
            rows, validation = np.flatnonzero(split == TEST), np.flatnonzero(split == VALIDATION)
            history = np.concatenate([validation, rows])
            for name, values in self.columns(estimator, rows, history).items():
                if self.store.resampling == "cross_fitted" and name in ONLY_RELEASED:
                    continue
                if name.startswith(BY_SEED):
                    continue
                column = f"{name}_{self.store.resampling}"
                found.setdefault(column, np.full(len(self.store), np.nan))[rows] = values
        return found

    def seen_by_none(self) -> Rows:
        """The examples made after the released model's last training label was decided."""
        return np.flatnonzero(self.store.index_day >= self.words.released.trained_until)

    def networks(self, estimator: Estimator, rows: Rows) -> Floats:
        """[networks, R, K] raw answers of the networks, with the challengers beside each.

        Those are the challengers that the study has answer together with its networks.
        """
        return together(self.networks_alone(estimator, rows), self._beside(estimator, rows))

    def _beside(self, estimator: Estimator, rows: Rows) -> list[Floats]:
        """[R, K] raw of each challenger that answers together with the networks."""
        if not self.words.config.together_with:
            return []
        table = Table(self.store, self.features, rows)
        return said_raw(self.answering_together(estimator), table)

    def answering_together(self, estimator: Estimator) -> list[Challenger]:
        """The challengers that the study has answer together with its networks."""
        names, folder = self.words.config.together_with, self.folder / "challengers"
        try:
            return read_challengers(names, folder / estimator.name, self.store.task)
        except UNREADABLE as error:
            raise ModelUnusable(f"{folder} does not hold what answers together") from error

    def drawn(self, estimator: Estimator, rows: Rows) -> Floats | None:
        """[draws, R, K] raw with the head's dropout left on, of all networks; None unless asked."""
        draws, steps = self.words.config.dropout_draws, self.words.config.max_steps
        if not draws:
            return None
        found = []
        for number, network in enumerate(self.read(estimator)):
            drawing = partial(draw_raw, cast(SequenceNetwork, network), self.store)
            ask = partial(drawing, max_steps=steps, draws=draws, seed=number)
            found.append(self.asked(ask, rows))
        return together(np.concatenate(found), self._beside(estimator, rows))

    def networks_alone(self, estimator: Estimator, rows: Rows) -> Floats:
        """[networks, R, K] raw answers of the estimator's networks."""
        steps = self.words.config.max_steps
        found = []
        for network in self.read(estimator):
            ask = partial(predict, network, self.store, max_steps=steps)
            found.append(self.asked(ask, rows))
        return np.stack(found)

    def asked(self, ask: Callable[[Rows], Floats], rows: Rows) -> Floats:
        """[..., R, K] of `rows` [R], all at once."""
        return ask(rows)

    def read(self, estimator: Estimator) -> Iterator[Scorer]:
        """The estimator's networks, each read when its turn comes, in the form of model.json."""
        words = self.words
        outputs = task_of(self.store.task, self.store.levels).outputs
        form = None if words.form == TRAINED else form_of(words.form)
        for name in estimator.networks:
            if form is None:
                file = self.folder / f"{name}.safetensors"
                network = read_network(file, estimator.scaler, words.config, outputs)
                yield network.to(best_device())
            else:
                file = self.folder / f"{name}{form.suffix}"
                yield form.read(file, estimator.scaler, words.config, outputs)

    def challengers(self, estimator: Estimator, rows: Rows) -> dict[str, Floats]:
        """Name -> raw answers [R, K]."""
        folder = self.folder / "challengers" / estimator.name
        table = Table(self.store, self.features, rows)
        try:
            return {
                name: kind.read(folder).predict(table)
                for name, kind in CHALLENGERS[self.store.task].items()
                if name in estimator.challengers
            }
        except UNREADABLE as error:
            raise ModelUnusable(f"{folder} does not hold the challengers of model.json") from error


def open_fitting(sequences: Path, model: Path) -> tuple[SequenceStore, Model]:
    """The store and the words of a model that fits it.

    Raises:
        SequencesUnusable: `sequences` is not a readable store.
        ModelUnusable: the model is unreadable, or asks what it cannot do, or is of other channels.
    """
    store, words = SequenceStore.open(sequences), Model.read(model)
    words.check_fits(store)
    lost = lost_by_forms(words.config)
    if words.form != TRAINED and lost is not None:
        raise ModelUnusable(lost)
    use_threads(words.config.threads)
    return store, words


def check_features(features: Features, model: Path) -> None:
    """Raises ModelUnusable where the challengers of a model were fitted on other features."""
    path = model / "challengers" / "features.json"
    try:
        fitted_on = tuple(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise ModelUnusable(f"{path} is not readable") from error
    if fitted_on != features.names:
        raise ModelUnusable("the challengers were fitted on other features")

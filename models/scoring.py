"""Scores of every example of a store, by a stored model and by the challengers beside it."""

import json
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from models.calibration import sigmoid
from models.challengers import CHALLENGERS
from models.estimator import Estimator, Model, ModelUnusable, best_device, read_network
from models.features import Features, build_features
from models.loop import predict_logits
from models.store import SequenceStore
from models.training import use_threads

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


def score(sequences: Path, model: Path) -> dict[str, Floats]:
    """Columns [E] in the order of the store's examples.

    score: calibrated probability; score_raw: before calibration (networks' mean logit);
    seed_spread: standard deviation of the single networks' calibrated probabilities;
    logistic_regression, hist_gradient_boosting, prevalence: the challengers', calibrated alike.
    When the model was cross-fitted on this very store, also score_cross_fitted and
    <challenger>_cross_fitted: by estimators that never saw the example's cluster; NaN for
    examples outside every split.

    Raises:
        SequencesUnusable: `sequences` is not a readable store.
        ModelUnusable: the model is incomplete or altered, or the store's channels, static
            features or horizon are not those that the model was trained on.
    """
    store, words = SequenceStore.open(sequences), Model.read(model)
    words.check_fits(store)
    use_threads(words.config.threads)
    features = build_features(store, max_steps=words.config.max_steps)
    _check_features(features, model)
    everyone = np.arange(len(store))
    columns = _score_released(store, model, words, everyone)
    columns |= _challengers(features, model, words.released, everyone)
    if words.folds and words.sequences_sha256 == store.fingerprint():
        columns |= _score_cross_fitted(store, features, model, words)
    return columns


def _score_released(
    store: SequenceStore, model: Path, words: Model, rows: Rows
) -> dict[str, Floats]:
    logits = _network_logits(store, model, words, words.released, rows)  # [seeds, R]
    mean, calibration = logits.mean(axis=0), words.released.calibration
    return {
        "score": calibration(mean),
        "score_raw": sigmoid(mean),
        "seed_spread": calibration(logits).std(axis=0),
    }


def _score_cross_fitted(
    store: SequenceStore, features: Features, model: Path, words: Model
) -> dict[str, Floats]:
    fold_of_example = _read_folds(model, len(store))
    names = ["score", *CHALLENGERS]
    columns = {f"{name}_cross_fitted": np.full(len(store), np.nan) for name in names}
    for fold, estimator in enumerate(words.folds):
        rows = np.flatnonzero(fold_of_example == fold)
        logits = _network_logits(store, model, words, estimator, rows).mean(axis=0)
        scores = {"score": estimator.calibration(logits)}
        scores |= _challengers(features, model, estimator, rows)
        for name, values in scores.items():
            columns[f"{name}_cross_fitted"][rows] = values
    return columns


def _network_logits(
    store: SequenceStore, model: Path, words: Model, estimator: Estimator, rows: Rows
) -> Floats:
    """[networks, R] logits of the estimator's networks."""
    device, found = best_device(), []
    for name in estimator.networks:
        path = model / f"{name}.safetensors"
        network = read_network(path, estimator.scaler, words.config).to(device)
        found.append(predict_logits(network, store, rows, words.config.max_steps, device))
    return np.stack(found)


def _challengers(
    features: Features, model: Path, estimator: Estimator, rows: Rows
) -> dict[str, Floats]:
    folder = model / "challengers" / estimator.name
    try:
        return {
            name: estimator.challengers[name](kind.read(folder).logits(features.columns[rows]))
            for name, kind in CHALLENGERS.items()
        }
    except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise ModelUnusable(f"{folder} does not hold the challengers of model.json") from error


def _read_folds(model: Path, examples: int) -> npt.NDArray[np.int8]:
    try:
        folds: npt.NDArray[np.int8] = np.load(model / "folds.npy", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ModelUnusable(f"{model / 'folds.npy'} is not readable") from error
    if folds.shape != (examples,):
        raise ModelUnusable(f"{model / 'folds.npy'} is not of the model's examples")
    return folds


def _check_features(features: Features, model: Path) -> None:
    path = model / "challengers" / "features.json"
    try:
        fitted_on = tuple(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise ModelUnusable(f"{path} is not readable") from error
    if fitted_on != features.names:
        raise ModelUnusable("the challengers were fitted on other features")

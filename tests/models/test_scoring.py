import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from models.batches import assemble
from models.calibration import logit, sigmoid
from models.config import ModelConfig
from models.estimator import Model, ModelUnusable, read_network
from models.scoring import score
from models.store import Channel, SequenceStore, select
from models.training import train
from tests.models.generated_stores import make_learnable_store, with_folds, write_store

CONFIG = ModelConfig(
    hidden_size=8,
    learning_rate=0.02,
    tokens_per_batch=256,
    max_epochs=8,
    seeds=(0, 1),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scoring")
    write_store(with_folds(make_learnable_store(900), 2), folder / "sequences")
    train(folder / "sequences", CONFIG, folder / "model", folder / "checkpoints")
    return folder


def test_every_example_has_every_score(trained: Path) -> None:
    columns = score(trained / "sequences", trained / "model")
    names = ("score", "logistic_regression", "hist_gradient_boosting", "prevalence")
    of_released = {"score_raw", "seed_spread", "score_seed_0", "score_seed_1"}
    expected = {*names, *of_released, *(f"{name}_cross_fitted" for name in names)}
    assert set(columns) == expected
    for values in columns.values():
        assert values.dtype == np.float64
        assert values.shape == (900,)
        assert ((values >= 0) & (values <= 1)).all()


@pytest.mark.parametrize("name", ["score", "logistic_regression", "score_cross_fitted"])
def test_scores_rank_subjects_that_were_never_seen(trained: Path, name: str) -> None:
    store = SequenceStore.open(trained / "sequences")
    rows = store.weight > 0 if name.endswith("cross_fitted") else (store.split == 2)
    rows &= store.weight > 0
    values = score(trained / "sequences", trained / "model")[name][rows]
    assert roc_auc_score(store.label[rows], values, sample_weight=store.weight[rows]) > 0.65


def test_the_score_is_the_calibrated_mean_logit_of_the_networks(trained: Path) -> None:
    store, model = SequenceStore.open(trained / "sequences"), Model.read(trained / "model")
    batch = assemble(store, np.arange(20), max_steps=CONFIG.max_steps)
    logits = []
    for name in ("seed_0", "seed_1"):
        path = trained / "model" / f"{name}.safetensors"
        with torch.no_grad():
            logits.append(
                read_network(path, model.released.scaler, CONFIG, 1)(batch)[:, 0].double().numpy()
            )
    columns = score(trained / "sequences", trained / "model")
    mean, calibration = np.mean(logits, axis=0), model.released.calibration
    np.testing.assert_allclose(columns["score_raw"][:20], sigmoid(mean), atol=1e-6)
    np.testing.assert_allclose(
        columns["score"][:20],
        sigmoid(calibration.intercept + calibration.slope * logit(columns["score_raw"][:20])),
        atol=1e-6,
    )
    spread = np.std([calibration(values) for values in logits], axis=0)
    np.testing.assert_allclose(columns["seed_spread"][:20], spread, atol=1e-6)
    for number, values in enumerate(logits):
        alone = columns[f"score_seed_{number}"][:20]
        np.testing.assert_allclose(alone, calibration(values), atol=1e-6)


def test_cross_fitted_scores_come_from_the_window_that_never_saw_the_subject(trained: Path) -> None:
    store, model = SequenceStore.open(trained / "sequences"), Model.read(trained / "model")
    found = score(trained / "sequences", trained / "model")["score_cross_fitted"]
    for window, estimator in enumerate(model.windows):
        rows = np.flatnonzero(store.windows[window] == 2)[:30]
        path = trained / "model" / f"window_{window}_seed_0.safetensors"
        with torch.no_grad():
            batch = assemble(store, rows, max_steps=CONFIG.max_steps)
            logits = read_network(path, estimator.scaler, CONFIG, 1)(batch)[:, 0].double().numpy()
        np.testing.assert_allclose(found[rows], estimator.calibration(logits), atol=1e-6)


def test_a_new_store_is_scored_without_cross_fitted_columns(trained: Path, tmp_path: Path) -> None:
    store = SequenceStore.open(trained / "sequences")
    unasked = replace(
        store,
        label=np.full(900, np.nan, dtype=np.float32),
        weight=np.ones(900, dtype=np.float32),
        split=np.full(900, -1, dtype=np.int8),
    )
    columns = score(write_store(unasked, tmp_path / "new"), trained / "model")
    assert not [name for name in columns if "cross_fitted" in name]
    known = score(trained / "sequences", trained / "model")
    np.testing.assert_array_equal(columns["score"], known["score"])
    np.testing.assert_array_equal(columns["logistic_regression"], known["logistic_regression"])


def test_the_order_of_subjects_changes_no_score(trained: Path, tmp_path: Path) -> None:
    store = SequenceStore.open(trained / "sequences")
    order = np.random.default_rng(0).permutation(900)
    moved = score(write_store(select(store, order), tmp_path / "moved"), trained / "model")
    known = score(trained / "sequences", trained / "model")
    for name in ("score", "seed_spread", "logistic_regression", "hist_gradient_boosting"):
        np.testing.assert_allclose(moved[name], known[name][order], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channels": (Channel("sbp", "numeric"), Channel("hdl", "numeric"))}, "channels"),
        ({"statics": ("sex_male", "age_years")}, "static features"),
        ({"horizon": "365 days"}, "horizon"),
        ({"task": "direction"}, "task"),
    ],
)
def test_sequences_of_another_vocabulary_are_refused(
    change: dict[str, object], words: str, trained: Path, tmp_path: Path
) -> None:
    store = SequenceStore.open(trained / "sequences")
    if "channels" in change:
        change = {"channels": (*change["channels"], store.channels[2])}  # type: ignore[misc]
    foreign = write_store(replace(store, **change), tmp_path / "foreign")  # type: ignore[arg-type]
    with pytest.raises(ModelUnusable, match=words):
        score(foreign, trained / "model")


def test_a_model_with_another_scaler_is_refused(trained: Path, tmp_path: Path) -> None:
    altered = tmp_path / "altered"
    shutil.copytree(trained / "model", altered)
    words = json.loads((altered / "model.json").read_text())
    words["released"]["scaler"]["channel_mean"][0] += 1.0
    (altered / "model.json").write_text(json.dumps(words))
    with pytest.raises(ModelUnusable, match="scaler of released"):
        score(trained / "sequences", altered)


@pytest.mark.parametrize(
    "name",
    [
        "model.json",
        "seed_1.safetensors",
        "window_0_seed_0.safetensors",
        "challengers/features.json",
        "challengers/released/logistic_regression.json",
        "challengers/window_1/hist_gradient_boosting.skops",
    ],
)
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_an_incomplete_model_is_refused(
    name: str, damage: str, trained: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(trained / "model", broken)
    content = (broken / name).read_bytes()
    (broken / name).unlink()
    if damage == "cut":
        (broken / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelUnusable):
        score(trained / "sequences", broken)

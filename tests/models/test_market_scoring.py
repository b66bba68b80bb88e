"""Scores of walked-forward markets, task by task, as the audit and the tables read them."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from models.challengers.registry import CHALLENGERS
from models.config import ModelConfig
from models.estimator import Model, ModelUnusable
from models.inputs import fit_inputs
from models.scoring import refitted_scalers, score
from models.store import SequenceStore, select
from models.training import train
from tests.models.generated_markets import make_market
from tests.models.generated_stores import LEVELS, write_store

CONFIG = ModelConfig(
    hidden_size=4,
    learning_rate=0.01,
    tokens_per_batch=1024,
    max_epochs=2,
    seeds=(0, 1),
    window_seeds=2,
)
TASKS = ("direction", "volatility", "quantiles")
QUANTILES = ("q05", "q25", "q50", "q75", "q95")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sequences and the model of every task."""
    folder = tmp_path_factory.mktemp("markets")
    for task in TASKS:
        write_store(make_market(task, sessions=200), folder / task / "sequences")
        train(
            folder / task / "sequences",
            CONFIG,
            folder / task / "model",
            folder / task / "checkpoints",
        )
    return folder


def columns_of(folder: Path) -> dict[str, np.ndarray]:
    return score(folder / "sequences", folder / "model")


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_its_columns_for_all_and_walked_forward(task: str, trained: Path) -> None:
    columns = columns_of(trained / task)
    names = {"score", "score_raw", "seed_spread"}
    if task == "quantiles":
        names |= {f"{n}_{q}" for n in ("score", *CHALLENGERS[task]) for q in QUANTILES}
    else:
        names |= set(CHALLENGERS[task])
    assert set(columns) == names | {f"{name}_walk_forward" for name in names}
    tested = (SequenceStore.open(trained / task / "sequences").windows == 2).any(axis=0)
    assert 0 < tested.sum() < len(tested)
    for name, values in columns.items():
        assert values.dtype == np.float64
        expected = tested if name.endswith("_walk_forward") else np.ones_like(tested)
        np.testing.assert_array_equal(np.isfinite(values), expected, err_msg=name)


def test_volatilities_are_positive_and_their_own_raw_scores(trained: Path) -> None:
    columns = columns_of(trained / "volatility")
    for name in ("score", *CHALLENGERS["volatility"]):
        assert (columns[name] > 0).all()
    np.testing.assert_array_equal(columns["score"], columns["score_raw"])
    assert (columns["seed_spread"] > 0).all()


def test_quantiles_do_not_cross_and_the_score_is_the_median(trained: Path) -> None:
    columns = columns_of(trained / "quantiles")
    for suffix in ("", "_walk_forward"):
        found = np.stack([columns[f"score_{q}{suffix}"] for q in QUANTILES], axis=1)
        assert (np.diff(found[~np.isnan(found[:, 0])], axis=1) >= 0).all()
        np.testing.assert_array_equal(columns[f"score{suffix}"], columns[f"score_q50{suffix}"])
    assert (columns["random_walk_q50"] == 0.0).all()
    assert not np.array_equal(columns["score"], columns["score_raw"])  # some were corrected


@pytest.mark.parametrize("task", TASKS)
def test_labels_not_known_at_the_index_time_change_no_score(
    task: str, trained: Path, tmp_path: Path
) -> None:
    """All that came true after a day is deleted; what was said until that day stays."""
    store = SequenceStore.open(trained / task / "sequences")
    now = float(np.quantile(store.index_day, 0.9))
    late = ~(store.label_end_day <= now)
    known = replace(
        store,
        label=np.where(late, np.nan, store.label).astype(np.float32),
        weight=np.where(late, 0.0, store.weight).astype(np.float32),
        label_end_day=np.where(late, np.nan, store.label_end_day),
        followed_days=np.where(late, np.nan, store.followed_days).astype(np.float32),
    )
    rows = np.flatnonzero(store.index_day <= now)
    truncated = write_store(select(known, rows), tmp_path / "truncated")
    found, whole = score(truncated, trained / task / "model"), columns_of(trained / task)
    assert not [name for name in found if name.endswith("_walk_forward")]
    for name, values in found.items():
        np.testing.assert_allclose(values, whole[name][rows], atol=1e-6, err_msg=name)


@pytest.mark.parametrize("history", [True, False])
def test_quantiles_that_cannot_be_corrected_are_not_given_out_for_publication(
    trained: Path, tmp_path: Path, history: bool
) -> None:
    store = SequenceStore.open(trained / "quantiles" / "sequences")
    newest = store.index_day == store.index_day.max()
    rows = np.arange(len(store)) if history else np.flatnonzero(newest)
    kept = select(store, rows)
    scored = replace(kept, windows=kept.windows[:0], resampling="none")
    folder = write_store(scored, tmp_path / "scored")

    if history:
        assert np.isfinite(score(folder, trained / "quantiles" / "model")["score"]).all()
    else:
        with pytest.raises(ModelUnusable, match="too few labels"):
            score(folder, trained / "quantiles" / "model")


@pytest.mark.parametrize("task", TASKS)
def test_a_scaler_fitted_again_on_its_training_rows_is_the_stored_one(
    task: str, trained: Path
) -> None:
    found = refitted_scalers(trained / task / "sequences", trained / task / "model")
    assert found == {"window_0": True, "released": True}  # the last window is the released one


@pytest.mark.parametrize("planted", ["released", "window_0"])
def test_a_scaler_fitted_on_everything_is_caught(
    planted: str, trained: Path, tmp_path: Path
) -> None:
    folder = trained / "volatility"
    shutil.copytree(folder / "model", tmp_path / "model")
    store = SequenceStore.open(folder / "sequences")
    everything = fit_inputs(store, np.arange(len(store)), CONFIG.max_steps)
    words = json.loads((tmp_path / "model" / "model.json").read_text())
    for estimator in (words["released"], *words["windows"]):
        if estimator["name"] == planted:
            estimator["scaler"] = asdict(everything)
            estimator["scaler_sha256"] = everything.fingerprint()
    (tmp_path / "model" / "model.json").write_text(json.dumps(words))
    found = refitted_scalers(folder / "sequences", tmp_path / "model")
    assert found == {"window_0": planted != "window_0", "released": planted != "released"}


def test_scalers_of_other_sequences_cannot_be_judged(trained: Path) -> None:
    with pytest.raises(ModelUnusable, match="other sequences"):
        refitted_scalers(trained / "quantiles" / "sequences", trained / "volatility" / "model")


def test_the_model_says_until_when_it_was_trained(trained: Path) -> None:
    store = SequenceStore.open(trained / "volatility" / "sequences")
    released = Model.read(trained / "volatility" / "model").released
    assert released.trained_until == store.label_end_day[store.split == 0].max()
    assert released.trained_until <= store.index_day[store.split == 1].min()
    assert Model.read(trained / "quantiles" / "model").levels == LEVELS

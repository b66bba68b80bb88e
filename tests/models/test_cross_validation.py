"""The engine behind comparisons and tuning, beside the training whose windows it repeats."""

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.config import ModelConfig
from models.cross_validation import Question, cross_validate
from models.scoring import score
from models.store import SequenceStore, SequencesUnusable
from models.training import train
from tests.models.generated_stores import make_learnable_store, make_store, with_folds, write_store

CONFIG = ModelConfig(
    hidden_size=4,
    tokens_per_batch=128,
    max_epochs=3,
    min_epochs=1,
    patience_epochs=3,
    seeds=(0, 1),
    window_seeds=2,
)
HELD_OUT = np.arange(40)


def folds_without_holdout(store: SequenceStore) -> np.ndarray:
    """Two folds in which the first forty examples have no part."""
    windows = with_folds(store, 2).windows.copy()
    windows[:, HELD_OUT] = -1
    return windows


def asked(folder: Path, store: SequenceStore, windows: np.ndarray, **other: object) -> Question:
    write_store(store, folder / "sequences")
    np.save(folder / "windows.npy", windows)
    given = {"folds": (0, 1), "with_challengers": True} | other
    return Question(folder / "sequences", folder / "windows.npy", **given)  # type: ignore[arg-type]


def answers(
    folder: Path, question: Question, config: ModelConfig = CONFIG
) -> dict[str, np.ndarray]:
    cross_validate(question, config, folder / "answers", folder / "checkpoints")
    found: dict[str, np.ndarray] = {}
    for file in sorted((folder / "answers").glob("*.npz")):
        with np.load(file, allow_pickle=False) as arrays:
            found |= {f"{file.stem}/{name}": arrays[name] for name in arrays.files}
    return found


@pytest.fixture(scope="module")
def store() -> SequenceStore:
    return make_learnable_store(400)


@pytest.fixture(scope="module")
def answered(store: SequenceStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("answered")
    answers(folder, asked(folder, store, folds_without_holdout(store)))
    return folder


def test_the_answers_are_the_cross_fitted_ones_of_a_training_bit_by_bit(
    store: SequenceStore, answered: Path, tmp_path: Path
) -> None:
    windows = folds_without_holdout(store)
    folded = replace(store, windows=windows, resampling="cross_fitted")
    sequences = write_store(folded, tmp_path / "sequences")
    train(sequences, CONFIG, tmp_path / "model", tmp_path / "checkpoints")
    expected = score(sequences, tmp_path / "model")
    for fold in (0, 1):
        with np.load(answered / "answers" / f"fold_{fold}.npz") as found:
            rows = np.flatnonzero(windows[fold] == 2)
            assert np.array_equal(found["rows"], rows)
            for name in ("score", "logistic_regression", "hist_gradient_boosting", "prevalence"):
                assert found[name].tobytes() == expected[f"{name}_cross_fitted"][rows].tobytes()


def test_the_holdout_changes_nothing(store: SequenceStore, answered: Path, tmp_path: Path) -> None:
    label, weight = store.label.copy(), store.weight.copy()
    label[HELD_OUT], weight[HELD_OUT] = 1.0 - np.nan_to_num(label[HELD_OUT]), 7.0
    value = store.observation_value.copy()
    value[: store.observation_offsets[store.step_offsets[HELD_OUT[-1] + 1]]] = 1e6
    static = store.static_value.copy()
    static[HELD_OUT] = -1e6
    other = replace(store, label=label, weight=weight, observation_value=value, static_value=static)
    assert not np.array_equal(other.observation_value, store.observation_value)
    found = answers(tmp_path, asked(tmp_path, other, folds_without_holdout(store)))
    for name, values in found.items():
        fold, array = name.split("/")
        with np.load(answered / "answers" / f"{fold}.npz") as expected:
            assert values.tobytes() == expected[array].tobytes(), name


def test_a_fold_alone_is_answered_as_among_others(
    store: SequenceStore, answered: Path, tmp_path: Path
) -> None:
    question = asked(
        tmp_path, store, folds_without_holdout(store), folds=(1,), with_challengers=False
    )
    found = answers(tmp_path, question)
    with np.load(answered / "answers" / "fold_1.npz") as expected:
        assert found["fold_1/raw"].tobytes() == expected["raw"].tobytes()
        assert found["fold_1/score"].tobytes() == expected["score"].tobytes()
    assert "fold_1/prevalence" not in found


def test_the_networks_alone_make_the_answer_of_all(answered: Path) -> None:
    with np.load(answered / "answers" / "fold_0.npz") as found:
        logits = [np.log(found[f"seed_{s}"]) - np.log1p(-found[f"seed_{s}"]) for s in (0, 1)]
        together = np.log(found["score"]) - np.log1p(-found["score"])
        assert np.allclose(np.mean(logits, axis=0), together, rtol=0, atol=1e-12)
        assert found["raw"].shape == (2, len(found["rows"]), 1)


def test_the_cost_of_every_network_and_challenger_is_told(answered: Path) -> None:
    cost = json.loads((answered / "answers" / "cost_log.json").read_text())
    assert sorted(cost["networks"]) == [
        f"window_{fold}_seed_{seed}" for fold in (0, 1) for seed in (0, 1)
    ]
    for network in cost["networks"].values():
        assert network["epochs"] == 3
        assert 1 <= network["best_epoch"] <= 3
        assert network["seconds"] > 0
        assert network["scoring_seconds_per_row"] > 0
        assert network["peak_memory_bytes"] > 50e6  # torch alone takes more
        # 10 inputs a step, 4 units with 4 gates and two biases; the head counts besides.
        assert network["parameters"] > 4 * 4 * (10 + 4 + 2)
    assert {one["challenger"] for one in cost["challengers"].values()} == {
        *("logistic_regression", "hist_gradient_boosting", "prevalence")
    }


def test_quantiles_have_a_column_per_level_by_every_seed(tmp_path: Path) -> None:
    store = make_store(np.random.default_rng(0).integers(0, 6, 2000).tolist(), task="quantiles")
    config = CONFIG.model_copy(update={"max_epochs": 1})
    found = answers(
        tmp_path,
        asked(tmp_path, store, with_folds(store, 2).windows, with_challengers=False),
        config,
    )
    for model in ("score", "seed_0", "seed_1"):
        low, high = found[f"fold_0/{model}_q05"], found[f"fold_0/{model}_q95"]
        assert (low < high).all()


def test_a_fold_that_is_not_there_is_refused_in_words(store: SequenceStore, tmp_path: Path) -> None:
    question = asked(tmp_path, store, folds_without_holdout(store), folds=(2,))
    with pytest.raises(SequencesUnusable, match="holds 2 folds"):
        answers(tmp_path, question)


def test_windows_of_other_examples_are_refused(store: SequenceStore, tmp_path: Path) -> None:
    question = asked(tmp_path, store, folds_without_holdout(store)[:, 1:])
    with pytest.raises(SequencesUnusable, match="one part of each fold"):
        answers(tmp_path, question)


def test_a_killed_child_goes_on_and_ends_with_the_same_bits(
    store: SequenceStore, answered: Path, tmp_path: Path
) -> None:
    question = asked(tmp_path, store, folds_without_holdout(store))
    config = tmp_path / "config.json"
    config.write_text(CONFIG.model_dump_json())
    command = [
        *(sys.executable, "-m", "models.cross_validation"),
        *("--sequences", str(question.sequences), "--windows", str(question.windows)),
        *("--folds", "0", "1", "--challengers", "--config", str(config)),
        *("--output", str(tmp_path / "answers"), "--checkpoints", str(tmp_path / "checkpoints")),
        *("--processes", "1"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        told = [json.loads(child.stdout.readline()) for _ in range(4)]
        child.send_signal(signal.SIGKILL)
    assert [(one["network"], one["epoch"]) for one in told] == [
        *(("window_0_seed_0", epoch) for epoch in (1, 2, 3)),
        ("window_0_seed_1", 1),
    ]
    assert all(0 < one["validation_loss"] < 10 for one in told)
    again = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    assert '"network": "window_0_seed_0", "epoch": 1' not in again.stdout
    for fold in ("fold_0.npz", "fold_1.npz"):
        ours, theirs = tmp_path / "answers" / fold, answered / "answers" / fold
        with np.load(ours) as found, np.load(theirs) as expected:
            assert all(found[name].tobytes() == expected[name].tobytes() for name in found.files)

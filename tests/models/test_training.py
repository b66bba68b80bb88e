"""The training process as it is really run: a child, killed, started again."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.config import ModelConfig
from models.estimator import Model
from models.training import train
from tests.models.generated_stores import make_learnable_store, with_folds, write_store

CONFIG = ModelConfig(
    hidden_size=4,
    tokens_per_batch=128,
    max_epochs=6,
    patience_epochs=6,
    seeds=(0, 1),
)
EPOCHS = CONFIG.max_epochs * 4
EVERYTHING = ModelConfig.model_validate(
    CONFIG.model_dump()
    | {
        "encoder": {"kind": "gru", "decay": True, "recurrent_dropout": 0.2},
        "scaling": "quantile",
        "schedule": "constant",
        "warmup_epochs": 2,
        "l2_penalty": 1e-4,
        "clip_value": 0.5,
        "focal_gamma": 1.0,
        "positive_weight": "balanced",
        "precision": "bfloat16",
        "accumulate_batches": 2,
        "truncate_steps": 4,
        "other_labels_share": 0.2,
        "pretraining": {"epochs": 2},
        "seeds": (0,),
        "max_epochs": 3,
    }
)


def command(
    folder: Path, name: str, processes: int = 1, settings: ModelConfig = CONFIG
) -> list[str]:
    config = folder / "config.json"
    config.write_text(settings.model_dump_json())
    return [
        *(sys.executable, "-m", "models.training"),
        *("--sequences", str(folder / "sequences"), "--config", str(config)),
        *("--output", str(folder / name), "--checkpoints", str(folder / f"{name}_checkpoints")),
        *("--processes", str(processes)),
    ]


def train_killed(
    folder: Path,
    name: str,
    kills: list[tuple[int, float]],
    processes: int = 1,
    settings: ModelConfig = CONFIG,
) -> None:
    """Train, with a kill -9 so many epochs and so many seconds after each start.

    ``processes`` train until the last kill, one process goes on from there.
    """
    for epochs, seconds in kills:
        started = command(folder, name, processes, settings)
        with subprocess.Popen(started, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            for _ in range(epochs):
                child.stdout.readline()
            time.sleep(seconds)
            child.send_signal(signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL
    last = command(folder, name, settings=settings)
    subprocess.run(last, check=True, stdout=subprocess.PIPE)


def model_bytes(directory: Path) -> dict[str, bytes]:
    """Every file of a model but the logs, which tell the time."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not path.name.endswith("_log.json")
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sequences and the model that an undisturbed training made of them."""
    folder = tmp_path_factory.mktemp("training")
    write_store(with_folds(make_learnable_store(400), 2), folder / "sequences")
    train_killed(folder, "undisturbed", [])
    return folder


def test_a_training_writes_every_network_and_challenger(trained: Path) -> None:
    directory = trained / "undisturbed"
    model = Model.read(directory)
    assert model.released.networks == ("seed_0", "seed_1")
    assert [window.networks for window in model.windows] == [
        ("window_0_seed_0",),
        ("window_1_seed_0",),
    ]
    for name in ("seed_0", "seed_1", "window_0_seed_0", "window_1_seed_0"):
        assert (directory / f"{name}.safetensors").is_file()
    for name in ("released", "window_0", "window_1"):
        assert (directory / "challengers" / name / "hist_gradient_boosting.skops").is_file()


def test_the_log_tells_every_epoch_of_every_network(trained: Path) -> None:
    log = json.loads((trained / "undisturbed" / "training_log.json").read_text())
    assert sorted(log) == ["seed_0", "seed_1", "window_0_seed_0", "window_1_seed_0"]
    for entry in log.values():
        assert [epoch["epoch"] for epoch in entry["epochs"]] == list(range(1, 7))
        assert 1 <= entry["best_epoch"] <= 6


def test_no_pickle_is_written(trained: Path) -> None:
    suffixes = {p.suffix for p in (trained / "undisturbed").rglob("*") if p.is_file()}
    assert suffixes == {".json", ".safetensors", ".skops"}


def test_a_training_killed_twice_ends_with_the_same_bits(trained: Path) -> None:
    train_killed(trained, "killed", [(3, 0.0), (4, 0.01)])
    assert model_bytes(trained / "killed") == model_bytes(trained / "undisturbed")


@pytest.mark.slow
@pytest.mark.faults
def test_with_every_option_at_once_a_killed_training_ends_with_the_same_bits(
    trained: Path,
) -> None:
    train_killed(trained, "all_undisturbed", [], settings=EVERYTHING)
    train_killed(trained, "all_killed", [(4, 0.01)], settings=EVERYTHING)
    assert model_bytes(trained / "all_killed") == model_bytes(trained / "all_undisturbed")


def test_two_processes_give_the_same_bits_as_one(trained: Path) -> None:
    model, checkpoints = trained / "in_two_processes", trained / "checkpoints"
    train(trained / "sequences", CONFIG, model, checkpoints, processes=2)
    assert model_bytes(model) == model_bytes(trained / "undisturbed")


def test_two_processes_killed_leave_what_one_ends_with_the_same_bits(trained: Path) -> None:
    train_killed(trained, "two_killed", [(4, 0.0)], processes=2)
    assert model_bytes(trained / "two_killed") == model_bytes(trained / "undisturbed")


def test_the_last_window_of_the_released_models_rows_is_fitted_once(tmp_path: Path) -> None:
    store = with_folds(make_learnable_store(400), 2)
    same = replace(store, split=store.windows[1].copy())
    write_store(same, tmp_path / "sequences")
    config = CONFIG.model_copy(update={"max_epochs": 1, "window_seeds": 2})
    train(tmp_path / "sequences", config, tmp_path / "model", tmp_path / "checkpoints")
    model = Model.read(tmp_path / "model")
    assert [window.name for window in model.windows] == ["window_0", "released"]
    assert model.windows[1] == model.released
    assert sorted(json.loads((tmp_path / "model" / "training_log.json").read_text())) == [
        *("seed_0", "seed_1", "window_0_seed_0", "window_0_seed_1")
    ]


@pytest.mark.slow
@pytest.mark.faults
def test_trainings_killed_at_five_random_moments_end_with_the_same_bits(trained: Path) -> None:
    expected = model_bytes(trained / "undisturbed")
    for attempt in range(5):
        moments = np.random.default_rng(attempt)
        kills = [(int(moments.integers(1, EPOCHS // 3)), moments.random() * 0.05) for _ in range(2)]
        train_killed(trained, f"killed_{attempt}", kills)
        assert model_bytes(trained / f"killed_{attempt}") == expected


def test_a_part_without_positives_is_told_in_the_last_line(tmp_path: Path) -> None:
    store = make_learnable_store(60)
    store.label[store.split == 1] = 0.0
    write_store(store, tmp_path / "sequences")
    child = subprocess.run(command(tmp_path, "model"), capture_output=True, text=True, check=False)
    assert child.returncode == 1
    assert "the validation part of released holds 1 of the two classes" in child.stderr

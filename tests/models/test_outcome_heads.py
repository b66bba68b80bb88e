"""Trainings whose head is a hazard, or that learn other outcomes beside: to the stored network."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.config import ModelConfig
from models.estimator import new_network
from models.inputs import fit_inputs
from models.loop import NetworkJob, train_network
from models.parts import released_part
from models.scoring import score
from models.standing import Standing
from models.store import TEST, SequenceStore
from models.training import train
from tests.models.generated_stores import make_learnable_store, write_store

SMALL = ModelConfig(
    hidden_size=4,
    tokens_per_batch=256,
    learning_rate=0.02,
    min_epochs=1,
    max_epochs=4,
    seeds=(0, 1),
)
HAZARD = SMALL.model_copy(update={"head": "hazard", "hazard_bins": 6})
BESIDE = SMALL.model_copy(update={"other_labels_share": 0.4})
BOTH = HAZARD.model_copy(update={"other_labels_share": 0.4})
CONFIGS = [HAZARD, BESIDE, BOTH]


def train_small(store: SequenceStore, folder: Path, config: ModelConfig) -> Standing:
    part = released_part(store)
    scaler = fit_inputs(store, part.train, config.max_steps)
    job = NetworkJob("seed_0", 0, part, scaler, folder, "fingerprint")

    def silent(network: str, epoch: int, epochs: int, losses: str, validation_loss: float) -> None:
        return None

    return train_network(store, job, config, silent)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_training_lowers_its_loss_and_stores_one_head(
    config: ModelConfig, tmp_path: Path
) -> None:
    store = make_learnable_store(400)
    standing = train_small(store, tmp_path, config)
    assert standing.log[-1].train_loss < standing.log[0].train_loss
    assert not [name for name in standing.best if name.startswith("beside")]
    new_network(standing.network.inputs.scaler, config, 1).load_state_dict(standing.best)


@pytest.mark.parametrize("config", CONFIGS)
def test_a_resumed_training_equals_one_that_was_never_stopped(
    config: ModelConfig, tmp_path: Path
) -> None:
    store = make_learnable_store(150)
    whole = train_small(store, tmp_path, config)
    for path in tmp_path.glob("000004.*"):
        path.unlink()  # as if killed before the last epoch's checkpoint
    resumed = train_small(store, tmp_path, config)
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], tensor)


def test_how_long_the_lost_were_followed_moves_a_hazard_and_nothing_else(tmp_path: Path) -> None:
    store = make_learnable_store(200)
    lost = np.isnan(store.label)
    shorter = replace(
        store,
        followed_days=np.where(lost, store.followed_days / 10, store.followed_days).astype(
            np.float32
        ),
    )
    for config, moved in ((HAZARD, True), (SMALL, False)):
        head = config.head
        one = train_small(store, tmp_path / head / "one", config).best
        other = train_small(shorter, tmp_path / head / "other", config).best
        assert moved == any(not torch.equal(one[name], other[name]) for name in one)


def test_a_stored_hazard_scores_calibrated_probabilities(tmp_path: Path) -> None:
    store = make_learnable_store(500)
    sequences = write_store(store, tmp_path / "sequences")
    train(sequences, HAZARD, tmp_path / "model", tmp_path / "checkpoints")
    columns = score(sequences, tmp_path / "model")
    assert ((columns["score"] > 0) & (columns["score"] < 1)).all()
    test = (store.split == TEST) & (store.weight > 0)
    observed = np.average(store.label[test], weights=store.weight[test])
    expected = np.average(columns["score"][test], weights=store.weight[test])
    assert expected == pytest.approx(observed, abs=0.15)

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from models.config import ModelConfig, TrainingMitigation
from models.group_robust import GroupRobust
from models.inputs import fit_inputs
from models.loop import NetworkJob, train_network
from models.mitigation import Mitigation, MitigationUnusable
from models.parts import released_part
from models.standing import Standing
from models.store import SequenceStore
from models.training import train
from tests.models.generated_stores import (
    everyone,
    make_learnable_store,
    make_store,
    with_folds,
    write_store,
)

REWEIGHING = TrainingMitigation(reweighing=True)
ROBUST = TrainingMitigation(group_robust_step=0.1)
SMALL = ModelConfig(
    hidden_size=4, tokens_per_batch=256, min_epochs=1, max_epochs=4, patience_epochs=4, seeds=(0,)
)


# ---- reweighing ---------------------------------------------------------------------------------


def test_the_weights_by_hand() -> None:
    """Of group 0 three of four are cases, of group 1 one of four: P(a) = P(y) = 1/2."""
    store = make_store([1] * 9)
    label = np.array([1, 1, 1, 0, 1, 0, 0, 0, np.nan], np.float32)
    weight = np.array([1.0] * 8 + [0.0], np.float32)
    store = replace(store, label=label, weight=weight)
    groups = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1])
    found = Mitigation(REWEIGHING, groups).reweighed(store, everyone(store))
    rare, common = 2.0, 2.0 / 3.0
    by_hand = [common] * 3 + [rare] + [rare] + [common] * 3 + [0.0]
    assert found.weight.tolist() == pytest.approx(by_hand)
    assert store.weight.tolist() == [1.0] * 8 + [0.0]


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 60), st.integers(1, 4), st.integers(0, 1000))
def test_group_and_label_are_independent_and_the_whole_weighs_the_same(
    examples: int, count: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    store = make_store(random.integers(0, 3, examples).tolist(), seed)
    groups = random.integers(0, count, examples)
    rows = np.flatnonzero(random.random(examples) < 0.7)
    if not (store.weight[rows] > 0).any():
        return
    found = Mitigation(REWEIGHING, groups).reweighed(store, rows)
    others = np.setdiff1d(np.arange(examples), rows)
    assert np.array_equal(found.weight[others], store.weight[others])
    assert np.array_equal(found.weight == 0, store.weight == 0)
    held = np.zeros((count, 2))
    for row in rows[store.weight[rows] > 0]:
        held[groups[row], int(store.label[row])] += found.weight[row]
    before = store.weight[rows].sum(dtype=np.float64)
    if (held > 0).all():
        shares = held / held.sum()
        assert shares == pytest.approx(np.outer(shares.sum(1), shares.sum(0)), abs=1e-6)
        assert held.sum() == pytest.approx(before, rel=1e-5)


def test_where_nothing_depends_on_the_group_the_weights_stay() -> None:
    store = make_store([1] * 4)
    store = replace(store, label=np.array([1, 0, 1, 0], np.float32), weight=np.ones(4, np.float32))
    groups = np.array([0, 0, 1, 1])
    found = Mitigation(REWEIGHING, groups).reweighed(store, everyone(store))
    assert found.weight.tolist() == [1.0] * 4


# ---- group DRO ----------------------------------------------------------------------------------


def robust(q: list[float], share: list[float], step: float = 0.5) -> GroupRobust:
    groups = torch.tensor([0, 1, 1, 0])
    as_double = [torch.tensor(values, dtype=torch.float64) for values in (share, q)]
    return GroupRobust(groups, as_double[0], step, as_double[1])


def test_the_worse_group_gains_weight_by_the_exponent_of_its_mean_loss() -> None:
    loss = robust([0.5, 0.5], [0.25, 0.75])
    losses, weights = torch.tensor([1.0, 2.0, 4.0]), torch.tensor([1.0, 1.0, 1.0])
    found = loss.loss(losses, weights, torch.tensor([0, 1, 2]))
    grown = [math.exp(0.5 * 1.0), math.exp(0.5 * 3.0)]
    q = [each / sum(grown) for each in grown]
    assert loss.q.tolist() == pytest.approx(q)
    assert float(found) == pytest.approx(q[0] / 0.25 * 1.0 + q[1] / 0.75 * 6.0)


def test_an_unknown_label_moves_neither_loss_nor_weights() -> None:
    known, more = robust([0.5, 0.5], [0.5, 0.5]), robust([0.5, 0.5], [0.5, 0.5])
    alone = known.loss(torch.tensor([1.0, 2.0]), torch.ones(2), torch.tensor([0, 1]))
    losses, weights = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([1.0, 1.0, 0.0])
    found = more.loss(losses, weights, torch.tensor([0, 1, 2]))
    assert float(found) == float(alone)
    assert torch.equal(known.q, more.q)


def test_with_weights_that_stay_at_the_shares_it_is_the_plain_sum() -> None:
    share = [0.25, 0.75]
    loss = robust(share, share, step=1e-12)
    found = loss.loss(torch.tensor([1.0, 2.0]), torch.ones(2), torch.tensor([0, 1]))
    assert float(found) == pytest.approx(3.0)


def test_a_group_without_a_training_row_has_no_weight() -> None:
    groups, rows = torch.tensor([0, 1, 2]), torch.tensor([0, 2])
    found = GroupRobust.start(groups, rows, torch.tensor([1.0, 3.0]), 0.1)
    assert found.q.tolist() == [0.5, 0.0, 0.5]
    assert found.share.tolist() == [0.25, 0.0, 0.75]
    value = found.loss(torch.tensor([1.0]), torch.ones(1), torch.tensor([0]))
    assert math.isfinite(float(value))


# ---- a whole training ---------------------------------------------------------------------------


def groups_of(store: SequenceStore) -> npt.NDArray[np.int64]:
    return np.where(np.arange(len(store)) % 5 == 0, 1, 0)


class _Killed(Exception):
    """In the place of a kill: the epoch was saved, nothing after it was."""


def trained(
    store: SequenceStore, folder: Path, mitigation: Mitigation | None, until: int = 99
) -> Standing:
    part = released_part(store)
    scaler = fit_inputs(store, part.train, SMALL.max_steps)
    job = NetworkJob("seed_0", 0, part, scaler, folder, "fingerprint", mitigation)

    def report(network: str, epoch: int, epochs: int, losses: str, validation_loss: float) -> None:
        if epoch == until:
            raise _Killed

    return train_network(store, job, SMALL, report)


def bits(standing: Standing) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in standing.network.state_dict().values()]


@pytest.mark.parametrize("config", [REWEIGHING, ROBUST])
def test_a_training_taken_up_after_a_kill_ends_with_the_same_bits(
    config: TrainingMitigation, tmp_path: Path
) -> None:
    store = make_learnable_store(300)
    mitigation = Mitigation(config, groups_of(store))
    whole = trained(store, tmp_path / "whole", mitigation)
    with pytest.raises(_Killed):
        trained(store, tmp_path / "killed", mitigation, until=2)
    again = trained(store, tmp_path / "killed", mitigation)
    assert bits(again) == bits(whole)
    if whole.robust is not None and again.robust is not None:
        assert torch.equal(whole.robust.q, again.robust.q)
    assert bits(whole) != bits(trained(store, tmp_path / "plain", None))


def test_the_worse_group_gains_in_a_robust_training(tmp_path: Path) -> None:
    """Group 0 has hardly a case, the labels of group 1 are a coin's: its loss stays higher."""
    store = make_learnable_store(600)
    groups = groups_of(store)
    drawn = np.random.default_rng(0).random(len(store))
    label = (drawn < np.where(groups == 1, 0.5, 0.05)).astype(np.float32)
    store = replace(store, label=np.where(np.isnan(store.label), np.nan, label).astype(np.float32))
    standing = trained(store, tmp_path, Mitigation(ROBUST, groups))
    assert standing.robust is not None
    assert float(standing.robust.q[1]) > 0.6


def test_the_twin_beside_a_mitigated_model_is_the_plain_model_bit_for_bit(tmp_path: Path) -> None:
    store = with_folds(make_learnable_store(300), 2)
    sequences = write_store(store, tmp_path / "sequences")
    (tmp_path / "config.json").write_text(SMALL.model_dump_json())
    (tmp_path / "mitigation.json").write_text(REWEIGHING.model_dump_json())
    np.save(tmp_path / "groups.npy", groups_of(store))
    command = [
        *(sys.executable, "-m", "models.training", "--sequences", str(sequences)),
        *("--config", str(tmp_path / "config.json"), "--output", str(tmp_path / "model")),
        *("--checkpoints", str(tmp_path / "checkpoints"), "--processes", "1"),
        *("--mitigation", str(tmp_path / "mitigation.json")),
        *("--groups", str(tmp_path / "groups.npy")),
    ]
    subprocess.run(command, check=True, stdout=subprocess.PIPE)
    train(sequences, SMALL, tmp_path / "plain", tmp_path / "plain_checkpoints")
    twin = tmp_path / "model" / "unmitigated"
    for name in ("seed_0", "window_0_seed_0", "window_1_seed_0"):
        plain = (tmp_path / "plain" / f"{name}.safetensors").read_bytes()
        assert (twin / f"{name}.safetensors").read_bytes() == plain
        assert (tmp_path / "model" / f"{name}.safetensors").read_bytes() != plain
    for name in ("score", "score_cross_fitted"):
        assert np.load(twin / f"{name}.npy").shape == (len(store),)


# ---- what is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "groups", [np.zeros(3, np.int64), np.zeros(4), np.array([0, 0, -1, 0]), None]
)
def test_groups_that_are_not_one_number_per_example_are_refused(
    groups: npt.NDArray[np.float64] | None, tmp_path: Path
) -> None:
    (tmp_path / "m.json").write_text(REWEIGHING.model_dump_json())
    if groups is not None:
        np.save(tmp_path / "groups.npy", groups)
    with pytest.raises(MitigationUnusable):
        Mitigation.read(tmp_path / "m.json", tmp_path / "groups.npy", 4)


@pytest.mark.parametrize("words", [{}, {"reweighing": True, "group_robust_step": 0.1}])
def test_a_training_mitigation_does_one_thing(words: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="give either"):
        TrainingMitigation.model_validate(words)

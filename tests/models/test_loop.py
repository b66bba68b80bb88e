import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.config import ModelConfig
from models.inputs import fit_inputs
from models.loop import (
    NetworkJob,
    class_weight,
    mean_loss,
    predict_raw,
    train_network,
)
from models.parts import TrainingImpossible, known, released_part
from models.standing import EpochLog, Standing
from models.store import SequenceStore
from tests.models.generated_markets import make_market
from tests.models.generated_stores import everyone, make_learnable_store, make_store

SMALL = ModelConfig(
    hidden_size=4, tokens_per_batch=256, min_epochs=1, max_epochs=4, patience_epochs=4
)


def train_small(
    store: SequenceStore,
    folder: Path,
    config: ModelConfig = SMALL,
    seed: int = 0,
    report_of: type[BaseException] | None = None,
) -> tuple[Standing, list[str]]:
    """Where a training ends, and its reports, the first of which raises `report_of`, if given."""
    part, lines = released_part(store), []

    def report(network: str, epoch: int, epochs: int, losses: str, validation_loss: float) -> None:
        lines.append(f"{network} {epoch}/{epochs}")
        if report_of is not None:
            raise report_of

    scaler = fit_inputs(store, part.train, config.max_steps, config.scaling)
    job = NetworkJob("seed_0", seed, part, scaler, folder, "fingerprint")
    return train_network(store, job, config, report), lines


def timeless(entry: EpochLog) -> EpochLog:
    """An epoch's log without what differs from run to run."""
    return replace(entry, seconds=0.0, steps_per_second=0.0, peak_memory_bytes=0)


def test_training_lowers_the_loss_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    store = make_learnable_store(600)
    config = SMALL.model_copy(update={"learning_rate": 0.02, "max_epochs": 8})
    standing, _ = train_small(store, tmp_path, config)
    losses = [entry.validation_loss for entry in standing.log]
    assert standing.log[-1].train_loss < 0.95 * standing.log[0].train_loss
    assert standing.best_epoch == 1 + int(np.argmin(losses))
    standing.network.load_state_dict(standing.best)
    rows = released_part(store).validation
    rows = rows[store.weight[rows] > 0]
    raw = predict_raw(standing.network, store, rows, 256, torch.device("cpu"))
    assert mean_loss(store, rows, raw, 1.0) == min(losses)


@pytest.mark.parametrize(
    ("losses", "best", "finished"),
    [
        ([1.0], 1, False),
        ([1.0, 9.0, 9.0, 9.0], 1, False),
        ([1.0, 9.0, 9.0, 9.0, 8.0], 5, False),
        ([1.0, 9.0, 9.0, 9.0, 8.0, 7.0, 8.0], 6, False),
        ([1.0, 9.0, 9.0, 9.0, 8.0, 7.0, 8.0, 8.0], 6, True),
        ([1.0, 9.0, 9.0, 9.0, 9.0, 8.0, 7.0, 6.0, 5.0], 9, True),
    ],
)
def test_no_epoch_before_the_least_one_is_kept_and_patience_counts_from_it(
    losses: list[float], best: int, finished: bool, tmp_path: Path
) -> None:
    config = SMALL.model_copy(update={"min_epochs": 5, "max_epochs": 9, "patience_epochs": 2})
    standing, _ = train_small(make_learnable_store(100), tmp_path)
    standing.min_epochs = config.min_epochs
    standing.log = [
        replace(standing.log[0], epoch=number, validation_loss=loss)
        for number, loss in enumerate(losses, start=1)
    ]
    assert (standing.best_epoch, standing.finished(config)) == (best, finished)


@pytest.mark.parametrize("task", ["volatility", "quantiles"])
def test_every_task_learns(task: str, tmp_path: Path) -> None:
    store = make_market(task)
    config = SMALL.model_copy(update={"learning_rate": 0.01, "max_epochs": 8})
    standing, _ = train_small(store, tmp_path, config)
    assert standing.log[-1].train_loss < 0.97 * standing.log[0].train_loss


def test_an_untrained_volatility_is_the_scale(tmp_path: Path) -> None:
    """With a learning rate of nothing the loss is that of the naive observer."""
    store = make_market("volatility")
    config = SMALL.model_copy(update={"learning_rate": 1e-12, "dropout": 0.0, "max_epochs": 1})
    standing, _ = train_small(store, tmp_path, config)
    train = known(store, released_part(store).train)
    miss = np.log(store.label[train] / store.scale[train])
    naive = np.mean(miss**2 + 0.3 * (np.exp(2 * miss) - 2 * miss - 1))
    assert standing.log[0].train_loss == pytest.approx(naive, rel=1e-4)


@pytest.mark.parametrize("task", ["volatility", "quantiles"])
def test_a_label_of_1_is_no_positive_where_there_are_none(task: str) -> None:
    store = make_market(task)
    assert class_weight(store, everyone(store), ModelConfig(positive_weight=7.0)) == 1.0


def test_the_same_seed_gives_the_same_bits_and_another_does_not(tmp_path: Path) -> None:
    store = make_learnable_store(200)
    first, again, other = (
        train_small(store, tmp_path / str(n), seed=seed)[0] for n, seed in enumerate((0, 0, 1))
    )
    assert all(torch.equal(first.best[name], again.best[name]) for name in first.best)
    assert not all(torch.equal(first.best[name], other.best[name]) for name in first.best)


def test_a_resumed_training_equals_one_that_was_never_stopped(tmp_path: Path) -> None:
    store = make_learnable_store(200)
    whole, _ = train_small(store, tmp_path / "whole")
    for path in (tmp_path / "whole").glob("000004.*"):
        path.unlink()  # as if killed before the last epoch's checkpoint
    resumed, lines = train_small(store, tmp_path / "whole")
    assert lines == ["seed_0 4/4"]
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(resumed.network.state_dict()[name], tensor)
    assert [timeless(entry) for entry in resumed.log] == [timeless(entry) for entry in whole.log]


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    store = make_learnable_store(200)
    train_small(store, tmp_path)
    assert train_small(store, tmp_path)[1] == []


def test_training_stops_when_the_validation_loss_stops_falling(tmp_path: Path) -> None:
    config = SMALL.model_copy(
        update={"max_epochs": 50, "learning_rate": 0.05, "patience_epochs": 2}
    )
    standing, _ = train_small(make_learnable_store(150), tmp_path, config)
    assert len(standing.log) < 50
    assert len(standing.log) == standing.best_epoch + config.patience_epochs


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path) -> None:
    """The square of label / scale passes the largest float32."""
    store = make_store([2] * 600, task="volatility")
    store.label[~np.isnan(store.label)] = 1e30
    with pytest.raises(TrainingImpossible, match="not finite after epoch 1"):
        train_small(store, tmp_path)


@pytest.mark.parametrize(("norm", "rate"), [(1e-6, 1.0), (1e6, 0.0)])
def test_the_log_says_how_often_gradients_were_clipped(
    norm: float, rate: float, tmp_path: Path
) -> None:
    config = SMALL.model_copy(update={"clip_norm": norm})
    standing, _ = train_small(make_learnable_store(150), tmp_path, config)
    assert {entry.clip_rate for entry in standing.log} == {rate}
    assert all(entry.steps_per_second > 0 for entry in standing.log)


def test_balanced_classes_weigh_the_same() -> None:
    store = make_store([1] * 40)
    rows = np.flatnonzero(store.weight > 0)
    factor = class_weight(store, rows, ModelConfig(positive_weight="balanced"))
    positive = store.label[rows] == 1
    assert factor * store.weight[rows[positive]].sum() == pytest.approx(
        store.weight[rows[~positive]].sum(), rel=1e-5
    )
    assert class_weight(store, rows, ModelConfig(positive_weight=3.0)) == 3.0


def test_before_training_everybody_has_the_weighted_risk(tmp_path: Path) -> None:
    """With a learning rate of nothing the loss stays the entropy of the training share."""
    store = make_learnable_store(300)
    config = SMALL.model_copy(update={"learning_rate": 1e-12, "dropout": 0.0, "max_epochs": 1})
    standing, _ = train_small(store, tmp_path, config)
    train = released_part(store).train
    train = train[store.weight[train] > 0]
    share = np.average(store.label[train], weights=store.weight[train])
    entropy = -share * math.log(share) - (1 - share) * math.log(1 - share)
    assert standing.log[0].train_loss == pytest.approx(entropy, rel=1e-5)


def test_raw_answers_come_back_in_the_order_of_the_rows(tmp_path: Path) -> None:
    store = make_learnable_store(80)
    network = train_small(store, tmp_path)[0].network
    cpu = torch.device("cpu")
    rows = np.random.default_rng(0).permutation(everyone(store))[:50]
    together = predict_raw(network, store, rows, 256, cpu)
    alone = [predict_raw(network, store, np.array([row]), 256, cpu)[0] for row in rows]
    np.testing.assert_allclose(together, alone, atol=1e-6)

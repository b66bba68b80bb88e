"""What a study may say of its training, in the one loop: with each option it does what it says,
and goes on after a kill with the same bits."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

from models.config import ModelConfig, TrainingMitigation
from models.encoders.encoder import Encoder
from models.inputs import fit_inputs
from models.loop import NetworkJob, predict_raw, start_training, train_epoch, train_network
from models.mitigation import Mitigation
from models.optimisation import learning_rate
from models.parts import TrainingImpossible, known, released_part
from models.standing import Standing
from models.store import SequenceStore
from tests.models.generated_markets import make_market
from tests.models.generated_stores import everyone, make_learnable_store
from tests.models.test_loop import SMALL, timeless, train_small

CPU = torch.device("cpu")
OPTIONS: dict[str, dict[str, Any]] = {
    "penalties": {"l2_penalty": 1e-3, "weight_decay": 0.2},
    "clipping": {"clip_value": 0.01, "clip_norm": 0.02},
    "schedule": {"schedule": "constant", "warmup_epochs": 2},
    "focal": {"focal_gamma": 2.0, "positive_weight": "balanced"},
    "bfloat16": {"precision": "bfloat16"},
    "accumulated": {"accumulate_batches": 3},
    "truncated": {"truncate_steps": 3},
    "hazard": {"head": "hazard", "hazard_bins": 5},
    "others": {"other_labels_share": 0.3},
    "recurrent dropout": {"encoder": {"kind": "gru", "recurrent_dropout": 0.3}},
    "pre-training": {"pretraining": {"epochs": 1}},
    "quantile scaling": {"scaling": "quantile"},
}


def config_with(**options: Any) -> ModelConfig:
    return ModelConfig.model_validate(SMALL.model_dump() | options)


@contextmanager
def memory_of(cells: int, *, training: bool = True) -> Iterator[list[int]]:
    """Memory that runs out when an encoder reads more than so many padded time steps at once."""
    refused: list[int] = []

    def out_of_memory(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if isinstance(module, Encoder) and module.training == training:
            wanted = arguments[0].steps.numel()
            if wanted > cells:
                refused.append(wanted)
                raise torch.OutOfMemoryError("CUDA out of memory")

    hook = register_module_forward_pre_hook(out_of_memory)
    try:
        yield refused
    finally:
        hook.remove()


def same_bits(one: Standing, other: Standing) -> bool:
    ours, theirs = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in ours) and all(
        torch.equal(one.best[name], other.best[name]) for name in one.best
    )


@pytest.mark.parametrize("option", OPTIONS)
def test_with_each_option_a_resumed_training_has_the_bits_of_one_never_stopped(
    option: str, tmp_path: Path
) -> None:
    store, config = make_learnable_store(150), config_with(**OPTIONS[option])
    whole, _ = train_small(store, tmp_path, config)
    for path in tmp_path.glob("000004.*"):
        path.unlink()  # as if killed before the last epoch's checkpoint
    resumed, lines = train_small(store, tmp_path, config)
    assert lines == ["seed_0 4/4"]
    assert same_bits(resumed, whole)
    assert [timeless(entry) for entry in resumed.log] == [timeless(entry) for entry in whole.log]


@pytest.mark.parametrize("option", [name for name in OPTIONS if name != "truncated"])
def test_each_option_changes_what_is_learned(option: str, tmp_path: Path) -> None:
    store = make_learnable_store(150)
    plain, _ = train_small(store, tmp_path / "plain")
    other, _ = train_small(store, tmp_path / "other", config_with(**OPTIONS[option]))
    assert plain.log[-1].validation_loss != other.log[-1].validation_loss


def test_a_window_that_covers_all_changes_no_bit_and_a_shorter_one_does(tmp_path: Path) -> None:
    store = make_learnable_store(150)  # of at most 11 steps
    plain, covering, short = (
        train_small(store, tmp_path / str(window), config_with(truncate_steps=window))[0]
        for window in (None, 11, 2)
    )
    assert same_bits(plain, covering)
    assert not same_bits(plain, short)


def prepared(store: SequenceStore, config: ModelConfig) -> Standing:
    part = released_part(store)
    scaler = fit_inputs(store, part.train, config.max_steps)
    job = NetworkJob("seed_0", 0, part, scaler, Path(), "")
    return start_training(store, known(store, part.train), job, config, 2.0)


def gradients_after(config: ModelConfig, batches: int) -> list[Tensor]:
    """The gradient of the only step over the same examples, in so many batches."""
    store = make_learnable_store(200)
    standing = prepared(store, config)
    rows = known(store, released_part(store).train)
    train_epoch(store, np.array_split(rows, batches), standing, config, 2.0)
    return [
        torch.zeros_like(p) if p.grad is None else p.grad for p in standing.network.parameters()
    ]


@pytest.mark.parametrize("options", [{}, {"focal_gamma": 2.0}, {"l2_penalty": 0.1}])
def test_accumulated_batches_have_the_gradient_of_their_union(options: dict[str, Any]) -> None:
    settings = {"dropout": 0.0, "clip_norm": 1e6, **options}
    union = gradients_after(config_with(**settings), 1)
    parts = gradients_after(config_with(**settings, accumulate_batches=5), 5)
    assert any((gradient != 0).any() for gradient in union)
    for one, five in zip(union, parts, strict=True):
        torch.testing.assert_close(five, one, rtol=1e-6, atol=1e-6)


def test_the_last_of_the_accumulated_may_be_fewer() -> None:
    """Seven batches by threes are three steps: nobody is left out, nobody counts twice."""
    store, config = make_learnable_store(200), config_with(accumulate_batches=3)
    standing = prepared(store, config)
    rows = known(store, released_part(store).train)
    train_epoch(store, np.array_split(rows, 7), standing, config, 2.0)
    taken = {float(state["step"]) for state in standing.optimizer.state.values()}
    assert taken == {3.0}


def test_training_in_bfloat16_is_close_to_float32_and_keeps_its_weights(tmp_path: Path) -> None:
    """Stated tolerance: .02 of the validation loss in every epoch, .05 of a logit in the mean."""
    store = make_learnable_store(600)
    whole, half = (
        train_small(
            store,
            tmp_path / precision,
            config_with(precision=precision, learning_rate=0.02, hidden_size=16, dropout=0.0),
        )[0]
        for precision in ("float32", "bfloat16")
    )
    for exact, rounded in zip(whole.log, half.log, strict=True):
        assert rounded.validation_loss == pytest.approx(exact.validation_loss, abs=0.02)
    assert whole.log[-1].train_loss < 0.9 * whole.log[0].train_loss  # there was much to learn
    assert {weights.dtype for weights in half.best.values()} == {torch.float32}
    answers = [predict_raw(s.network, store, everyone(store), 99, CPU) for s in (whole, half)]
    miss = np.abs(answers[0] - answers[1])
    assert 0.0 < miss.mean() < 0.05


def test_batches_that_do_not_fit_are_halved_until_they_do(tmp_path: Path) -> None:
    """The same bits as of a study that asks for a quarter and four times as many a step."""
    store = make_learnable_store(150)
    with memory_of(80) as refused:
        found, lines = train_small(store, tmp_path / "found")
    assert len(refused) == 2
    assert [entry.tokens_per_batch for entry in found.log] == [64] * 4
    assert lines == [f"seed_0 {epoch}/4" for epoch in range(1, 5)]
    quarter = config_with(
        tokens_per_batch=SMALL.tokens_per_batch // 4,
        window_batches=SMALL.window_batches * 4,
        accumulate_batches=4,
    )
    asked, _ = train_small(store, tmp_path / "asked", quarter)
    assert same_bits(found, asked)


def test_a_halved_size_is_remembered_after_a_kill(tmp_path: Path) -> None:
    store = make_learnable_store(150)
    train_small(store, tmp_path, config_with(max_epochs=2))  # with memory enough
    with memory_of(130):
        halved, _ = train_small(store, tmp_path)
    assert [entry.tokens_per_batch for entry in halved.log] == [256, 256, 128, 128]
    for path in tmp_path.glob("000004.*"):
        path.unlink()
    resumed, lines = train_small(store, tmp_path)  # with memory enough again
    assert lines == ["seed_0 4/4"]
    assert resumed.log[-1].tokens_per_batch == 128
    assert same_bits(resumed, halved)


def test_a_kill_after_a_halving_and_before_the_next_epoch_remembers_it(tmp_path: Path) -> None:
    store = make_learnable_store(150)
    with memory_of(130), pytest.raises(KeyboardInterrupt):
        train_small(store, tmp_path, report_of=KeyboardInterrupt)
    for path in tmp_path.glob("000001.*"):
        path.unlink()
    resumed, _ = train_small(store, tmp_path)
    assert [entry.tokens_per_batch for entry in resumed.log] == [128] * 4


def test_an_example_too_long_for_the_memory_ends_the_training(tmp_path: Path) -> None:
    with (
        memory_of(5) as refused,
        pytest.raises(TrainingImpossible, match="one example alone does not fit"),
    ):
        train_small(make_learnable_store(150), tmp_path)
    assert max(refused[-1:]) <= 11  # the last that was tried: one sequence


def test_answers_that_do_not_fit_are_given_in_parts(tmp_path: Path) -> None:
    store = make_learnable_store(150)
    network = train_small(store, tmp_path)[0].network
    rows = np.random.default_rng(0).permutation(everyone(store))
    whole = predict_raw(network, store, rows, 99, CPU)
    with memory_of(40, training=False) as refused:
        parts = predict_raw(network, store, rows, 99, CPU)
    assert len(refused) > 3
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    with memory_of(5, training=False), pytest.raises(torch.OutOfMemoryError):
        predict_raw(network, store, rows, 99, CPU)


class Pruned(Exception):
    """What a tuner raises when it has seen enough."""


def test_what_a_report_raises_ends_the_training_whose_epoch_is_saved(tmp_path: Path) -> None:
    store = make_learnable_store(150)
    with pytest.raises(Pruned):
        train_small(store, tmp_path, report_of=Pruned)
    resumed, lines = train_small(store, tmp_path)
    assert lines == ["seed_0 2/4", "seed_0 3/4", "seed_0 4/4"]
    assert same_bits(resumed, train_small(store, tmp_path / "whole")[0])


def test_the_log_tells_the_rate_the_time_and_the_memory_of_every_epoch(tmp_path: Path) -> None:
    config = config_with(warmup_epochs=1)
    standing, _ = train_small(make_learnable_store(150), tmp_path, config)
    for entry in standing.log:
        assert entry.learning_rate == learning_rate(config, entry.epoch)
        assert entry.tokens_per_batch == config.tokens_per_batch
        assert entry.seconds > 0
        assert entry.peak_memory_bytes > 2**20


def test_a_penalty_makes_matrices_smaller(tmp_path: Path) -> None:
    store, size = make_learnable_store(150), {}
    for penalty in (0.0, 0.1):
        options = {"l2_penalty": penalty, "weight_decay": 0.0, "learning_rate": 0.01}
        standing, _ = train_small(store, tmp_path / str(penalty), config_with(**options))
        matrices = [p for p in standing.network.parameters() if p.ndim > 1]
        size[penalty] = float(sum(p.detach().square().sum() for p in matrices))
    assert size[0.1] < 0.8 * size[0.0]


def test_a_focal_loss_is_refused_where_there_are_no_classes(tmp_path: Path) -> None:
    with pytest.raises(TrainingImpossible, match="volatility has no classes"):
        train_small(make_market("volatility"), tmp_path, config_with(focal_gamma=2.0))


@pytest.mark.parametrize(
    ("mitigation", "options", "words"),
    [
        ({"reweighing": True}, {"head": "hazard"}, "reweighing"),
        ({"group_robust_step": 0.1}, {"accumulate_batches": 2}, "group_robust"),
    ],
)
def test_a_mitigation_that_the_training_cannot_do_is_refused(
    mitigation: dict[str, Any], options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    store = make_learnable_store(150)
    part = released_part(store)
    groups = np.arange(len(store)) % 2
    job = NetworkJob("seed_0", 0, part, fit_inputs(store, part.train, 99), tmp_path, "")
    job = replace(job, mitigation=Mitigation(TrainingMitigation(**mitigation), groups))
    with pytest.raises(TrainingImpossible, match=words):
        train_network(store, job, config_with(**options), lambda *_, **__: None)

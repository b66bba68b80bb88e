"""An encoder that learned to foresee: what it learns from, and that a kill changes no bit."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.config import EncoderConfig, ModelConfig, Pretraining
from models.estimator import new_network
from models.inputs import fit_inputs
from models.loop import NetworkJob, train_network
from models.network import SequenceNetwork
from models.next_steps import Foresight, NextSteps
from models.parts import TrainingImpossible, part_of, released_part
from models.pretraining import FOLDER, mean_foreseen, pretrain
from models.store import TRAIN, VALIDATION, SequenceStore
from tests.models.generated_stores import make_learnable_store, make_store, write_store
from tests.models.test_training import model_bytes
from tests.models.test_training_options import memory_of

CONFIG = ModelConfig(
    hidden_size=4,
    tokens_per_batch=128,
    min_epochs=1,
    max_epochs=2,
    seeds=(0,),
    pretraining=Pretraining(epochs=4, learning_rate=0.01),
)


def pretrained(
    store: SequenceStore, folder: Path, config: ModelConfig = CONFIG
) -> tuple[SequenceNetwork, Foresight]:
    torch.manual_seed(0)
    part = part_of("released", store.split)
    network = new_network(fit_inputs(store, part.train, config.max_steps), config, 1)
    foresight = pretrain(network, store, part, config, seed=0, checkpoints=folder, fingerprint="f")
    assert foresight is not None
    return network, foresight


def alternating(examples: int) -> SequenceStore:
    """Of two channels one is seen at each step, in turn; which comes first is chance."""
    store = make_store([6] * examples)
    first = np.repeat(np.random.default_rng(0).integers(0, 2, examples), 6)
    steps = np.arange(6 * examples)
    return replace(
        store,
        observation_offsets=np.arange(6 * examples + 1),
        observation_channel=((first + steps) % 2).astype(np.int32),
        observation_value=np.full(6 * examples, 60.0, np.float32),
    )


def test_an_encoder_learns_what_follows_on_what(tmp_path: Path) -> None:
    """Who knows only how often each channel is seen loses log 2 for each of the two."""
    store = alternating(300)
    config = CONFIG.model_copy(update={"pretraining": Pretraining(epochs=12, learning_rate=0.03)})
    network, foresight = pretrained(store, tmp_path, config)
    goal = NextSteps.of(store, "next_events")
    rows = np.flatnonzero(store.split == VALIDATION)
    found = mean_foreseen(network, foresight, goal, store, rows, config)
    assert found < 0.25 * 2.0 * np.log(2.0)


@pytest.mark.parametrize("objective", ["next_events", "next_values"])
def test_only_sequences_of_the_training_part_teach_and_no_label_does(
    objective: str, tmp_path: Path
) -> None:
    store = make_store([5] * 60)
    config = CONFIG.model_copy(
        update={"pretraining": Pretraining.model_validate({"objective": objective, "epochs": 2})}
    )
    seen = pretrained(store, tmp_path / "as it is", config)[1].state_dict()
    of_others = np.repeat(store.split != TRAIN, 5).repeat(np.diff(store.observation_offsets))
    altered = replace(
        store,
        observation_value=np.where(of_others, np.float32(7.0), store.observation_value),
        label=np.full(60, np.nan, np.float32),
        weight=np.zeros(60, np.float32),
    )
    again = pretrained(altered, tmp_path / "altered", config)[1].state_dict()
    for name, tensor in seen.items():
        assert torch.equal(again[name], tensor)


def test_a_resumed_pretraining_equals_one_that_was_never_stopped(tmp_path: Path) -> None:
    store = make_learnable_store(120)
    whole = pretrained(store, tmp_path)[1].state_dict()
    for path in (tmp_path / FOLDER).glob("000004.*"):
        path.unlink()  # as if killed before the last epoch's checkpoint
    resumed = pretrained(store, tmp_path)[1].state_dict()
    for name, tensor in whole.items():
        assert torch.equal(resumed[name], tensor)


def test_a_training_starts_from_the_pretrained_encoder(tmp_path: Path) -> None:
    """With a learning rate of nothing it ends there too."""
    store = make_learnable_store(120)
    still = CONFIG.model_copy(update={"learning_rate": 1e-12, "weight_decay": 0.0})
    part = released_part(store)
    scaler = fit_inputs(store, part.train, still.max_steps)
    job = NetworkJob("seed_0", 0, part, scaler, tmp_path, "f")

    def silent(network: str, epoch: int, epochs: int, losses: str, validation_loss: float) -> None:
        return None

    standing = train_network(store, job, still, silent)
    for name, tensor in load_file(tmp_path / FOLDER / "000004.safetensors").items():
        if name.startswith("network.encoder."):
            found = standing.best[name.removeprefix("network.")]
            torch.testing.assert_close(found, tensor, atol=1e-6, rtol=0.0)


VALUES = Pretraining(objective="next_values")


@pytest.mark.parametrize(
    ("length", "kind", "options", "words"),
    [
        (5, "numeric", {"encoder": EncoderConfig(bidirectional=True)}, "foresees nothing"),
        (1, "numeric", {}, "no sequence has a next step"),
        (5, "numeric", {"max_steps": 1}, "no sequence has a next step"),
        (5, "numeric", {"max_steps": 1, "pretraining": VALUES}, "no sequence has a next step"),
        (5, "event", {"pretraining": VALUES}, "no sequence has a next step with a number"),
    ],
)
def test_where_nothing_can_be_foreseen_nothing_is_trained(
    length: int,
    kind: Literal["numeric", "event"],
    options: dict[str, object],
    words: str,
    tmp_path: Path,
) -> None:
    store = make_store([length] * 60)
    store = replace(store, channels=tuple(replace(one, kind=kind) for one in store.channels))
    with pytest.raises(TrainingImpossible, match=words):
        pretrained(store, tmp_path, CONFIG.model_copy(update=options))


def test_accumulated_batches_of_a_pretraining_make_one_step(tmp_path: Path) -> None:
    """Of batches of so many steps one is enough, of halves it takes two: the gradient is theirs."""
    store = make_learnable_store(120)
    one_step = {"window_batches": 1000, "clip_norm": 1e9, "pretraining": Pretraining(epochs=1)}
    whole = CONFIG.model_copy(update=one_step | {"tokens_per_batch": 100_000})
    halves = CONFIG.model_copy(update=one_step | {"accumulate_batches": 1000})
    expected, found = (
        pretrained(store, tmp_path / name, config)[1].state_dict()
        for name, config in (("whole", whole), ("halves", halves))
    )
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)


def test_batches_of_a_pretraining_that_do_not_fit_are_halved(tmp_path: Path) -> None:
    store = make_learnable_store(120)
    with memory_of(70) as refused:
        found = pretrained(store, tmp_path / "halved")[1].state_dict()
    assert refused
    again = pretrained(store, tmp_path / "halved")[1].state_dict()
    smaller = CONFIG.model_copy(
        update={"tokens_per_batch": 64, "accumulate_batches": 2, "window_batches": 32}
    )
    expected = pretrained(store, tmp_path / "smaller", smaller)[1].state_dict()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor)
        assert torch.equal(again[name], tensor)


def test_an_example_of_a_pretraining_too_long_for_the_memory_ends_it(tmp_path: Path) -> None:
    with memory_of(1), pytest.raises(TrainingImpossible, match="one example alone"):
        pretrained(make_learnable_store(120), tmp_path)


@pytest.mark.slow
@pytest.mark.faults
def test_a_training_killed_while_it_pretrains_ends_with_the_same_bits(tmp_path: Path) -> None:
    write_store(make_learnable_store(400), tmp_path / "sequences")
    # Long enough to be met in the midst of it.
    config = CONFIG.model_copy(update={"pretraining": Pretraining(epochs=60)})
    (tmp_path / "config.json").write_text(config.model_dump_json())

    def command(name: str) -> list[str]:
        return [
            *(sys.executable, "-m", "models.training", "--processes", "1"),
            *("--sequences", str(tmp_path / "sequences")),
            *("--config", str(tmp_path / "config.json")),
            *("--output", str(tmp_path / name)),
            *("--checkpoints", str(tmp_path / f"{name}_checkpoints")),
        ]

    subprocess.run(command("undisturbed"), check=True, stdout=subprocess.PIPE)
    reached = tmp_path / "killed_checkpoints" / "seed_0" / FOLDER / "000002.json"
    with subprocess.Popen(command("killed"), stdout=subprocess.PIPE) as child:
        while not reached.exists():
            assert child.poll() is None
            time.sleep(0.001)
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed_checkpoints" / "seed_0" / "000000.json").exists()
    subprocess.run(command("killed"), check=True, stdout=subprocess.PIPE)
    assert model_bytes(tmp_path / "killed") == model_bytes(tmp_path / "undisturbed")

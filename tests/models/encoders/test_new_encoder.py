"""A new encoder is one file and one line: this test adds one, and asks of it what it asks of all.

The file is written into a package of its own, the line into the registry.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from models.batches import Padding
from models.config import ModelConfig
from models.encoders.registry import ENCODERS, Entry
from tests.models.encoders.drawn import altered_from, draw_encoder, draw_sequences
from tests.models.generated_stores import make_learnable_store, make_store
from tests.models.test_loop import SMALL, train_small
from tests.models.test_masking import (
    asking_for_gradients,
    assert_close,
    assert_none_on_padding,
    loss_of,
    network_for,
    one_by_one,
)

FILE = '''
"""The running mean of what the steps say."""

import torch
from torch import nn

from models.encoders.encoder import Encoded, Encoder, last_true


class MeanEncoder(Encoder):
    """relu(W x + b), averaged over the step and all before it."""

    def __init__(self, input_size, channels, config):
        super().__init__()
        self.state_size = self.pooled_size = config.hidden_size
        self.line = nn.Linear(input_size, config.hidden_size)

    def forward(self, sequences, carried=()):
        said = torch.relu(self.line(sequences.inputs))
        number = torch.arange(1, said.shape[1] + 1).view(1, -1, 1)
        states = said.cumsum(dim=1) / number
        states = torch.where(sequences.steps.unsqueeze(2), states, 0.0)
        return Encoded(states, last_true(states, sequences.lengths))
'''
LINE = Entry("house_of_another.mean", "MeanEncoder")


@pytest.fixture
def mean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelConfig]:
    """The model section of a study that names the new encoder."""
    package = tmp_path / "house_of_another"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mean.py").write_text(FILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(ENCODERS, "mean", LINE)
    yield ModelConfig.model_validate({"encoder": "mean", "hidden_size": 6, "dropout": 0.0})
    for module in [name for name in sys.modules if name.startswith("house_of_another")]:
        del sys.modules[module]


def test_it_is_exact_on_padding_with_every_company(mean: ModelConfig) -> None:
    store = make_store([0, 4, 9, 1, 6])
    network, padding = network_for(store, mean), Padding("left", 14, float("nan"))
    expected_logits, expected_loss = one_by_one(network, store, mean)
    batch, inputs = asking_for_gradients(store, padding)
    logits, loss = loss_of(network, batch, store, mean)
    torch.autograd.backward(loss)
    assert_close(logits, expected_logits)
    assert_close(loss, expected_loss)
    assert_none_on_padding(inputs, batch)


def test_it_knows_no_later_step(mean: ModelConfig) -> None:
    encoder, sequences = draw_encoder(mean), draw_sequences([6, 9], 0)
    before = encoder(sequences).states
    after = encoder(altered_from(sequences, 3)).states
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.equal(before[:, 3], after[:, 3])


def test_it_trains_by_the_one_loop(mean: ModelConfig, tmp_path: Path) -> None:
    config = SMALL.model_copy(
        update={"encoder": mean.encoder, "learning_rate": 0.02, "max_epochs": 6}
    )
    standing, _ = train_small(make_learnable_store(400), tmp_path / "run", config)
    assert type(standing.network.encoder).__name__ == "MeanEncoder"
    assert standing.log[-1].train_loss < 0.95 * standing.log[0].train_loss


def test_without_its_line_no_study_can_name_it(
    mean: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(ENCODERS, "mean")
    with pytest.raises(ValueError, match="expected one of"):
        ModelConfig.model_validate({"encoder": "mean"})

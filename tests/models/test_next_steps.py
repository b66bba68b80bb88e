"""What is foreseen of the next step, against loops over single sequences cut at each step."""

import math
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.batches import Padding, assemble
from models.config import ModelConfig, Pretraining
from models.encoders.encoder import Sequences
from models.encoders.registry import ENCODERS
from models.estimator import new_network
from models.inputs import fit_inputs
from models.network import SequenceNetwork
from models.next_steps import Foresight, NextSteps
from models.pretraining import foreseeable, foresight_of, mean_foreseen
from models.store import SequenceStore
from tests.models.encoders.cases import ENCODER_CASES, config_of
from tests.models.generated_stores import everyone, make_store
from tests.models.test_batches import read_naively
from tests.models.test_masking import lengths_of_examples, paddings

MAX_STEPS = 8
Goal = Literal["next_events", "next_values"]
goals = st.sampled_from(["next_events", "next_values"])
SMALL = ModelConfig(hidden_size=5, dropout=0.0, max_steps=MAX_STEPS)


def seer(
    store: SequenceStore, what: Goal, config: ModelConfig = SMALL
) -> tuple[SequenceNetwork, Foresight, NextSteps]:
    torch.manual_seed(0)
    network = new_network(fit_inputs(store, everyone(store), MAX_STEPS), config, 1)
    foresight, goal = foresight_of(network, store, Pretraining(objective=what))
    with torch.no_grad():
        for parameter in foresight.parameters():
            parameter.normal_(0.0, 0.3)
    return network, foresight, goal


def by_loops(
    network: SequenceNetwork, foresight: Foresight, store: SequenceStore, what: Goal
) -> tuple[Tensor, float]:
    """Sum of losses, and how many: each state is of a sequence that ends where it stands."""
    total, count = torch.zeros(()), 0.0
    for row in everyone(store):
        steps = read_naively(store, int(row), MAX_STEPS)
        batch = assemble(store, np.array([row]), max_steps=MAX_STEPS)
        sequences, _ = network.read(batch)
        for t in range(len(steps) - 1):
            raw = foresight(sequences.span(0, t + 1))[0, t]
            for channel, answer in enumerate(raw):
                after = steps[t + 1].get(channel)
                if what == "next_events":
                    chance = torch.sigmoid(answer)
                    total = total - torch.log(chance if after is not None else 1.0 - chance)
                elif after is not None and store.channels[channel].kind == "numeric":
                    total = total + (answer - sequences.inputs[0, t + 1, channel]) ** 2
                    count += 1
            count += what == "next_events"
    return total, count


def gradients(foresight: Foresight) -> list[Tensor]:
    return [
        torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in foresight.parameters()
    ]


@settings(deadline=None, max_examples=40)
@given(lengths_of_examples, st.integers(0, 99), paddings, goals)
def test_what_is_foreseen_equals_a_loop_over_steps_that_know_nothing_later(
    lengths: list[int], seed: int, padding: Padding, what: Goal
) -> None:
    store = make_store(lengths, seed)
    network, foresight, goal = seer(store, what)
    expected, count = by_loops(network, foresight, store, what)
    if expected.requires_grad:
        torch.autograd.backward(expected)
    by_hand = gradients(foresight)

    foresight.zero_grad()
    batch = assemble(store, everyone(store), max_steps=MAX_STEPS, padding=padding)
    sequences, _ = network.read(batch)
    losses, counts = goal.losses(foresight(sequences), sequences)
    torch.autograd.backward(losses.sum())

    assert float(counts.sum()) == count
    assert count == foreseeable(store, everyone(store), goal, SMALL)
    torch.testing.assert_close(losses.sum(), expected, rtol=1e-5, atol=1e-5)
    for found, wanted in zip(gradients(foresight), by_hand, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=2e-5)


@settings(deadline=None, max_examples=40)
@given(lengths_of_examples, st.integers(0, 99), paddings, goals)
def test_padding_has_a_gradient_of_exactly_zero(
    lengths: list[int], seed: int, padding: Padding, what: Goal
) -> None:
    store = make_store(lengths, seed)
    network, foresight, goal = seer(store, what)
    batch = assemble(store, everyone(store), max_steps=MAX_STEPS, padding=padding)
    value = batch.value.clone().requires_grad_()
    sequences, _ = network.read(replace(batch, value=value))
    losses, _ = goal.losses(foresight(sequences), sequences)
    torch.autograd.backward(losses.sum())
    assert value.grad is not None
    assert (value.grad[~batch.steps] == 0.0).all()
    assert value.grad.isfinite().all()


CAUSAL = [
    case
    for case in ENCODER_CASES
    if ENCODERS[config_of(case).encoder.kind].is_causal
    and not config_of(case).encoder.bidirectional
]


@pytest.mark.parametrize("case", CAUSAL)
def test_every_causal_encoder_foresees_without_later_steps_mates_or_padding(case: str) -> None:
    store = make_store([6, 0, 3, 1, 8], seed=5)
    config = config_of(case).model_copy(update={"max_steps": MAX_STEPS})
    network, foresight, goal = seer(store, "next_events", config)
    expected, _ = by_loops(network, foresight, store, "next_events")
    padding = Padding(side="left", least_steps=12, value=float("nan"))
    batch = assemble(store, everyone(store), max_steps=MAX_STEPS, padding=padding)
    sequences, _ = network.read(batch)
    losses, _ = goal.losses(foresight(sequences), sequences)
    torch.testing.assert_close(losses.sum(), expected, rtol=1e-5, atol=1e-5)


def test_the_loss_of_a_set_by_hand() -> None:
    """Of three channels the first and the last come next: .9 and .4 said so, .2 was said too."""
    inputs = torch.zeros(1, 2, 7)
    inputs[0, 1, 3:6] = torch.tensor([1.0, 0.0, 1.0])
    steps = torch.ones(1, 2, dtype=torch.bool)
    sequences = Sequences(inputs, torch.zeros(1, 2, 4), steps, torch.tensor([[0, 1]]))
    raw = torch.logit(torch.tensor([[[0.9, 0.2, 0.4], [0.5, 0.5, 0.5]]]))
    goal = NextSteps("next_events", (True, True, False))
    losses, counts = goal.losses(raw, sequences)
    by_hand = -math.log(0.9) - math.log(0.8) - math.log(0.4)
    assert losses[0].tolist() == [pytest.approx(by_hand, rel=1e-5), 0.0]
    assert counts[0].tolist() == [1.0, 0.0]


def test_the_untrained_answer_is_how_often_a_code_is_seen_at_a_next_step() -> None:
    store = make_store([6, 0, 3, 1, 8], seed=2)
    rows = np.array([0, 1, 3, 4])
    following = [step for row in rows for step in read_naively(store, int(row), 99)[1:]]
    found = NextSteps.of(store, "next_events").start(store, rows)
    for channel, odds in enumerate(found):
        seen = sum(channel in step for step in following)
        assert odds == pytest.approx(math.log((seen + 0.5) / (len(following) - seen + 0.5)))
    assert NextSteps.of(store, "next_values").start(store, rows) == [0.0] * 3


def test_when_the_index_time_is_cannot_be_seen() -> None:
    """All steps a thousand days earlier: what is foreseen between them stays."""
    store = make_store([6, 4, 1])
    network, foresight, _ = seer(store, "next_events")
    shifted = replace(store, step_days=store.step_days - np.float32(1000.0))
    told = [
        foresight(network.read(assemble(each, everyone(each), max_steps=MAX_STEPS))[0])
        for each in (store, shifted)
    ]
    torch.testing.assert_close(*told, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("what", ["next_events", "next_values"])
def test_windows_with_carried_state_foresee_what_the_whole_does(what: Goal) -> None:
    store = make_store([8, 3, 0, 5, 1])
    network, foresight, goal = seer(store, what)
    whole, cut = (
        mean_foreseen(network, foresight, goal, store, everyone(store), config)
        for config in (SMALL, SMALL.model_copy(update={"truncate_steps": 3}))
    )
    assert cut == pytest.approx(whole, rel=1e-5)

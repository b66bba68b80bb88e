"""Padding and company change nothing: output, loss and gradient against one sequence at a time."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from models.batches import Batch, Padding, assemble
from models.config import ModelConfig
from models.inputs import fit_inputs
from models.network import SequenceNetwork
from models.next_steps import Foresight, NextSteps
from models.objectives import Outcomes, objective_of
from models.store import SequenceStore
from models.tasks import task_of
from tests.models.encoders.cases import ENCODER_CASES, HEAD_CASES, config_of, is_causal
from tests.models.generated_stores import everyone, make_store

TOLERANCE = 1e-6
HALF_TOLERANCE = 2.0**-5
MAX_STEPS = 8
EXAMPLES = 5  # of each combination; there are more than a hundred
MOST_WEIGHT = 4.0 * 7  # of a batch of seven: the loss is about a mean, as in training

lengths_of_examples = st.lists(st.integers(0, 10), min_size=1, max_size=7)
every_encoder = pytest.mark.parametrize("encoder", ENCODER_CASES)
every_head = pytest.mark.parametrize("head", HEAD_CASES)
few = settings(deadline=None, max_examples=EXAMPLES)
paddings = st.builds(
    Padding,
    side=st.sampled_from(["left", "right"]),
    least_steps=st.integers(1, 14),
    value=st.sampled_from([0.0, float("nan"), 1e6, -1e6, float("inf")]),
)


def network_for(store: SequenceStore, config: ModelConfig | None = None) -> SequenceNetwork:
    """A network with every weight away from zero, so that nothing is hidden by a zero."""
    config = config or ModelConfig(hidden_size=6, dropout=0.0)
    torch.manual_seed(0)
    network = SequenceNetwork(
        fit_inputs(store, everyone(store), MAX_STEPS),
        config,
        task_of(store.task, store.levels).outputs,
        len(store.other_labels) if config.other_labels_share else 0,
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.3)
        if store.task == "volatility":
            # Its loss is exponential in the answer: that of a wild one would magnify rounding.
            for parameter in network.head.parameters():
                parameter.mul_(0.3)
    return network


def loss_of(
    network: SequenceNetwork, batch: Batch, store: SequenceStore, config: ModelConfig
) -> tuple[Tensor, Tensor]:
    sequences, facts = network.read(batch)
    pooled = network.encoder(sequences).pooled
    objective = objective_of(store, config, positive_weight=2.0)
    losses = objective.losses(network, pooled, facts, Outcomes.of_batch(batch))
    return network.conclude(pooled, facts), losses.sum() / MOST_WEIGHT


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in network.named_parameters()
    }


def one_by_one(
    network: SequenceNetwork, store: SequenceStore, config: ModelConfig
) -> tuple[Tensor, Tensor]:
    """Logits and summed loss of a loop over single sequences, with its gradients left behind."""
    logits, total = [], torch.zeros(())
    for row in everyone(store):
        batch = assemble(store, np.array([row]), max_steps=MAX_STEPS)
        logit, loss = loss_of(network, batch, store, config)
        torch.autograd.backward(loss)
        logits.append(logit.detach())
        total = total + loss.detach()
    return torch.cat(logits), total


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


@every_encoder
@every_head
@few
@given(lengths_of_examples, st.integers(0, 99), paddings)
def test_a_padded_batch_equals_a_loop_over_sequences(
    encoder: str, head: str, lengths: list[int], seed: int, padding: Padding
) -> None:
    store, config = make_store(lengths, seed, HEAD_CASES[head][0]), config_of(encoder, head)
    network = network_for(store, config)
    expected_logits, expected_loss = one_by_one(network, store, config)
    expected = gradients(network)

    network.zero_grad()
    batch = assemble(store, everyone(store), max_steps=MAX_STEPS, padding=padding)
    logits, loss = loss_of(network, batch, store, config)
    torch.autograd.backward(loss)

    assert_close(logits, expected_logits)
    assert_close(loss, expected_loss)
    for name, gradient in gradients(network).items():
        assert_close(gradient, expected[name])


@every_encoder
@every_head
@few
@given(lengths_of_examples, st.integers(0, 99), paddings)
def test_the_gradient_of_padding_is_exactly_zero(
    encoder: str, head: str, lengths: list[int], seed: int, padding: Padding
) -> None:
    store, config = make_store(lengths, seed, HEAD_CASES[head][0]), config_of(encoder, head)
    batch, inputs = asking_for_gradients(store, padding)
    _, loss = loss_of(network_for(store, config), batch, store, config)
    torch.autograd.backward(loss)
    assert_none_on_padding(inputs, batch)


def asking_for_gradients(store: SequenceStore, padding: Padding) -> tuple[Batch, dict[str, Tensor]]:
    batch = assemble(store, everyone(store), max_steps=MAX_STEPS, padding=padding)
    inputs = {
        name: getattr(batch, name).clone().requires_grad_()
        for name in ("value", "elapsed_days", "step_days")
    }
    return replace(batch, **inputs), inputs


def assert_none_on_padding(inputs: dict[str, Tensor], batch: Batch) -> None:
    for tensor in inputs.values():
        assert tensor.grad is not None
        assert (tensor.grad[~batch.steps] == 0.0).all()
        assert tensor.grad.isfinite().all()


@pytest.mark.parametrize("encoder", [case for case in ENCODER_CASES if is_causal(case)])
@pytest.mark.parametrize("what", ["next_events", "next_values"])
@few
@given(lengths_of_examples, st.integers(0, 99), paddings)
def test_foreseeing_the_next_step_knows_nothing_of_padding_and_mates(
    encoder: str,
    what: Literal["next_events", "next_values"],
    lengths: list[int],
    seed: int,
    padding: Padding,
) -> None:
    """The answer of every step, alone and in company: the head of per-step objectives."""
    store, config = make_store(lengths, seed), config_of(encoder)
    network, goal = network_for(store, config), NextSteps.of(make_store(lengths, seed), what)
    foresight = Foresight(network.encoder, len(store.channels))
    expected = torch.zeros(())
    for row in everyone(store):
        sequences, _ = network.read(assemble(store, np.array([row]), max_steps=MAX_STEPS))
        loss = goal.losses(foresight(sequences), sequences)[0].sum() / MOST_WEIGHT
        torch.autograd.backward(loss)
        expected = expected + loss.detach()
    alone = gradients(foresight)
    foresight.zero_grad()
    batch, inputs = asking_for_gradients(store, padding)
    sequences, _ = network.read(batch)
    loss = goal.losses(foresight(sequences), sequences)[0].sum() / MOST_WEIGHT
    torch.autograd.backward(loss)
    assert_close(loss, expected)
    for name, gradient in gradients(foresight).items():
        assert_close(gradient, alone[name])
    assert_none_on_padding(inputs, batch)


def test_a_true_step_has_a_gradient() -> None:
    store = replace(make_store([5]), label=np.ones(1, np.float32), weight=np.ones(1, np.float32))
    batch = assemble(store, np.array([0]), max_steps=9, padding=Padding(least_steps=7))
    value = batch.value.clone().requires_grad_()
    config = config_of("lstm")
    _, loss = loss_of(network_for(store), replace(batch, value=value), store, config)
    torch.autograd.backward(loss)
    assert value.grad is not None
    assert (value.grad[batch.observed] != 0.0).all()


@every_encoder
@few
@given(st.lists(st.integers(0, 10), min_size=2, max_size=7), st.integers(0, 99))
def test_batch_mates_change_no_logit(encoder: str, lengths: list[int], seed: int) -> None:
    store = make_store(lengths, seed)
    network = network_for(store, config_of(encoder))
    together = network(assemble(store, everyone(store), max_steps=MAX_STEPS))
    reversed_rows = everyone(store)[::-1][:-1].copy()  # another order, and example 0 is gone
    others = network(assemble(store, reversed_rows, max_steps=MAX_STEPS))
    assert_close(others, together[torch.from_numpy(reversed_rows)])


@every_encoder
def test_what_a_channel_holds_while_unobserved_changes_nothing(encoder: str) -> None:
    store = make_store([4, 6, 2])
    network = network_for(store, config_of(encoder))
    batch = assemble(store, everyone(store), max_steps=MAX_STEPS)
    rubbish = torch.where(batch.observed, batch.value, float("nan"))
    assert torch.equal(network(replace(batch, value=rubbish)), network(batch))


def test_steps_beyond_the_limit_change_nothing() -> None:
    store = make_store([9])
    altered = replace(store, observation_value=store.observation_value.copy())
    altered.observation_value[: store.observation_offsets[9 - MAX_STEPS]] += 50.0
    network = network_for(store)
    rows = everyone(store)
    assert torch.equal(
        network(assemble(altered, rows, max_steps=MAX_STEPS)),
        network(assemble(store, rows, max_steps=MAX_STEPS)),
    )


@every_encoder
@few
@given(lengths_of_examples, st.integers(0, 99), paddings)
def test_half_precision_knows_nothing_of_padding_either(
    encoder: str, lengths: list[int], seed: int, padding: Padding
) -> None:
    """bfloat16 has 8 bits: alone and in company within 2 ** -5, each as near the whole answer."""
    store, config = make_store(lengths, seed), config_of(encoder)
    network = network_for(store, config)
    batch = assemble(store, everyone(store), max_steps=MAX_STEPS, padding=padding)
    exact, _ = loss_of(network, batch, store, config)
    with torch.autocast("cpu", torch.bfloat16):
        alone, _ = one_by_one(network, store, config)
        network.zero_grad()
        logits, loss = loss_of(network, batch, store, config)
    torch.autograd.backward(loss)
    assert (logits - alone).abs().max() <= HALF_TOLERANCE
    assert (logits - exact).abs().max() <= 2 * HALF_TOLERANCE
    assert all(g.isfinite().all() for g in gradients(network).values())

"""Padding and company change nothing: output, loss and gradient against one sequence at a time."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.batches import Batch, Padding, assemble
from models.config import ModelConfig
from models.inputs import fit_inputs
from models.losses import example_weights, weighted_loss_sum
from models.network import SequenceNetwork
from models.store import TASKS, SequenceStore
from models.tasks import task_of
from tests.models.generated_stores import everyone, make_store

TOLERANCE = 1e-6
MAX_STEPS = 8
MOST_WEIGHT = 4.0 * 7  # of a batch of seven: the loss is about a mean, as in training

lengths_of_examples = st.lists(st.integers(0, 10), min_size=1, max_size=7)
tasks = st.sampled_from(TASKS)
paddings = st.builds(
    Padding,
    side=st.sampled_from(["left", "right"]),
    least_steps=st.integers(1, 14),
    value=st.sampled_from([0.0, float("nan"), 1e6, -1e6, float("inf")]),
)


def network_for(store: SequenceStore, layers: int = 1) -> SequenceNetwork:
    """A network with every weight away from zero, so that nothing is hidden by a zero."""
    torch.manual_seed(0)
    network = SequenceNetwork(
        fit_inputs(store, everyone(store), MAX_STEPS),
        ModelConfig(hidden_size=6, layers=layers, dropout=0.0),
        outputs=task_of(store.task, store.levels).outputs,
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0.0, 0.3)
        if store.task == "volatility":
            # Its loss is exponential in the answer: that of a wild one would magnify rounding.
            for parameter in network.head.parameters():
                parameter.mul_(0.3)
    return network


def loss_of(network: SequenceNetwork, batch: Batch, store: SequenceStore) -> tuple[Tensor, Tensor]:
    raw, task = network(batch), task_of(store.task, store.levels)
    weights = example_weights(batch.label, batch.weight, positive_weight=2.0)
    loss = weighted_loss_sum(task, raw, batch.label, batch.scale, weights)
    return raw, loss / MOST_WEIGHT


def gradients(network: SequenceNetwork) -> dict[str, Tensor]:
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in network.named_parameters()
    }


def one_by_one(network: SequenceNetwork, store: SequenceStore) -> tuple[Tensor, Tensor]:
    """Logits and summed loss of a loop over single sequences, with its gradients left behind."""
    logits, total = [], torch.zeros(())
    for row in everyone(store):
        logit, loss = loss_of(network, assemble(store, np.array([row]), max_steps=MAX_STEPS), store)
        torch.autograd.backward(loss)
        logits.append(logit.detach())
        total = total + loss.detach()
    return torch.cat(logits), total


@settings(deadline=None)
@given(lengths_of_examples, st.integers(0, 99), paddings, st.integers(1, 2), tasks)
def test_a_padded_batch_equals_a_loop_over_sequences(
    lengths: list[int], seed: int, padding: Padding, layers: int, task: str
) -> None:
    store = make_store(lengths, seed, task)
    network = network_for(store, layers)
    expected_logits, expected_loss = one_by_one(network, store)
    expected = gradients(network)

    network.zero_grad()
    batch = assemble(store, everyone(store), max_steps=MAX_STEPS, padding=padding)
    logits, loss = loss_of(network, batch, store)
    torch.autograd.backward(loss)

    torch.testing.assert_close(logits, expected_logits, rtol=TOLERANCE, atol=TOLERANCE)
    torch.testing.assert_close(loss, expected_loss, rtol=TOLERANCE, atol=TOLERANCE)
    for name, gradient in gradients(network).items():
        torch.testing.assert_close(gradient, expected[name], rtol=TOLERANCE, atol=TOLERANCE)


@settings(deadline=None)
@given(lengths_of_examples, st.integers(0, 99), paddings, tasks)
def test_the_gradient_of_padding_is_exactly_zero(
    lengths: list[int], seed: int, padding: Padding, task: str
) -> None:
    store = make_store(lengths, seed, task)
    batch = assemble(store, everyone(store), max_steps=MAX_STEPS, padding=padding)
    inputs = {
        name: getattr(batch, name).clone().requires_grad_()
        for name in ("value", "elapsed_days", "step_days")
    }
    _, loss = loss_of(network_for(store), replace(batch, **inputs), store)
    torch.autograd.backward(loss)
    for tensor in inputs.values():
        assert tensor.grad is not None
        assert (tensor.grad[~batch.steps] == 0.0).all()
        assert tensor.grad.isfinite().all()


def test_a_true_step_has_a_gradient() -> None:
    store = replace(make_store([5]), label=np.ones(1, np.float32), weight=np.ones(1, np.float32))
    batch = assemble(store, np.array([0]), max_steps=9, padding=Padding(least_steps=7))
    value = batch.value.clone().requires_grad_()
    _, loss = loss_of(network_for(store), replace(batch, value=value), store)
    torch.autograd.backward(loss)
    assert value.grad is not None
    assert (value.grad[batch.observed] != 0.0).all()


@given(st.lists(st.integers(0, 10), min_size=2, max_size=7), st.integers(0, 99))
@settings(deadline=None)
def test_batch_mates_change_no_logit(lengths: list[int], seed: int) -> None:
    store = make_store(lengths, seed)
    network = network_for(store)
    together = network(assemble(store, everyone(store), max_steps=MAX_STEPS))
    reversed_rows = everyone(store)[::-1][:-1].copy()  # another order, and example 0 is gone
    others = network(assemble(store, reversed_rows, max_steps=MAX_STEPS))
    torch.testing.assert_close(
        others, together[torch.from_numpy(reversed_rows)], rtol=TOLERANCE, atol=TOLERANCE
    )


def test_what_a_channel_holds_while_unobserved_changes_nothing() -> None:
    store = make_store([4, 6, 2])
    network = network_for(store)
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


def test_the_network_runs_under_bfloat16_autocast() -> None:
    store = make_store([4, 0, 6, 2])
    network = network_for(store)
    batch = assemble(store, everyone(store), max_steps=MAX_STEPS)
    exact = network(batch)
    with torch.autocast("cpu", torch.bfloat16):
        logit, loss = loss_of(network, batch, store)
    torch.autograd.backward(loss)
    torch.testing.assert_close(logit.float(), exact, rtol=0.1, atol=0.1)
    assert all(g.isfinite().all() for g in gradients(network).values())

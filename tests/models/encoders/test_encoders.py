"""Every encoder against its equations: oracle, padding, causality, carried state, dropout."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models.batches import assemble
from models.config import ModelConfig
from models.encoders.attention import AttentionEncoder
from models.encoders.recurrent import RecurrentEncoder
from models.encoders.registry import ENCODERS
from models.inputs import fit_inputs
from models.network import SequenceNetwork
from tests.models.encoders.cases import ENCODER_CASES, config_of
from tests.models.encoders.drawn import (
    alone,
    altered_from,
    draw_encoder,
    draw_sequences,
    lengths_of_sequences,
    seeds,
)
from tests.models.encoders.oracles import Dropped, read_by_loops
from tests.models.generated_stores import everyone, make_store

TOLERANCE = 1e-6
EXAMPLES = 25

every_encoder = pytest.mark.parametrize("case", ENCODER_CASES)
few = settings(deadline=None, max_examples=EXAMPLES)


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=TOLERANCE, atol=TOLERANCE)


def carrying(case: str) -> bool:
    config = config_of(case)
    return ENCODERS[config.encoder.kind].can_carry and not config.encoder.bidirectional


that_carry = pytest.mark.parametrize("case", [case for case in ENCODER_CASES if carrying(case)])


def test_every_kind_of_encoder_has_a_case() -> None:
    assert {config_of(case).encoder.kind for case in ENCODER_CASES} == set(ENCODERS)


@every_encoder
@few
@given(lengths_of_sequences, seeds, st.integers(0, 4))
def test_an_encoder_equals_its_oracle(
    case: str, lengths: list[int], seed: int, padding: int
) -> None:
    encoder, sequences = draw_encoder(config_of(case)), draw_sequences(lengths, seed, padding)
    with torch.no_grad():
        encoded = encoder(sequences)
        for row, length in enumerate(lengths):
            states, pooled = read_by_loops(encoder, *alone(sequences, row))
            assert_close(encoded.states[row, :length], states)
            assert_close(encoded.pooled[row], pooled)
    assert (encoded.states[~sequences.steps] == 0.0).all()
    assert encoded.states.shape[2] == encoder.state_size
    assert encoded.pooled.shape[1] == encoder.pooled_size


@every_encoder
@few
@given(lengths_of_sequences, seeds)
def test_the_gradient_on_padding_is_exactly_zero(case: str, lengths: list[int], seed: int) -> None:
    encoder, sequences = draw_encoder(config_of(case)), draw_sequences(lengths, seed, padding=3)
    inputs = sequences.inputs.clone().requires_grad_()
    elapsed = sequences.elapsed.clone().requires_grad_()
    encoded = encoder(replace(sequences, inputs=inputs, elapsed=elapsed))
    torch.autograd.backward(encoded.pooled.sum() + (encoded.states**2).sum())
    for tensor in (inputs, elapsed):
        if tensor.grad is not None:
            assert (tensor.grad[~sequences.steps] == 0.0).all()
            assert tensor.grad.isfinite().all()


@every_encoder
def test_the_pooled_answer_knows_every_step(case: str) -> None:
    """Of six steps; that a step changes nothing would keep most properties, too."""
    encoder, sequences = draw_encoder(config_of(case, hidden_size=16)), draw_sequences([6], 0)
    inputs = sequences.inputs.clone().requires_grad_()
    torch.autograd.backward(encoder(replace(sequences, inputs=inputs)).pooled.sum())
    assert inputs.grad is not None
    sees = 3 if case == "tcn" else 6
    assert (inputs.grad != 0.0).any(dim=2).sum() == sees


@every_encoder
@few
@given(st.integers(2, 9), st.integers(1, 8), seeds)
def test_a_causal_state_knows_no_later_step(
    case: str, length: int, changed: int, seed: int
) -> None:
    changed = min(changed, length - 1)
    encoder, sequences = draw_encoder(config_of(case)), draw_sequences([length, 9], seed)
    with torch.no_grad():
        before = encoder(sequences).states
        after = encoder(altered_from(sequences, changed)).states
    assert torch.equal(before[:, :changed], after[:, :changed]) == encoder.is_causal
    assert not torch.equal(before[:, changed], after[:, changed])


@every_encoder
def test_the_registry_knows_what_an_encoder_can_do(case: str) -> None:
    config = config_of(case)
    encoder, entry = draw_encoder(config), ENCODERS[config.encoder.kind]
    both_ends = config.encoder.bidirectional
    assert encoder.is_causal == (entry.is_causal and not both_ends)
    assert encoder.can_carry == (entry.can_carry and not both_ends)
    assert bool(encoder(draw_sequences([3], 0)).carried) == encoder.can_carry


@that_carry
@few
@given(lengths_of_sequences, seeds, st.lists(st.integers(1, 12), max_size=3), st.booleans())
def test_windows_with_carried_state_equal_the_whole(
    case: str, lengths: list[int], seed: int, cuts: list[int], trains: bool
) -> None:
    config = config_of(case)
    dropping = {"encoder": config.encoder.model_copy(update={"recurrent_dropout": 0.4})}
    config = config.model_copy(update=dropping | {"dropout": 0.5} if trains else {})
    encoder, sequences = draw_encoder(config).train(trains), draw_sequences(lengths, seed, 2)
    with torch.no_grad():
        torch.manual_seed(seed)
        whole = encoder(sequences)
        torch.manual_seed(seed)
        width = sequences.steps.shape[1]
        edges = sorted({0, width, *(min(cut, width) for cut in cuts)})
        carried: tuple[Tensor, ...] = ()
        states = []
        for start, stop in pairwise(edges):
            part = encoder(sequences.span(start, stop), carried)
            carried = part.carried
            states.append(part.states)
    assert_close(torch.cat(states, dim=1), whole.states)
    assert_close(part.pooled, whole.pooled)
    for ours, theirs in zip(carried, whole.carried, strict=True):
        assert_close(ours, theirs)


@that_carry
def test_a_window_without_steps_carries_on_what_it_was_given(case: str) -> None:
    encoder, sequences = draw_encoder(config_of(case)), draw_sequences([2, 5], 0, padding=2)
    with torch.no_grad():
        first = encoder(sequences.span(0, 5))
        second = encoder(sequences.span(5, 7), first.carried)
    for before, after in zip(first.carried, second.carried, strict=True):
        assert torch.equal(before, after)
    assert torch.equal(first.pooled, second.pooled)


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("options", [{}, {"decay": True}, {"bidirectional": True}])
def test_dropout_is_the_same_at_all_steps_of_a_sequence(
    kind: str, options: dict[str, bool]
) -> None:
    """The masks that were drawn, given to the oracle, which holds them fixed."""
    section = {"kind": kind, "recurrent_dropout": 0.4, **options}
    config = ModelConfig.model_validate({"encoder": section, "layers": 2, "hidden_size": 6})
    encoder, sequences = draw_encoder(config), draw_sequences([6, 0, 3], 5)
    assert isinstance(encoder, RecurrentEncoder)
    torch.manual_seed(1)
    encoded = encoder.train()(sequences)
    torch.manual_seed(1)
    kept, passed = encoder.draw_masks(sequences)
    for row, length in enumerate([6, 0, 3]):
        dropped = Dropped(kept[:, row], passed[:, row])
        states, pooled = read_by_loops(encoder, *alone(sequences, row), dropped)
        assert_close(encoded.states[row, :length], states)
        assert_close(encoded.pooled[row], pooled)
    assert sorted(set(kept.flatten().tolist())) == pytest.approx([0.0, 1 / 0.6])
    assert sorted(set(passed.flatten().tolist())) == pytest.approx([0.0, 1 / 0.7])


def test_nothing_is_dropped_outside_training() -> None:
    section = {"encoder": {"recurrent_dropout": 0.9}, "layers": 2, "dropout": 0.9}
    encoder, sequences = draw_encoder(ModelConfig.model_validate(section)), draw_sequences([9], 5)
    assert torch.equal(encoder(sequences).states, encoder(sequences).states)


@pytest.mark.parametrize("case", [c for c in ENCODER_CASES if c.startswith("attention")])
@few
@given(lengths_of_sequences, seeds, st.integers(0, 4))
def test_attention_is_a_share_of_the_true_steps(
    case: str, lengths: list[int], seed: int, padding: int
) -> None:
    encoder, sequences = draw_encoder(config_of(case)), draw_sequences(lengths, seed, padding)
    assert isinstance(encoder, AttentionEncoder)
    weights = encoder.weights(sequences)
    sums = torch.tensor([float(length > 0) for length in lengths])
    assert_close(weights.sum(dim=1), sums)
    assert (weights[~sequences.steps] == 0.0).all()
    assert (weights[sequences.steps] > 0.0).all()
    encoded = encoder(sequences)
    pooled = torch.einsum("bt,bth->bh", weights, encoded.states)
    assert_close(pooled, encoded.pooled)


@every_encoder
def test_times_are_made_for_encoders_that_fade_and_for_no_other(case: str) -> None:
    """An encoder that is told no times has to do without them, so it answers."""
    store, config = make_store([4, 0, 7]), config_of(case)
    network = SequenceNetwork(fit_inputs(store, everyone(store), 9), config, 1).eval()
    sequences, facts = network.read(assemble(store, everyone(store), max_steps=9))
    width = len(store.channels) + 1 if config.encoder.decay else 0
    assert sequences.elapsed.shape[2] == width
    assert network.answer(sequences, facts).isfinite().all()

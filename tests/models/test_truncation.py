"""Truncated backpropagation: what is read stays the same, the gradient ends at the window."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from models.config import ModelConfig
from models.encoders.encoder import Encoded, Encoder, Sequences
from models.network import encoder_of
from models.truncation import read_truncated, windows

CHANNELS, INPUTS = 2, 7
LENGTHS = (9, 0, 4, 12, 1)
TOLERANCE = 1e-6
ENCODERS = [
    *({"kind": kind} for kind in ("lstm", "gru", "rnn")),
    {"kind": "gru", "decay": True},
    {"kind": "lstm", "decay": True, "recurrent_dropout": 0.3},
]


def make_encoder(options: dict[str, object], dropout: float = 0.0) -> Encoder:
    torch.manual_seed(0)
    config = ModelConfig.model_validate(
        {"encoder": options, "hidden_size": 5, "layers": 2, "dropout": dropout}
    )
    return encoder_of(INPUTS, CHANNELS, config)


def make_sequences(lengths: tuple[int, ...] = LENGTHS, width: int = 14) -> Sequences:
    """Sequences of these lengths at the front of `width` steps; the inputs ask for gradients."""
    draw = torch.Generator().manual_seed(1)
    steps = torch.arange(width) < torch.tensor(lengths).unsqueeze(1)  # [B, T]
    inputs = torch.randn(len(lengths), width, INPUTS, generator=draw)
    inputs[..., CHANNELS : 2 * CHANNELS] = (inputs[..., CHANNELS : 2 * CHANNELS] > 0).float()
    elapsed = torch.rand(len(lengths), width, CHANNELS + 1, generator=draw)
    true = steps.unsqueeze(2)
    return Sequences(
        inputs=torch.where(true, inputs, 0.0).requires_grad_(),
        elapsed=torch.where(true, elapsed, 0.0),
        steps=steps,
        position=torch.arange(width).expand(len(lengths), width),
    )


def gradients(encoder: Encoder, sequences: Sequences, pooled: Tensor) -> list[Tensor]:
    """Of every weight, and of the inputs last, for a loss that every number of `pooled` moves."""
    weight = torch.arange(1.0, pooled.numel() + 1).view_as(pooled)
    wanted = [*encoder.parameters(), sequences.inputs]
    return list(torch.autograd.grad((pooled * weight).sum() / 50, wanted, allow_unused=False))


def step_by_step(encoder: Encoder, sequences: Sequences, window: int) -> Tensor:
    """[B, P] of one sequence and one step at a time, the state detached before the window."""
    answers = []
    for row, length in enumerate(sequences.lengths.tolist()):
        alone = Sequences(
            sequences.inputs[row : row + 1],
            sequences.elapsed[row : row + 1],
            sequences.steps[row : row + 1],
            sequences.position[row : row + 1],
        )
        encoded = encoder(alone.span(0, 1))
        for step in range(1, length):
            carried = encoded.carried
            if step <= length - window:
                carried = tuple(state.detach() for state in carried)
            encoded = encoder(alone.span(step, step + 1), carried)
        answers.append(encoded.pooled)
    return torch.cat(answers)


@pytest.mark.parametrize("options", ENCODERS)
@pytest.mark.parametrize("window", [12, 13, 14, 50])
def test_a_window_that_covers_every_sequence_gives_the_full_gradient(
    options: dict[str, object], window: int
) -> None:
    encoder, sequences = make_encoder(options).eval(), make_sequences()
    whole = encoder(sequences).pooled
    cut = read_truncated(encoder, sequences, window).pooled
    torch.testing.assert_close(cut, whole, rtol=TOLERANCE, atol=TOLERANCE)
    expected = gradients(encoder, sequences, whole)
    for found, full in zip(gradients(encoder, sequences, cut), expected, strict=True):
        torch.testing.assert_close(found, full, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("options", ENCODERS)
@pytest.mark.parametrize("window", [1, 3, 5, 11])
def test_a_shorter_window_equals_a_loop_that_detaches_before_it(
    options: dict[str, object], window: int
) -> None:
    encoder, sequences = make_encoder(options).eval(), make_sequences()
    cut = read_truncated(encoder, sequences, window).pooled
    loop = step_by_step(encoder, sequences, window)
    torch.testing.assert_close(cut, loop, rtol=TOLERANCE, atol=TOLERANCE)
    expected = gradients(encoder, sequences, loop)
    for found, naive in zip(gradients(encoder, sequences, cut), expected, strict=True):
        torch.testing.assert_close(found, naive, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("options", ENCODERS)
@pytest.mark.parametrize("window", [1, 3, 5, 11])
def test_the_gradient_reaches_the_window_and_not_one_step_before(
    options: dict[str, object], window: int
) -> None:
    encoder, sequences = make_encoder(options).eval(), make_sequences()
    cut = read_truncated(encoder, sequences, window)
    torch.testing.assert_close(
        cut.pooled, encoder(sequences).pooled, rtol=TOLERANCE, atol=TOLERANCE
    )
    of_inputs = gradients(encoder, sequences, cut.pooled)[-1].abs().sum(dim=2)  # [B, T]
    number = torch.arange(sequences.inputs.shape[1])
    inside = sequences.steps & (number >= (sequences.lengths - window).unsqueeze(1))
    assert (of_inputs[~inside] == 0.0).all()
    assert (of_inputs[inside] > 0.0).all()


def test_dropout_is_the_same_before_and_in_the_window() -> None:
    """The masks drawn for the steps before the window are those in it: they are carried."""
    encoder = make_encoder({"kind": "gru", "recurrent_dropout": 0.5}, dropout=0.5).train()
    sequences = make_sequences()
    torch.manual_seed(7)
    whole = encoder(sequences).pooled
    torch.manual_seed(7)
    torch.testing.assert_close(
        read_truncated(encoder, sequences, 3).pooled, whole, rtol=TOLERANCE, atol=TOLERANCE
    )


@pytest.mark.parametrize("options", ENCODERS)
@pytest.mark.parametrize("window", [1, 4, 14, 99])
def test_windows_side_by_side_are_the_whole_and_each_keeps_its_gradient(
    options: dict[str, object], window: int
) -> None:
    encoder, sequences = make_encoder(options).eval(), make_sequences()
    states, pooled = [], torch.zeros(())
    for start, span, encoded in windows(encoder, sequences, window):
        (moved,) = torch.autograd.grad(
            encoded.states.sum(), sequences.inputs, retain_graph=False, allow_unused=True
        )
        assert moved is not None
        outside = torch.ones(sequences.steps.shape[1], dtype=torch.bool)
        outside[start : start + window] = False
        assert (moved[:, outside] == 0.0).all()
        assert (moved[:, start : start + window].abs().sum(dim=2)[span.steps] > 0.0).all()
        states.append(encoded.states.detach())
        pooled = encoded.pooled.detach()
    whole = encoder(sequences)
    torch.testing.assert_close(
        torch.cat(states, dim=1), whole.states.detach(), rtol=TOLERANCE, atol=TOLERANCE
    )
    torch.testing.assert_close(pooled, whole.pooled.detach(), rtol=TOLERANCE, atol=TOLERANCE)


def without_gradient(sequences: Sequences) -> Sequences:
    return replace(sequences, inputs=sequences.inputs.detach())


def bytes_kept(read: Callable[[], Encoded]) -> int:
    """What a reading keeps for its backward; the inputs themselves are there anyway."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        read()
    return sum(kept.values())


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_what_is_kept_for_the_gradient_follows_the_window_and_not_the_sequence(kind: str) -> None:
    encoder = make_encoder({"kind": kind})

    def kept(length: int) -> int:
        sequences = without_gradient(make_sequences((length, length - 3), length))
        return bytes_kept(lambda: read_truncated(encoder, sequences, 20))

    assert kept(400) <= 1.01 * kept(40)
    whole = without_gradient(make_sequences((400, 397), 400))
    assert bytes_kept(lambda: encoder(whole)) > 8 * kept(400)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_a_window_of_100_of_2_000_steps_keeps_a_sixteenth_of_the_memory(kind: str) -> None:
    encoder = make_encoder({"kind": kind})
    sequences = without_gradient(make_sequences((2_000,) * 4, 2_000))
    whole = bytes_kept(lambda: encoder(sequences))
    assert bytes_kept(lambda: read_truncated(encoder, sequences, 100)) < whole / 16

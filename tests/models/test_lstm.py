import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.batches import assemble
from models.network import SequenceNetwork
from models.store import SequenceStore
from tests.models.encoders.cases import ENCODER_CASES, config_of
from tests.models.encoders.oracles import read_by_loops, reference_lstm
from tests.models.generated_stores import everyone, make_store
from tests.models.test_batches import read_naively
from tests.models.test_masking import network_for

TOLERANCE = 1e-6


@settings(deadline=None)
@given(
    st.integers(0, 12), st.integers(1, 7), st.integers(1, 9), st.integers(1, 3), st.integers(0, 99)
)
def test_the_reference_cell_equals_torch(
    steps: int, inputs: int, hidden: int, layers: int, seed: int
) -> None:
    torch.manual_seed(seed)
    lstm = nn.LSTM(inputs, hidden, layers, batch_first=True)
    x = torch.randn(max(steps, 1), inputs)
    expected, _ = lstm(x.unsqueeze(0))
    found = reference_lstm(lstm, x[:steps])
    torch.testing.assert_close(found, expected[0, :steps], rtol=TOLERANCE, atol=TOLERANCE)


def test_the_reference_cell_by_hand() -> None:
    """One unit, all weights 1, biases 0, two inputs: the equations with a pocket calculator."""
    lstm = nn.LSTM(1, 1)
    with torch.no_grad():
        for weight in lstm.parameters():
            weight.fill_(1.0 if weight.ndim == 2 else 0.0)

    def gate(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    cell = gate(0.5) * math.tanh(0.5)
    hidden = gate(0.5) * math.tanh(cell)
    total = 2.0 + hidden
    cell = gate(total) * cell + gate(total) * math.tanh(total)
    expected = [hidden, gate(total) * math.tanh(cell)]
    found = reference_lstm(lstm, torch.tensor([[0.5], [2.0]])).flatten().tolist()
    assert all(math.isclose(a, b, abs_tol=TOLERANCE) for a, b in zip(found, expected, strict=True))


def logit_by_loops(network: SequenceNetwork, store: SequenceStore, row: int) -> float:
    """The whole network on one example, written with loops and the encoder's oracle."""
    scaler, width = network.inputs.scaler, len(store.channels)
    end = int(store.step_offsets[row + 1])
    steps = read_naively(store, row, 99)
    days = [float(d) for d in store.step_days[end - len(steps) : end]]

    def gap(since: float) -> float:
        return (math.log1p(since) - scaler.gap_mean) / scaler.gap_std

    def scale(raw: float, mean: float, std: float) -> float:
        return max(-5.0, min(5.0, (raw - mean) / std))

    last, seen_on, count, inputs = [0.0] * width, [math.nan] * width, [0] * width, []
    elapsed: list[list[float]] = []
    for day, seen in zip(days, steps, strict=True):
        values, masks, gaps = [0.0] * width, [0.0] * width, [0.0] * width
        for c in range(width):
            gaps[c] = 0.0 if math.isnan(seen_on[c]) else gap(day - seen_on[c])
        since = [0.0 if math.isnan(on) else math.log1p(day - on) for on in seen_on]
        elapsed.append([*since, math.log1p(day - days[len(elapsed) - 1]) if elapsed else 0.0])
        for c, raw in seen.items():
            values[c] = scale(raw, scaler.channel_mean[c], scaler.channel_std[c])
            masks[c], last[c], seen_on[c] = 1.0, values[c], day
            count[c] += 1
        age = (math.log1p(-day) - scaler.age_mean) / scaler.age_std
        inputs.append([*values, *masks, *gaps, age])
    since = [0.0 if n == 0 else gap(-d) for n, d in zip(count, seen_on, strict=True)]
    raw_statics = [float(s) for s in store.static_value[row]]
    unknown = [math.isnan(s) for s in raw_statics]
    statics = [
        0.0 if u else scale(s, mean, std)
        for s, u, mean, std in zip(
            raw_statics, unknown, scaler.static_mean, scaler.static_std, strict=True
        )
    ]
    facts = [*last, *(float(n > 0) for n in count), *since, *(math.log1p(n) for n in count)]
    facts += [*statics, *(float(u) for u in unknown), math.log1p(sum(count))]
    facts = [scale(*f) for f in zip(facts, scaler.fact_mean, scaler.fact_std, strict=True)]
    _, memory = read_by_loops(
        network.encoder,
        torch.tensor(inputs).reshape(len(inputs), 3 * width + 1),
        torch.tensor(elapsed).reshape(len(inputs), width + 1),
    )
    return float(network.head(memory.unsqueeze(0), torch.tensor([facts])).detach())


@pytest.mark.parametrize("encoder", ENCODER_CASES)
@settings(deadline=None, max_examples=8)
@given(st.lists(st.integers(0, 10), min_size=1, max_size=6), st.integers(0, 99))
def test_the_network_equals_itself_written_with_loops(
    encoder: str, lengths: list[int], seed: int
) -> None:
    store = make_store(lengths, seed)
    # So many steps that no deviation is near 0.
    network = network_for(make_store([9] * 50), config_of(encoder))
    logits = network(assemble(store, everyone(store), max_steps=99)).tolist()
    for row, logit in enumerate(logits):
        assert math.isclose(logit[0], logit_by_loops(network, store, row), abs_tol=1e-5)

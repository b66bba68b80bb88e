"""Every encoder once more, for one sequence and in plain loops, written from its equations.

They read an encoder's weights and call none of its code, nor torch's recurrences and
convolutions. Shapes: a sequence's inputs are [n, I], its elapsed times [n, C + 1].
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.encoders.attention import AttentionEncoder
from models.encoders.cnn_lstm import CNNLSTMEncoder
from models.encoders.convolution import CausalConvolution
from models.encoders.decay import Decay
from models.encoders.encoder import Encoder
from models.encoders.gru import GRUEncoder
from models.encoders.lstm import LSTMEncoder
from models.encoders.recurrent import RecurrentEncoder
from models.encoders.tcn import Level, TCNEncoder

Steps = list[Tensor]


@dataclass(frozen=True)
class Dropped:
    """The factors of dropout for one sequence: [L, H] of states, [layers, D] of inputs."""

    kept: Tensor
    passed: Tensor


@torch.no_grad()
def read_by_loops(
    encoder: Encoder, inputs: Tensor, elapsed: Tensor, dropped: Dropped | None = None
) -> tuple[Tensor, Tensor]:
    """States [n, H] and the pooled answer [P] of one sequence."""
    steps = list(inputs)
    if isinstance(encoder, RecurrentEncoder):
        return _recurrent(encoder, steps, list(elapsed), dropped)
    if isinstance(encoder, CNNLSTMEncoder):
        found = [torch.relu(x) for x in _convolve(encoder.motifs, steps)]
        return _recurrent(encoder.lstm, found, list(elapsed), dropped)
    if isinstance(encoder, AttentionEncoder):
        states, _ = _recurrent(encoder.lstm, steps, list(elapsed), dropped)
        return states, _attend(encoder, list(states))
    if isinstance(encoder, TCNEncoder):
        for level in encoder.levels:
            assert isinstance(level, Level)
            steps = _level(level, steps)
        return _stacked(steps, encoder.state_size), _last(steps, encoder.state_size)
    raise NotImplementedError(f"no oracle for {type(encoder).__name__}")


def _recurrent(
    encoder: RecurrentEncoder, steps: Steps, elapsed: Steps, dropped: Dropped | None
) -> tuple[Tensor, Tensor]:
    backwards = elapsed
    if encoder.decay is not None:
        backwards = _elapsed_from_the_end(steps, elapsed, encoder.decay.channels)
        steps = _fill(encoder.decay, steps, elapsed)
    pooled = torch.zeros(encoder.pooled_size)
    for layer in range(encoder.recurrence.num_layers):
        if layer and dropped is not None:
            steps = [x * dropped.passed[layer] for x in steps]
        ways = []
        for direction in range(encoder.directions):
            number = layer * encoder.directions + direction
            ordered = steps[::-1] if direction else steps
            times = backwards if direction else elapsed
            ways.append(_one_way(encoder, number, ordered, times, dropped))
        if steps:
            pooled = torch.cat([way[-1] for way in ways])
        both = [ways[0]] + [way[::-1] for way in ways[1:]]
        steps = [torch.cat(states) for states in zip(*both, strict=True)]
    return _stacked(steps, encoder.state_size), pooled


def _one_way(
    encoder: RecurrentEncoder, number: int, steps: Steps, elapsed: Steps, dropped: Dropped | None
) -> Steps:
    weights: list[Tensor] = [*encoder.recurrence.all_weights[number]]
    hidden = cell = torch.zeros(encoder.recurrence.hidden_size)
    answers = []
    for x, since in zip(steps, elapsed, strict=True):
        if encoder.decay is not None:
            rates = encoder.decay.state_rates[number]
            assert isinstance(rates, nn.Linear)
            left = torch.exp(-torch.clamp(rates.weight @ since + rates.bias, min=0.0))
            hidden, cell = left * hidden, left * cell
        seen = hidden if dropped is None else hidden * dropped.kept[number]
        if isinstance(encoder, LSTMEncoder):
            hidden, cell = lstm_cell(weights, x, seen, cell)
        elif isinstance(encoder, GRUEncoder):
            hidden = gru_cell(weights, x, seen, hidden)
        else:
            from_input, from_state, input_bias, state_bias = weights
            hidden = torch.tanh(from_input @ x + input_bias + from_state @ seen + state_bias)
        answers.append(hidden)
    return answers


def lstm_cell(
    weights: list[Tensor], x: Tensor, hidden: Tensor, cell: Tensor
) -> tuple[Tensor, Tensor]:
    """Hochreiter & Schmidhuber 1997 with Gers et al. 2000; torch's order i, f, g, o."""
    from_input, from_state, input_bias, state_bias = weights
    i, f, g, o = (from_input @ x + input_bias + from_state @ hidden + state_bias).chunk(4)
    cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(cell), cell


def gru_cell(weights: list[Tensor], x: Tensor, seen: Tensor, hidden: Tensor) -> Tensor:
    """Cho et al. 2014 with torch's order r, z, n, and r on what the state says of n."""
    of_input, of_state, input_bias, state_bias = (part.chunk(3) for part in weights)
    r, z = (
        torch.sigmoid(of_input[k] @ x + input_bias[k] + of_state[k] @ seen + state_bias[k])
        for k in (0, 1)
    )
    new = torch.tanh(of_input[2] @ x + input_bias[2] + r * (of_state[2] @ seen + state_bias[2]))
    return (1 - z) * new + z * hidden


def reference_lstm(lstm: nn.LSTM, inputs: Tensor) -> Tensor:
    """[n, H] states of one sequence [n, I], layer after layer, without dropout."""
    steps = list(inputs)
    for layer in lstm.all_weights:
        weights: list[Tensor] = [*layer]
        hidden = cell = torch.zeros(lstm.hidden_size)
        answers = []
        for x in steps:
            hidden, cell = lstm_cell(weights, x, hidden, cell)
            answers.append(hidden)
        steps = answers
    return _stacked(steps, lstm.hidden_size)


def _fill(decay: Decay, steps: Steps, elapsed: Steps) -> Steps:
    """Che et al. 2018, equation 11, number by number; the mean is 0."""
    width = decay.channels
    last, filled = [0.0] * width, []
    for x, since in zip(steps, elapsed, strict=True):
        numbers = x.clone()
        for c in range(width):
            if x[width + c] == 1.0:
                last[c] = float(x[c])
            else:
                rate = float(decay.value_rate[c]) * float(since[c]) + float(decay.value_bias[c])
                numbers[c] = math.exp(-max(0.0, rate)) * last[c]
        filled.append(numbers)
    return filled


def _elapsed_from_the_end(steps: Steps, elapsed: Steps, channels: int) -> Steps:
    """log(1 + days) since a channel was seen, and since the last step, reading backwards."""
    day, days = 0.0, []
    for since in elapsed:
        day += math.expm1(float(since[-1]))
        days.append(day)
    seen_on: list[float | None] = [None] * channels
    answer: Steps = []
    before: float | None = None
    for x, today in zip(steps[::-1], days[::-1], strict=True):
        gaps = [0.0 if on is None else math.log1p(on - today) for on in [*seen_on, before]]
        answer.append(torch.tensor(gaps))
        seen_on = [today if x[channels + c] == 1.0 else seen_on[c] for c in range(channels)]
        before = today
    return answer


def _convolve(module: CausalConvolution, steps: Steps) -> Steps:
    """A weighted sum of the step and of those `dilation`, 2 `dilation` ... before it."""
    weight, dilation = module.convolution.weight, module.convolution.dilation[0]  # [O, I, k]
    bias, size = module.convolution.bias, weight.shape[2]
    assert bias is not None
    answers = []
    for number in range(len(steps)):
        total = bias.clone()
        for back in range(size):
            source = number - back * dilation
            if source >= 0:
                total = total + weight[:, :, size - 1 - back] @ steps[source]
        answers.append(total)
    return answers


def _level(level: Level, steps: Steps) -> Steps:
    """Bai et al. 2018, figure 1b: relu(x + relu(conv(relu(conv(x)))))."""
    found = [torch.relu(x) for x in _convolve(level.first, steps)]
    found = [torch.relu(x) for x in _convolve(level.second, found)]
    beside = steps
    if isinstance(level.beside, nn.Linear):
        beside = [level.beside.weight @ x + level.beside.bias for x in steps]
    return [torch.relu(a + b) for a, b in zip(beside, found, strict=True)]


def _attend(encoder: AttentionEncoder, states: Steps) -> Tensor:
    """The softmax by hand: exp(score) / sum of exp(scores)."""
    first, last = encoder.score[0], encoder.score[2]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    scores = [float(last.weight[0] @ torch.tanh(first.weight @ h + first.bias)) for h in states]
    total = sum(math.exp(score) for score in scores)
    pooled = torch.zeros(encoder.pooled_size)
    for score, state in zip(scores, states, strict=True):
        pooled = pooled + math.exp(score) / total * state
    return pooled


def _stacked(steps: Steps, size: int) -> Tensor:
    return torch.stack(steps) if steps else torch.zeros(0, size)


def _last(steps: Steps, size: int) -> Tensor:
    return steps[-1] if steps else torch.zeros(size)

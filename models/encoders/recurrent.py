"""What the recurrent encoders have in common: layers, directions, dropout, decay, carried state.

Torch's fused recurrence reads a layer at once where nothing has to happen between two steps;
else `unroll` reads it step by step, with the same weights.
"""

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.config import ModelConfig
from models.encoders.decay import Decay, elapsed_from_the_end, from_the_end
from models.encoders.encoder import Encoded, Encoder, Sequences, last_true
from models.encoders.unrolled import State, unroll

Kind = type[nn.RNN] | type[nn.GRU] | type[nn.LSTM]


@dataclass(frozen=True)
class Memory:
    """What goes on from window to window of the same sequences.

    Attributes:
        state: each [L, B, H], the hidden state first; L counts layers, of both directions.
        latest: [1, B, C] the value last seen of each channel; with decay only.
        masks: dropout's factors: [L, B, H] for states, and [layers, B, directions x H] for what a
            layer reads of the one below; in training only.
    """

    state: State
    latest: tuple[Tensor, ...] = ()
    masks: tuple[Tensor, ...] = ()

    def carried(self) -> tuple[Tensor, ...]:
        return (*self.state, *self.latest, *self.masks)


class RecurrentEncoder(Encoder):
    """States of the top layer; the pooled one is the last true step's.

    Read from both ends, states are those of both directions side by side, and the pooled one is
    what each direction ends with. In training, what a layer reads of the one below is dropped
    with the same mask at all steps of a sequence, and so is what the gates see of the state
    (Gal & Ghahramani 2016). A sequence that is read on has its masks carried too.

    Attributes:
        parts: tensors that make up a layer's state.
    """

    parts: int = 1

    def __init__(self, kind: Kind, input_size: int, channels: int, config: ModelConfig) -> None:
        super().__init__()
        options = config.encoder
        self.directions = 2 if options.bidirectional else 1
        self.is_causal = self.can_carry = not options.bidirectional
        self.state_size = self.pooled_size = self.directions * config.hidden_size
        self.layer_dropout = config.dropout if config.layers > 1 else 0.0
        self.recurrent_dropout = options.recurrent_dropout
        # Here for its weights, of all layers and directions: `fused` and `unroll` read them.
        self.recurrence: nn.RNNBase = kind(
            input_size,
            config.hidden_size,
            config.layers,
            batch_first=True,
            bidirectional=options.bidirectional,
        )
        self.decay: Decay | None = None
        self.reads_elapsed = options.decay
        if options.decay:
            recurrences = config.layers * self.directions
            self.decay = Decay(channels, config.hidden_size, recurrences)

    @abstractmethod
    def cell(self, from_input: Tensor, from_state: Tensor, state: State) -> State:
        """One step: the state after, of what input and state [B, G] say and the state before."""

    @abstractmethod
    def fused(
        self, weights: list[Tensor], inputs: Tensor, steps: Tensor, state: State
    ) -> tuple[Tensor, State]:
        """As `unroll` without fading and dropout; what is answered on padding does not matter."""

    def forward(self, sequences: Sequences, carried: tuple[Tensor, ...] = ()) -> Encoded:
        memory = self._remembered(sequences, carried)
        reading, latest = sequences.inputs, memory.latest
        if self.decay is not None:
            reading, last = self.decay.fill(sequences, memory.latest[0][0])
            latest = (last.unsqueeze(0),)
        states: list[State] = []
        for layer in range(self.recurrence.num_layers):
            if layer and memory.masks:
                reading = reading * memory.masks[1][layer].unsqueeze(1)
            reading, ends = self._layer(layer, reading, sequences, memory)
            states += ends
        reading = torch.where(sequences.steps.unsqueeze(2), reading, 0.0)
        state = tuple(torch.stack(part) for part in zip(*states, strict=True))
        pooled = torch.cat(list(state[0][-self.directions :]), dim=1)
        after = Memory(state, latest, memory.masks).carried() if self.can_carry else ()
        return Encoded(reading, pooled, after)

    def _layer(
        self, layer: int, inputs: Tensor, sequences: Sequences, memory: Memory
    ) -> tuple[Tensor, list[State]]:
        """States [B, T, directions x H], and each direction's after its last true step."""
        states, after = self._direction(
            layer * self.directions, inputs, sequences.steps, sequences.elapsed, memory
        )
        if self.directions == 1:
            return states, [after]
        elapsed = sequences.elapsed
        if self.decay is not None:
            elapsed = elapsed_from_the_end(sequences, self.decay.channels)
        inputs = from_the_end(inputs, sequences.lengths)
        others, other = self._direction(
            layer * self.directions + 1, inputs, sequences.steps, elapsed, memory
        )
        others = from_the_end(others, sequences.lengths)
        return torch.cat([states, others], dim=2), [after, other]

    def _direction(
        self, number: int, inputs: Tensor, steps: Tensor, elapsed: Tensor, memory: Memory
    ) -> tuple[Tensor, State]:
        weights: list[Tensor] = [*self.recurrence.all_weights[number]]
        state = tuple(part[number] for part in memory.state)
        drops = bool(memory.masks) and self.recurrent_dropout > 0.0
        if self.decay is None and not drops:
            return self.fused(weights, inputs, steps, state)
        fade = None if self.decay is None else self.decay.of_state(number, elapsed)
        kept = memory.masks[0][number] if drops else None
        return unroll(self.cell, weights, inputs, steps, state, fade, kept)

    def _remembered(self, sequences: Sequences, carried: tuple[Tensor, ...]) -> Memory:
        """What was carried, or the beginning: a state of zeros and fresh masks."""
        batch, made = sequences.inputs.shape[0], sequences.inputs.new_zeros
        layers, size = self.recurrence.num_layers, self.recurrence.hidden_size
        state, seen = carried[: self.parts], self.parts + int(self.decay is not None)
        latest, masks = carried[self.parts : seen], carried[seen:]
        if not carried:
            state = (made(layers * self.directions, batch, size),) * self.parts
            if self.decay is not None:
                latest = (made(1, batch, self.decay.channels),)
        drops = self.training and self.recurrent_dropout + self.layer_dropout > 0.0
        if drops and not masks:
            masks = self.draw_masks(sequences)
        return Memory(state, latest, masks if drops else ())

    def draw_masks(self, sequences: Sequences) -> tuple[Tensor, Tensor]:
        """Dropout's factors for states and for what layers read, as `Memory` has them."""
        batch, made = sequences.inputs.shape[0], sequences.inputs.new_empty
        layers, size = self.recurrence.num_layers, self.recurrence.hidden_size
        kept = made(layers * self.directions, batch, size)
        passed = made(layers, batch, self.directions * size)
        return _mask(kept, self.recurrent_dropout), _mask(passed, self.layer_dropout)


def after_last(states: Tensor, steps: Tensor, before: Tensor) -> Tensor:
    """[B, H] of states [B, T, H] the last true step's; without any, what was `before` [B, H]."""
    lengths = steps.sum(dim=1)
    return torch.where(lengths.unsqueeze(1) > 0, last_true(states, lengths), before)


def _mask(numbers: Tensor, rate: float) -> Tensor:
    """0 with probability `rate`, else what keeps the mean."""
    return numbers.bernoulli_(1.0 - rate) / (1.0 - rate)

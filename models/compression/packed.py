"""What a graph reads, gathered from the store without padding it first.

models/inputs.py computes on [B, T, C] arrays, of which most cells hold nothing: gradients need
that. Scoring does not: here only what was observed is scaled, and written where the graph reads
it. The numbers are those of models/inputs.py but for the rounding of logarithms (a test says so).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from models.batches import Rows
from models.inputs import Inputs
from models.scaled_values import EXTREME_DEVIATIONS
from models.store import SequenceStore, members

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Packed:
    """B sequences as a graph reads them: steps [T, B, I], lengths [B], facts [B, F]."""

    steps: Floats
    lengths: npt.NDArray[np.int32]
    facts: Floats


@dataclass(frozen=True)
class Observed:
    """The N true steps and the O observations of B sequences, in their order.

    owner, position, days: [N] whose step it is, which of theirs, and when.
    step, channel, value: [O] of an observation; value is scaled.
    """

    owner: Ints
    position: Ints
    days: Floats
    step: Ints
    channel: Ints
    value: Floats


class Packer:
    """Packs sequences as `inputs` scales them. marks: see models/compression/runtime.py."""

    def __init__(self, inputs: Inputs, marks: float | None = None) -> None:
        self.inputs, self.marks, self.scaler = inputs, marks, inputs.scaler
        self.channels = len(self.scaler.channel_mean)
        self.fact_mean, self.fact_std = (
            np.array(numbers, dtype=np.float32)
            for numbers in (self.scaler.fact_mean, self.scaler.fact_std)
        )

    @torch.inference_mode()
    def __call__(self, store: SequenceStore, rows: Rows, max_steps: int) -> Packed:
        """The examples `rows` [B], the last `max_steps` of each."""
        lengths = store.lengths[rows].clip(max=max_steps)
        observed = self._observed(store, store.step_offsets[rows + 1] - lengths, lengths)
        return Packed(
            steps=self._steps(observed, lengths),
            lengths=lengths.astype(np.int32),
            facts=self._facts(observed, len(rows), store.static_value[rows]),
        )

    def _observed(self, store: SequenceStore, begin: Ints, lengths: Ints) -> Observed:
        first = np.cumsum(lengths) - lengths  # [B] of the packed steps
        owner = np.repeat(np.arange(len(lengths)), lengths)
        position = np.arange(len(owner)) - first[owner]
        chosen = begin[owner] + position
        counts = store.observation_offsets[chosen + 1] - store.observation_offsets[chosen]
        wanted = members(store.observation_offsets, chosen)
        channel = store.observation_channel[wanted].astype(np.int64)
        step = np.repeat(np.arange(len(owner)), counts)
        # Of all channels side by side, since that is how scales are applied.
        raw = np.zeros((len(owner), self.channels), dtype=np.float32)
        raw[step, channel] = store.observation_value[wanted]
        value = self.inputs.channels(torch.from_numpy(raw)).numpy()[step, channel]
        return Observed(owner, position, store.step_days[chosen], step, channel, value)

    def _steps(self, seen: Observed, lengths: Ints) -> Floats:
        """[T, B, 3C + 1], and the marks."""
        size, rows, channels = 3 * self.channels + 1, len(lengths), self.channels
        width = size + (0 if self.marks is None else 2)
        longest = max(1, int(lengths.max(initial=0)))
        steps = np.zeros((longest, rows, width), dtype=np.float32)
        flat = steps.reshape(-1)
        cell = (seen.position * rows + seen.owner) * width  # [N] where a step's inputs begin
        flat[cell[seen.step] + seen.channel] = seen.value
        flat[cell[seen.step] + channels + seen.channel] = 1.0
        step, channel, gap = self._gaps(seen)
        age = (np.log1p(-seen.days) - self.scaler.age_mean) / self.scaler.age_std
        if self.marks is not None:
            gap, age = gap.clip(-self.marks, self.marks), age.clip(-self.marks, self.marks)
            steps[:, :, size], steps[:, :, size + 1] = self.marks, -self.marks
        flat[cell[step] + 2 * channels + channel] = gap
        flat[cell + 3 * channels] = age
        return steps

    def _gaps(self, seen: Observed) -> tuple[Ints, Ints, Floats]:
        """Step, channel and scaled log of days since it was observed before, wherever it was."""
        steps = len(seen.owner)
        latest = np.full((steps + 1, self.channels), -1, dtype=np.int32)
        latest[seen.step + 1, seen.channel] = seen.step  # [n]: the last one before step n
        np.maximum.accumulate(latest, axis=0, out=latest)
        began = np.arange(steps) - seen.position
        step, channel = np.nonzero(latest[:-1] >= began[:, None])
        days = seen.days[step] - seen.days[latest[step, channel]]
        return step, channel, self._log_gap(days)

    def _facts(self, seen: Observed, rows: int, statics: Floats) -> Floats:
        """[B, 4C + 2F + 1], as models/inputs.py orders them."""
        shape, cells = (rows, self.channels), rows * self.channels
        cell = seen.owner[seen.step] * self.channels + seen.channel
        # Of an index that comes twice numpy keeps the last: observations are in order of time.
        value, gap = np.zeros(cells, dtype=np.float32), np.zeros(cells, dtype=np.float32)
        value[cell] = seen.value
        gap[cell] = self._log_gap(-seen.days[seen.step])
        count = np.bincount(cell, minlength=cells).astype(np.float32).reshape(shape)
        unknown = np.isnan(statics)
        known = np.where(unknown, np.float32(0.0), statics)
        known = self.inputs.statics(torch.from_numpy(known)).numpy()
        facts = np.concatenate(
            [
                value.reshape(shape),
                (count > 0).astype(np.float32),
                gap.reshape(shape),
                np.log1p(count),
                np.where(unknown, 0.0, known),
                unknown.astype(np.float32),
                np.log1p(count.sum(axis=1, keepdims=True)),
            ],
            axis=1,
            dtype=np.float32,
        )
        facts = (facts - self.fact_mean) / self.fact_std
        return facts.clip(-EXTREME_DEVIATIONS, EXTREME_DEVIATIONS)

    def _log_gap(self, days: Floats) -> Floats:
        scaled = (np.log1p(days) - self.scaler.gap_mean) / self.scaler.gap_std
        return scaled.clip(-EXTREME_DEVIATIONS, EXTREME_DEVIATIONS).astype(np.float32)

"""Batches of similar length under a budget of time steps, assembled by gather and scatter."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.store import SequenceStore

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Padding:
    """How a batch is filled up. Nothing may depend on it: tests vary it, training leaves it.

    Attributes:
        side: where the padding lies: after the true steps or before them.
        least_steps: every example is filled up to at least this many steps.
        value: what the padding holds.
    """

    side: Literal["right", "left"] = "right"
    least_steps: int = 1
    value: float = 0.0


@dataclass(frozen=True)
class Batch:
    """B examples of up to T time steps and C channels. False in `steps` marks padding.

    Attributes:
        value: [B, T, C] raw value, 0 where not observed.
        observed: [B, T, C] whether the channel was observed at the step.
        elapsed_days: [B, T, C] days since the channel was last observed *before* the step,
            -1 if it never was.
        step_days: [B, T] days relative to the index time, <= 0.
        steps: [B, T] True for a time step, False for padding.
        statics: [B, F] raw value, NaN where unknown.
        label: [B] what came true (1 or 0 for a probability), NaN where unknown.
        weight: [B] inverse-probability-of-censoring weight.
        scale: [B] > 0, the naive unit of the label.
        followed_days: [B] without the event, as in the store.
        other_label: [B, A] by the study's other outcomes, NaN where unknown.
    """

    value: Tensor
    observed: Tensor
    elapsed_days: Tensor
    step_days: Tensor
    steps: Tensor
    statics: Tensor
    label: Tensor
    weight: Tensor
    scale: Tensor
    followed_days: Tensor
    other_label: Tensor

    def to(self, device: torch.device) -> Self:
        return type(self)(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def plan_batches(
    lengths: Rows,
    rows: Rows,
    *,
    tokens: int,
    window_batches: int = 1,
    seed: int | tuple[int, ...] | None = None,
) -> list[Rows]:
    """Cut `rows` into batches of at most `tokens` padded time steps (or of one example).

    With a seed the rows are shuffled, sorted by length within windows of `window_batches`
    batches' worth of steps, and the batches shuffled again. Without one everything is sorted.

    Args:
        lengths: [E] time steps of every example of the store.
        rows: [R] the examples wanted.
    """
    cost = np.maximum(lengths[rows], 1)
    if seed is None:
        return list(_cut(rows[np.argsort(cost, kind="stable")], lengths, tokens))
    random = np.random.default_rng(seed)
    order = random.permutation(len(rows))
    window = np.cumsum(cost[order]) // (tokens * window_batches)
    order = order[np.lexsort((cost[order], window))]
    edges = np.searchsorted(np.sort(window), np.unique(window))[1:]
    cut = [b for part in np.split(rows[order], edges) for b in _cut(part, lengths, tokens)]
    return [cut[i] for i in random.permutation(len(cut))]


def _cut(rows: Rows, lengths: Rows, tokens: int) -> Iterator[Rows]:
    """Cut rows of ascending length where count x longest would pass the budget."""
    cost = np.maximum(lengths[rows], 1)
    start = 0
    while start < len(rows):
        most = cost[start : start + max(1, tokens // cost[start])]
        padded = np.arange(1, len(most) + 1) * most
        count = max(1, int(np.searchsorted(padded, tokens, side="right")))
        yield rows[start : start + count]
        start += count


def assemble(
    store: SequenceStore, rows: Rows, *, max_steps: int, padding: Padding | None = None
) -> Batch:
    """Gather the examples `rows` [B] (the last `max_steps` of each) into one padded batch."""
    padding = padding or Padding()
    chosen = torch.from_numpy(rows)
    offsets = torch.from_numpy(store.step_offsets)
    end = offsets[chosen + 1]
    begin = torch.maximum(offsets[chosen], end - max_steps)  # [B]
    length = end - begin
    width = max(padding.least_steps, int(length.max()))  # T
    example, position = _ranges(length)  # [N] the batch's N true steps
    step = begin[example] + position
    if padding.side == "left":
        position = position + (width - length)[example]
    cell = example * width + position

    steps = torch.zeros(len(rows) * width, dtype=torch.bool)
    steps[cell] = True
    days = torch.full((len(rows) * width,), padding.value)
    days[cell] = torch.from_numpy(store.step_days)[step]
    value, observed = _scatter_observations(store, step, cell, len(rows) * width)
    steps, days = steps.view(len(rows), width), days.view(len(rows), width)
    value = value.view(len(rows), width, -1)
    observed = observed.view(len(rows), width, -1)
    elapsed = days_since_observed(observed, days)
    if padding != Padding():
        fill = torch.tensor(padding.value)
        value = torch.where(steps.unsqueeze(-1), value, fill)
        elapsed = torch.where(steps.unsqueeze(-1), elapsed, fill)
    return Batch(
        value=value,
        observed=observed,
        elapsed_days=elapsed,
        step_days=days,
        steps=steps,
        statics=torch.from_numpy(store.static_value)[chosen],
        label=torch.from_numpy(store.label)[chosen],
        weight=torch.from_numpy(store.weight)[chosen],
        scale=torch.from_numpy(store.scale)[chosen],
        followed_days=torch.from_numpy(store.followed_days)[chosen],
        other_label=torch.from_numpy(store.other_label)[chosen],
    )


def latest_observed(observed: Tensor) -> Tensor:
    """[B, T, C] the step at which a channel was last observed, this one included; -1 if never."""
    number = torch.arange(observed.shape[1], device=observed.device).view(1, -1, 1)
    return torch.where(observed, number, -1).cummax(dim=1).values


def days_since_observed(observed: Tensor, step_days: Tensor) -> Tensor:
    """[B, T, C] days since the last observation before each step; -1 if there was none.

    The time interval of GRU-D (Che et al. 2018, eq. 3), but marked where that one starts at 0.
    """
    latest = latest_observed(observed)
    before = torch.cat([torch.full_like(latest[:, :1], -1), latest[:, :-1]], dim=1)
    days = step_days.unsqueeze(-1).expand(observed.shape)
    elapsed = days - days.gather(1, before.clamp(min=0))
    return torch.where(before >= 0, elapsed, -1.0)


def _ranges(counts: Tensor) -> tuple[Tensor, Tensor]:
    """For counts [2, 3]: owner [0, 0, 1, 1, 1] and position [0, 1, 0, 1, 2]."""
    owner = torch.repeat_interleave(torch.arange(len(counts)), counts)
    first = counts.cumsum(0) - counts
    return owner, torch.arange(len(owner)) - first[owner]


def _scatter_observations(
    store: SequenceStore, step: Tensor, cell: Tensor, cells: int
) -> tuple[Tensor, Tensor]:
    """Value and observed mask [cells * C] of the steps [N], each written at its cell [N]."""
    offsets = torch.from_numpy(store.observation_offsets)
    first = offsets[step]
    owner, position = _ranges(offsets[step + 1] - first)
    observation = first[owner] + position
    channel = torch.from_numpy(store.observation_channel)[observation].long()
    target = cell[owner] * len(store.channels) + channel
    value = torch.zeros(cells * len(store.channels))
    observed = torch.zeros(cells * len(store.channels), dtype=torch.bool)
    value[target] = torch.from_numpy(store.observation_value)[observation]
    observed[target] = True
    return value, observed

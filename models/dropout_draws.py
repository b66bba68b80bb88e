"""How unsure a network is of itself: answers with units of its head left out by chance.

Gal and Ghahramani, ICML 2016, with one difference: a draw leaves out the same units for everybody,
as if another network were drawn from the posterior. So no row's answer depends on its company or
its place in a batch, and the same seed gives the same draws.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.batches import Batch, Rows
from models.loop import answer_in_batches
from models.network import SequenceNetwork
from models.precision import autocast
from models.seeds import mixed
from models.store import SequenceStore

Floats = npt.NDArray[np.float64]


def draw_raw(
    network: SequenceNetwork,
    store: SequenceStore,
    rows: Rows,
    max_steps: int,
    draws: int,
    seed: int,
) -> Floats:
    """[draws, R, K] raw answers for the examples `rows` [R], each by a head thinned anew.

    The encoder has no part in it and reads each example once.
    """
    network.eval()
    device = next(network.parameters()).device
    thinnings = [Thinning(network.head, mixed(seed, draw)) for draw in range(draws)]

    def told(batch: Batch) -> Tensor:
        with autocast(network.precision, device):
            sequences, facts = network.read(batch)
            pooled = network.encoder(sequences).pooled
        found = []
        for thinning in thinnings:
            with thinning.applied():
                found.append(network.conclude(pooled, facts))
        return torch.cat(found, dim=1)  # [B, draws x K]

    outputs = draws * network.outputs
    answers = answer_in_batches(told, outputs, store, rows, max_steps, device)
    return answers.reshape(len(rows), draws, network.outputs).transpose(1, 0, 2)


class Thinning:
    """Of each dropout layer of a head a share of its inputs to leave out, the same for all rows."""

    def __init__(self, head: nn.Module, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.masks = [
            (layer, _Mask(generator, layer.p))
            for layer in head.modules()
            if isinstance(layer, nn.Dropout)
        ]

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Leave them out until the end."""
        handles = [layer.register_forward_hook(mask) for layer, mask in self.masks]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


class _Mask:
    """A mask [H], drawn at the first batch and kept for all others of the draw."""

    def __init__(self, generator: torch.Generator, share: float) -> None:
        self.generator, self.share = generator, share
        self.factor: Tensor | None = None

    def __call__(self, module: nn.Module, given: tuple[Tensor, ...], answer: Tensor) -> Tensor:
        if self.factor is None:
            kept = torch.rand(answer.shape[-1], generator=self.generator) >= self.share
            self.factor = kept.to(answer) / (1.0 - self.share)
        return given[0] * self.factor

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

from models.batches import Rows
from models.loop import predict_raw
from models.network import SequenceNetwork
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
    """[draws, R, K] raw answers for the examples `rows` [R], each by a network thinned anew."""
    device = next(network.parameters()).device
    found = []
    for draw in range(draws):
        with thinned(network, (seed, draw)):
            found.append(predict_raw(network, store, rows, max_steps, device))
    return np.stack(found)


@contextmanager
def thinned(network: SequenceNetwork, seed: tuple[int, int]) -> Iterator[None]:
    """Leave out each dropout layer's share of its inputs, the same for all rows, until the end."""
    state = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1
    generator = torch.Generator().manual_seed(int(state))
    layers = [module for module in network.head.modules() if isinstance(module, nn.Dropout)]
    handles = [layer.register_forward_hook(_Mask(generator, layer.p)) for layer in layers]
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

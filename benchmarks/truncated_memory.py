"""What truncated backpropagation keeps for the gradient, as a share of the full one.

Bytes of the tensors that autograd saves, of an LSTM, a GRU and a vanilla network over sequences
of 2,000 steps: deterministic, whatever else the machine does. Run it with
`python -m benchmarks.truncated_memory`.
"""

import torch
from torch import Tensor

from models.config import ModelConfig
from models.encoders.encoder import Encoder, Sequences
from models.network import encoder_of
from models.truncation import read_truncated

STEPS = 2000
BATCH = 16
CHANNELS = 8
HIDDEN = 64
WINDOWS = (50, 100, 200, 500, STEPS)


def bytes_saved(encoder: Encoder, sequences: Sequences, window: int) -> int:
    """Of distinct storages, the weights and the inputs among them."""
    sizes: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        encoded = read_truncated(encoder, sequences, window)
    if not encoded.pooled.requires_grad:
        raise AssertionError("nothing was kept, since nothing has a gradient")
    return sum(sizes.values())


def sequences_of_noise() -> Sequences:
    made = torch.Generator().manual_seed(0)
    inputs = torch.randn(BATCH, STEPS, 3 * CHANNELS + 1, generator=made)
    inputs[:, :, CHANNELS : 2 * CHANNELS] = 1.0
    elapsed = torch.zeros(BATCH, STEPS, CHANNELS + 1)
    position = torch.arange(STEPS).expand(BATCH, -1)
    return Sequences(inputs, elapsed, torch.ones(BATCH, STEPS, dtype=torch.bool), position)


def main() -> None:
    sequences = sequences_of_noise()
    for kind in ("lstm", "gru", "rnn"):
        config = ModelConfig.model_validate({"encoder": kind, "hidden_size": HIDDEN})
        encoder = encoder_of(3 * CHANNELS + 1, CHANNELS, config)
        kept = {window: bytes_saved(encoder, sequences, window) for window in WINDOWS}
        for window, size in kept.items():
            share = size / kept[STEPS]
            print(f"{kind:5} window {window:5}: {size / 1e6:7.2f} MB, {share:6.1%} of full")


if __name__ == "__main__":
    main()

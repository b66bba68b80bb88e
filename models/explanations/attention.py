"""Attention weights: where the encoders looked. No contributions, and so no reasons."""

import torch
from torch import Tensor

from models.batches import Batch
from models.encoders.attention import AttentionEncoder
from models.explanations.explained import Explained


@torch.no_grad()
def attention(explained: Explained, batch: Batch) -> Tensor | None:
    """[B, T] the networks' mean weight of each time step, 0 on padding; None where they have none.

    The weights of a subject sum to 1, or to 0 without any time step. High weight is no
    explanation (Jain & Wallace 2019): what was looked at may raise, lower or not move the answer.
    """
    sequences, _ = explained.read(batch)
    weights = [
        network.encoder.weights(sequences)
        for network in explained.networks
        if isinstance(network.encoder, AttentionEncoder)
    ]
    if not weights:
        return None
    mean = torch.stack(weights).mean(dim=0)
    return torch.zeros_like(mean).scatter(1, sequences.position, mean)

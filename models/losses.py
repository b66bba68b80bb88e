"""The loss: weighted binary cross-entropy that padding, censoring and company cannot touch."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def example_weights(label: Tensor, weight: Tensor, positive_weight: float) -> Tensor:
    """[B] censoring weight x class weight; exactly 0 where the label is unknown."""
    known = ~torch.isnan(label) & (weight > 0)
    factor = torch.where(label == 1.0, positive_weight, 1.0)
    return torch.where(known, weight * factor, 0.0)


def weighted_bce_sum(logit: Tensor, label: Tensor, weights: Tensor) -> Tensor:
    """Sum over the batch of weights x cross-entropy; [] for logit, label and weights of [B].

    A sum and not a mean: an example then adds the same gradient whoever shares its batch.
    """
    counts = weights > 0
    # where, on the way in and out, and not a product: 0 x NaN would poison sum and gradient.
    target = torch.where(counts, label, 0.0)
    answer = torch.where(counts, logit.float(), 0.0)
    loss = binary_cross_entropy_with_logits(answer, target, reduction="none")
    return torch.where(counts, weights * loss, 0.0).sum()

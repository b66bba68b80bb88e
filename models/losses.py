"""The loss: a weighted sum over examples that padding, censoring and company cannot touch."""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from models.tasks import Task


def example_weights(label: Tensor, weight: Tensor, positive_weight: float) -> Tensor:
    """[B] censoring weight x class weight; exactly 0 where the label is unknown.

    Args:
        positive_weight: factor on labels of 1; it is 1 for any task but a probability.
    """
    known = ~torch.isnan(label) & (weight > 0)
    factor = torch.where(label == 1.0, positive_weight, 1.0)
    return torch.where(known, weight * factor, 0.0)


def weighted_loss_sum(
    task: Task, raw: Tensor, label: Tensor, scale: Tensor, weights: Tensor
) -> Tensor:
    """Sum over the batch of weights x loss; [] for raw [B, K] and the others [B].

    A sum and not a mean: an example then adds the same gradient whoever shares its batch.
    """
    return weighted_losses(task, raw, label, scale, weights).sum()


def weighted_losses(
    task: Task,
    raw: Tensor,
    label: Tensor,
    scale: Tensor,
    weights: Tensor,
    focal_gamma: float = 0.0,
) -> Tensor:
    """[B] weights x loss, exactly 0 where the weight is, for raw [B, K] and the others [B].

    Args:
        focal_gamma: of a task of two classes, whose raw answer is the logit; 0 for the plain loss.
    """
    counts = weights > 0
    # where, on the way in and out, and not a product: 0 x NaN would poison sum and gradient.
    # An unknown label becomes 1, of which every task has a finite loss.
    answer = torch.where(counts.unsqueeze(1), raw.to(weights.dtype), 0.0)
    told = torch.where(counts, label, 1.0)
    losses = task.losses(answer, told, torch.where(counts, scale, 1.0))
    if focal_gamma > 0.0:
        losses = focal_factor(answer[:, 0], told, focal_gamma) * losses
    return torch.where(counts, weights * losses, 0.0)


def focal_factor(logit: Tensor, label: Tensor, gamma: float) -> Tensor:
    """[B] (1 - p)^gamma, where p is the probability [B] given to what came true.

    Lin, Goyal, Girshick, He and Dollar, ICCV 2017, eq. 4; times the cross-entropy it is the focal
    loss. By way of the logarithm, so that a p of 1 has a gradient that is a number.
    """
    towards_truth = torch.where(label == 1.0, logit, -logit)
    return torch.exp(gamma * logsigmoid(-towards_truth))

"""A convolution along time that sees no later step and nothing of the padding."""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


class CausalConvolution(nn.Module):
    """[B, T, O] of [B, T, I]: a step sees itself and the kernel's other steps before it.

    Those are `dilation` apart (van den Oord et al. 2016); before the first step there are zeros.
    """

    def __init__(self, inputs: int, outputs: int, kernel_size: int, dilation: int = 1) -> None:
        super().__init__()
        self.before = (kernel_size - 1) * dilation
        self.convolution = nn.Conv1d(inputs, outputs, kernel_size, dilation=dilation)

    def forward(self, inputs: Tensor, steps: Tensor) -> Tensor:
        """Inputs [B, T, I], the true `steps` [B, T] first in each row; 0 on padding."""
        earlier_first = pad(inputs.transpose(1, 2), (self.before, 0))  # [B, I, before + T]
        answer: Tensor = self.convolution(earlier_first).transpose(1, 2)
        return torch.where(steps.unsqueeze(2), answer, 0.0)

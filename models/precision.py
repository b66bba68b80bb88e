"""In which arithmetic an encoder computes. Weights, sums of losses and heads stay float32."""

import torch

from models.config import Precision


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """The context in which a network answers: bfloat16 for its large products, or nothing."""
    wanted = precision == "bfloat16"
    if precision == "auto":
        # A GPU without bfloat16 of its own would imitate it, slower than float32.
        wanted = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted)

"""Matrices kept in 8-bit integers, one scale per row, and computed with in float32.

torchao's own layers are of nn.Linear alone; its primitives take any matrix, so the recurrent ones
too. The file is a quarter of the size and no faster to score with; rounding moves the weights and
no activation, so batch mates and padding change nothing.
"""

import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from models.checkpoints import write_atomically
from models.compression.form import Form, Scorer
from models.config import ModelConfig
from models.estimator import ModelUnusable, new_network
from models.network import SequenceNetwork
from models.scaling import Scaler

with warnings.catch_warnings():
    # torchao 0.18 has a docstring with an invalid escape, told whenever it is compiled.
    for kind in (SyntaxWarning, DeprecationWarning):  # the latter in Python 3.11
        warnings.simplefilter("ignore", kind)
    from torchao.quantization import (
        MappingType,
        choose_qparams_affine,
        dequantize_affine,
        quantize_affine,
    )

SCALE = ".scale"


class WeightOnlyForm(Form):
    """Any encoder."""

    suffix = ".safetensors"

    def write(self, network: SequenceNetwork, file: Path) -> None:
        kept: dict[str, Tensor] = {}
        for name, values in network.state_dict().items():
            if values.ndim == 2 and values.is_floating_point():
                kept[name], kept[name + SCALE] = rounded(values.float().cpu())
            else:
                kept[name] = values.cpu().contiguous()
        write_atomically(file, save(kept))

    def read(self, file: Path, scaler: Scaler, config: ModelConfig, outputs: int) -> Scorer:
        network = new_network(scaler, config, outputs)
        try:
            kept = load_file(file)
            scales = {name: kept.pop(name) for name in list(kept) if name.endswith(SCALE)}
            network.load_state_dict(
                {
                    name: _restored(values, scales[name + SCALE]) if values.ndim == 2 else values
                    for name, values in kept.items()
                }
            )
        except (OSError, SafetensorError, RuntimeError, KeyError) as error:
            raise ModelUnusable(f"{file} does not hold the network of model.json") from error
        return network.eval()


def rounded(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """[R, C] int8 of a matrix [R, C], and the scale [R] of each row, its largest number at 127."""
    block = (1, matrix.shape[1])
    scale, zero = choose_qparams_affine(
        matrix, MappingType.SYMMETRIC, block, torch.int8, quant_min=-127, quant_max=127
    )
    whole = quantize_affine(matrix, block, scale, zero, torch.int8, quant_min=-127, quant_max=127)
    return whole.contiguous(), scale.contiguous()


def _restored(whole: Tensor, scale: Tensor) -> Tensor:
    block = (1, whole.shape[1])
    restored: Tensor = dequantize_affine(
        whole, block, scale, None, torch.int8, quant_min=-127, quant_max=127
    )
    return restored

"""Half of the weights of each matrix removed, the smallest (Han et al. 2015), then trained on.

Kept as the weights that are left and one bit for each that was there: about half of the file. A
dense product with zeros in it takes as long as one without, so scoring is no faster.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from models.checkpoints import write_atomically
from models.compression.fine_tuning import fine_tune
from models.compression.form import Form, Scorer, Training
from models.config import ModelConfig
from models.estimator import ModelUnusable, new_network
from models.network import SequenceNetwork
from models.scaling import Scaler

SHARE = 0.5
BITS = ".bits"


class PrunedWeightsForm(Form):
    """Any encoder. The straight line of the head is left whole: it is small and read by people."""

    suffix = ".safetensors"
    trains_on = True

    def compressed(
        self, network: SequenceNetwork, config: ModelConfig, training: Training
    ) -> SequenceNetwork:
        masks = masks_of(network, SHARE)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if name in masks:
                    parameter.mul_(masks[name])
        return fine_tune(network, config, training, masks)

    def write(self, network: SequenceNetwork, file: Path) -> None:
        kept: dict[str, Tensor] = {}
        for name, values in network.state_dict().items():
            whole = values.cpu().contiguous()
            if _is_pruned(name, whole):
                there = whole != 0
                kept[name], bits = whole[there], np.packbits(there.numpy().ravel())
                kept[name + BITS] = torch.from_numpy(bits)
            else:
                kept[name] = whole
        write_atomically(file, save(kept))

    def read(self, file: Path, scaler: Scaler, config: ModelConfig, outputs: int) -> Scorer:
        network = new_network(scaler, config, outputs)
        try:
            kept = load_file(file)
            network.load_state_dict(
                {name: _restored(name, like, kept) for name, like in network.state_dict().items()}
            )
        except (OSError, SafetensorError, RuntimeError, KeyError, ValueError) as error:
            raise ModelUnusable(f"{file} does not hold the network of model.json") from error
        return network.eval()


def masks_of(network: SequenceNetwork, share: float) -> dict[str, Tensor]:
    """Name of a matrix -> 1 where it stays, 0 at its smallest `share` of numbers."""
    masks = {}
    for name, values in network.named_parameters():
        if _is_pruned(name, values):
            order = values.detach().abs().flatten().argsort(stable=True)
            mask = torch.ones(values.numel())
            mask[order[: round(share * values.numel())]] = 0.0
            masks[name] = mask.view(values.shape)
    return masks


def _is_pruned(name: str, values: Tensor) -> bool:
    return values.ndim >= 2 and not name.startswith("head.line.")


def _restored(name: str, like: Tensor, kept: dict[str, Tensor]) -> Tensor:
    if not _is_pruned(name, like):
        return kept[name]
    there = np.unpackbits(kept[name + BITS].numpy(), count=like.numel()).astype(bool)
    whole = torch.zeros(like.numel())
    whole[torch.from_numpy(there)] = kept[name]
    return whole.view(like.shape)

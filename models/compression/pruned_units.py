"""Half of the units of each layer removed, the least important ones, then trained on.

What is left is an ordinary network of half the width: its products are smaller, and so it is
faster. A unit's importance is what the loss would change without it, to first order, squared and
summed over batches (Molchanov et al., CVPR 2019): of the weights w that read the unit, with
gradients g, (sum of w g)^2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from models.batches import assemble, plan_batches
from models.checkpoints import write_atomically
from models.compression.fine_tuning import fine_tune
from models.compression.form import CompressionImpossible, Form, Scorer, Training
from models.compression.graph import recurrence_of
from models.config import ModelConfig
from models.estimator import new_network, read_network
from models.losses import example_weights, weighted_loss_sum
from models.network import SequenceNetwork
from models.parts import known
from models.scaling import Scaler
from models.store import SequenceStore
from models.tasks import task_of

FIRST, LAST = "head.bend.1", "head.bend.4"
TOKENS = 4096


class PrunedUnitsForm(Form):
    """The encoder must be recurrent layers and nothing else; layers and head lose units alike."""

    suffix = ".safetensors"
    trains_on = True

    def config(self, config: ModelConfig) -> ModelConfig:
        if config.hidden_size < 2:
            raise CompressionImpossible("a network of one unit has no half")
        return config.model_copy(update={"hidden_size": config.hidden_size // 2})

    def compressed(
        self, network: SequenceNetwork, config: ModelConfig, training: Training
    ) -> SequenceNetwork:
        layers, rows = recurrence_of(network), known(training.store, training.part.train)
        found = importances(network, layers, training.store, rows, config.max_steps)
        kept = {name: _largest(values, len(values) // 2) for name, values in found.items()}
        smaller = self.config(config)
        new = new_network(network.inputs.scaler, smaller, network.outputs)
        new.load_state_dict(without_units(network, layers, kept))
        return fine_tune(new, smaller, training)

    def write(self, network: SequenceNetwork, file: Path) -> None:
        state = {name: values.cpu().contiguous() for name, values in network.state_dict().items()}
        write_atomically(file, save(state))

    def read(self, file: Path, scaler: Scaler, config: ModelConfig, outputs: int) -> Scorer:
        return read_network(file, scaler, config, outputs)


@dataclass(frozen=True)
class Readers:
    """Which weights read the units of a layer: the columns [start, start + H) of a parameter."""

    parameter: str
    start: int = 0


def importances(
    network: SequenceNetwork,
    layers: nn.RNNBase,
    store: SequenceStore,
    rows: np.ndarray,
    max_steps: int,
) -> dict[str, Tensor]:
    """Layer number, or "head" -> [H] importance of each unit, over the examples `rows`."""
    network.eval()
    readers, parameters = _readers(network, layers), dict(network.named_parameters())
    found = {name: torch.zeros(_size(name, network, layers)) for name in readers}
    task = task_of(store.task, store.levels)
    for chosen in plan_batches(store.lengths.clip(max=max_steps), rows, tokens=TOKENS):
        batch = assemble(store, chosen, max_steps=max_steps)
        network.zero_grad()
        weights = example_weights(batch.label, batch.weight, 1.0)
        raw = network(batch)
        loss = weighted_loss_sum(task, raw, batch.label, batch.scale, weights)
        torch.autograd.backward(loss / len(chosen))
        for name, read_by in readers.items():
            change = torch.zeros_like(found[name])
            for each in read_by:
                weight = parameters[each.parameter]
                columns = slice(each.start, each.start + len(change))
                if weight.grad is not None:
                    change += (weight.detach() * weight.grad)[:, columns].sum(dim=0)
            found[name] += change**2
    network.zero_grad()
    return found


def _readers(network: SequenceNetwork, layers: nn.RNNBase) -> dict[str, list[Readers]]:
    prefix, top = _prefix(network, layers), layers.num_layers - 1
    found = {str(n): [Readers(f"{prefix}weight_hh_l{n}")] for n in range(top + 1)}
    for number in range(top):
        found[str(number)].append(Readers(f"{prefix}weight_ih_l{number + 1}"))
    found[str(top)].append(Readers(f"{FIRST}.weight"))
    return found | {"head": [Readers(f"{LAST}.weight")]}


def _size(name: str, network: SequenceNetwork, layers: nn.RNNBase) -> int:
    if name != "head":
        return layers.hidden_size
    return int(network.get_parameter(f"{LAST}.weight").shape[1])


def _prefix(network: SequenceNetwork, layers: nn.RNNBase) -> str:
    found: str = next(name for name, part in network.named_modules() if part is layers)
    return f"{found}."


def _largest(values: Tensor, count: int) -> Tensor:
    """[count] positions of the largest numbers, in their order."""
    return values.argsort(descending=True, stable=True)[:count].sort().values


def without_units(
    network: SequenceNetwork, layers: nn.RNNBase, kept: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The weights of the network of the units `kept` (layer number, or "head" -> positions).

    Rows of all gates, columns of whatever reads the unit.
    """
    state = {name: values.detach().clone() for name, values in network.state_dict().items()}
    prefix, hidden = _prefix(network, layers), layers.hidden_size
    for number in range(layers.num_layers):
        own = kept[str(number)]
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            whole = state[f"{prefix}{name}_l{number}"]
            gates = torch.arange(len(whole) // hidden).unsqueeze(1) * hidden
            state[f"{prefix}{name}_l{number}"] = whole[(gates + own).flatten()]
        state[f"{prefix}weight_hh_l{number}"] = state[f"{prefix}weight_hh_l{number}"][:, own]
        if number:
            below, name = kept[str(number - 1)], f"{prefix}weight_ih_l{number}"
            state[name] = state[name][:, below]
    top, head = kept[str(layers.num_layers - 1)], kept["head"]
    facts = torch.arange(hidden, state[f"{FIRST}.weight"].shape[1])
    columns = torch.cat([top, facts])
    state[f"{FIRST}.weight"] = state[f"{FIRST}.weight"][head][:, columns]
    state[f"{FIRST}.bias"] = state[f"{FIRST}.bias"][head]
    state[f"{LAST}.weight"] = state[f"{LAST}.weight"][:, head]
    return state

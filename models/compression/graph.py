"""A network as an ONNX graph, built from its weights.

torch's exporter traces one batch: it has no operator for "the last true step of each row" and
writes out the scatter and gather that torch does instead. ONNX' own LSTM, GRU and RNN take the
length of each row, stop there and hand out its last state, so the graph is a handful of nodes.

Inputs: steps [T, B, I] float32, whatever lies beyond a row's length is not read; lengths [B]
int32; facts [B, F] float32. Output: raw [B, K].
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from models.compression.form import CompressionImpossible
from models.encoders.gru import GRUEncoder
from models.encoders.lstm import LSTMEncoder
from models.encoders.recurrent import RecurrentEncoder
from models.encoders.rnn import RNNEncoder
from models.heads import Head
from models.network import SequenceNetwork

Floats = npt.NDArray[np.float32]

OPSET = 20  # the first with Gelu
IR_VERSION = 10
# torch's gates i f g o and r z n; ONNX' i o f c and z r h.
GATES: dict[str, tuple[int, ...]] = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}


_node: Callable[..., onnx.NodeProto] = helper.make_node


@dataclass
class Graph:
    """Nodes and weights of a graph that is being written."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, kind: str, inputs: list[str], outputs: list[str], **attributes: int) -> str:
        """A node; the name of its last output."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(_node(kind, inputs, outputs, name=name, **attributes))
        return outputs[-1]

    def keep(self, name: str, values: npt.ArrayLike, kind: type[np.generic] = np.float32) -> str:
        """A weight, by that name."""
        array = np.ascontiguousarray(np.asarray(values, dtype=kind))
        self.weights.append(numpy_helper.from_array(array, name))
        return name


def recurrence_of(network: SequenceNetwork) -> nn.RNNBase:
    """The recurrent layers of an encoder that reads forwards, step by step, and nothing else.

    Raises:
        CompressionImpossible: the encoder reads its sequences in another way.
    """
    encoder = network.encoder
    if type(encoder) not in (LSTMEncoder, GRUEncoder, RNNEncoder):
        raise CompressionImpossible(f"an encoder of class {type(encoder).__name__} has none")
    recurrent = cast(RecurrentEncoder, encoder)
    if recurrent.decay is not None or recurrent.directions > 1:
        raise CompressionImpossible("an encoder with decay, or of both directions, has none")
    return recurrent.recurrence


@dataclass(frozen=True)
class Layer:
    """One recurrent layer in ONNX' words.

    weights: W [1, gates H, I], R [1, gates H, H] and B [1, 2 gates H], gates as ONNX' order.
    start: state and memory [1, 1, H] that each row starts from; None for zeros.
    """

    weights: dict[str, Floats]
    start: tuple[Floats, Floats] | None = None


@dataclass(frozen=True)
class Layers:
    """All recurrent layers. kept: the first so many of the top state's units are the head's."""

    kind: str
    layers: tuple[Layer, ...]
    input_size: int
    hidden_size: int
    kept: int


def graph_of(network: SequenceNetwork, layers: Layers | None = None) -> onnx.ModelProto:
    """The encoder and the head of a network as an ONNX model.

    layers: in place of the network's own.

    Raises:
        CompressionImpossible: see `recurrence_of`.
    """
    graph, layers = Graph(), layers or layers_of(recurrence_of(network))
    raw = _head(graph, network, _encoder(graph, layers))
    inputs = [
        helper.make_tensor_value_info("steps", TensorProto.FLOAT, ["T", "B", layers.input_size]),
        helper.make_tensor_value_info("lengths", TensorProto.INT32, ["B"]),
        helper.make_tensor_value_info("facts", TensorProto.FLOAT, ["B", network.inputs.fact_size]),
    ]
    outputs = [helper.make_tensor_value_info(raw, TensorProto.FLOAT, ["B", network.outputs])]
    whole = helper.make_graph(graph.nodes, "sequence_network", inputs, outputs, graph.weights)
    model = helper.make_model(
        whole, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def layers_of(found: nn.RNNBase) -> Layers:
    """The layers of torch's module."""
    kind = {nn.LSTM: "LSTM", nn.GRU: "GRU", nn.RNN: "RNN"}[type(found)]
    layers = tuple(Layer(_weights(kind, four)) for four in found.all_weights)
    return Layers(kind, layers, found.input_size, found.hidden_size, found.hidden_size)


def _weights(kind: str, four: Sequence[Tensor]) -> dict[str, Floats]:
    from_input, from_state, *biases = (_reordered(each, GATES[kind]) for each in four)
    return {"W": from_input[None], "R": from_state[None], "B": np.concatenate(biases)[None]}


def _reordered(weight: Tensor, order: tuple[int, ...]) -> Floats:
    gates = np.split(weight.detach().cpu().numpy().astype(np.float32), len(order))
    return np.concatenate([gates[number] for number in order])


def _encoder(graph: Graph, layers: Layers) -> str:
    """Nodes of all layers; the name of the last state [B, H], 0 of a row without steps."""
    extra = {"linear_before_reset": 1} if layers.kind == "GRU" else {}
    read, first = "steps", graph.keep("first_axis", [0], np.int64)
    second, last = graph.keep("second_axis", [1], np.int64), ""
    for number, layer in enumerate(layers.layers):
        names = [graph.keep(f"{name}_{number}", each) for name, each in layer.weights.items()]
        start = _start(graph, layer, number)
        states, last = f"states_{number}", f"last_{number}"
        inputs = [read, *names, "lengths", *start]
        size = layers.hidden_size
        graph.add(layers.kind, inputs, [states, last], hidden_size=size, **extra)
        if number + 1 < len(layers.layers):
            read = graph.add("Squeeze", [states, second], [f"read_{number}"])
    pooled = graph.add("Squeeze", [last, first], ["last_state"])
    if layers.kept < layers.hidden_size:
        ends = [graph.keep("from", [0], np.int64), graph.keep("to", [layers.kept], np.int64)]
        pooled = graph.add("Slice", [pooled, *ends, second], ["kept_state"])
    # ONNX does not say what the last state of an empty row is.
    graph.add("Greater", ["lengths", graph.keep("zero_steps", 0, np.int32)], ["has_steps"])
    graph.add("Unsqueeze", ["has_steps", second], ["has_steps_column"])
    return graph.add("Where", ["has_steps_column", pooled, graph.keep("zero", 0.0)], ["pooled"])


def _start(graph: Graph, layer: Layer, number: int) -> list[str]:
    """Names of the state and the memory [1, B, H] that the rows start from; none for zeros."""
    if layer.start is None:
        return []
    if "shape" not in {node.output[0] for node in graph.nodes}:
        graph.add("Shape", ["lengths"], ["rows"])
        ends = graph.keep("one", [1], np.int64)
        graph.add("Concat", [ends, "rows", ends], ["shape"], axis=0)
    return [
        graph.add(
            "Expand", [graph.keep(f"{name}_{number}", each), "shape"], [f"all_{name}_{number}"]
        )
        for name, each in zip(("h", "c"), layer.start, strict=True)
    ]


def _head(graph: Graph, network: SequenceNetwork, pooled: str) -> str:
    """The head's bend (perceptron) and line, as in models/heads.py; dropout does nothing here."""
    if type(network.head) is not Head:
        raise CompressionImpossible(f"a head of class {type(network.head).__name__} has no graph")
    bend, line = network.head.bend, network.head.line
    linear = [part for part in bend if isinstance(part, nn.Linear)]
    graph.add("Concat", [pooled, "facts"], ["both"], axis=1)
    hidden = _linear(graph, "first", linear[0], "both")
    graph.add("Gelu", [hidden], ["bent"])
    graph.add(
        "Add",
        [_linear(graph, "last", linear[1], "bent"), _linear(graph, "line", line, "facts")],
        ["raw"],
    )
    return "raw"


def _linear(graph: Graph, name: str, layer: nn.Linear, read: str) -> str:
    weight = graph.keep(f"{name}_weight", layer.weight.detach().cpu().numpy())
    bias = graph.keep(f"{name}_bias", layer.bias.detach().cpu().numpy())
    return graph.add("Gemm", [read, weight, bias], [f"{name}_out"], transB=1)

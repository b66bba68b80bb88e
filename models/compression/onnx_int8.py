"""The LSTM in 8-bit integers: weights per gate and unit, inputs and states at a fixed scale.

ONNX Runtime's DynamicQuantizeLSTM takes the scale of what it multiplies from the largest and the
smallest number of the whole batch: an outlier among the batch mates would coarsen everybody's
numbers. So two marks are held in what it looks at: two more inputs that are always +5 and -5 (the
inputs are cut there), and two more units whose state is always +1 and -1. Nothing reads them, and
the scales are the same in every batch: as integers add up exactly, batch mates and padding change
no bit. The head stays float32: it is a small share of the work.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import QuantType, quantize_dynamic

from models.checkpoints import write_atomically
from models.compression.form import CompressionImpossible, Form, Scorer
from models.compression.graph import Floats, Layer, Layers, graph_of, layers_of, recurrence_of
from models.compression.runtime import MARKS, RuntimeNetwork
from models.config import ModelConfig
from models.network import SequenceNetwork
from models.scaling import Scaler

# Far out on the sigmoid and the tanh: 1 and +-1 in float32.
SATURATED = 30.0
INPUT_GATE, OUTPUT_GATE, FORGET_GATE = 0, 1, 2


class OnnxInt8Form(Form):
    """The encoder must be an LSTM: ONNX Runtime has no other recurrent layer in integers."""

    suffix = ".onnx"

    def write(self, network: SequenceNetwork, file: Path) -> None:
        layers = layers_of(recurrence_of(network))
        if layers.kind != "LSTM":
            raise CompressionImpossible("only an LSTM has a graph in 8-bit integers")
        if "none" in (network.inputs.channels.kind, network.inputs.statics.kind):
            raise CompressionImpossible("values that are not scaled have no fixed range")
        whole = graph_of(network, with_marks(layers))
        # Our graph has no shape left to infer: quantize_dynamic need not warn of it.
        whole.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")
        with tempfile.TemporaryDirectory() as folder:
            draft = Path(folder) / "int8.onnx"
            quantize_dynamic(
                whole,
                draft,
                op_types_to_quantize=["LSTM"],
                per_channel=True,
                weight_type=QuantType.QInt8,
            )
            smaller = onnx.load(draft)
        write_atomically(file, smaller.SerializeToString(deterministic=True))

    def read(self, file: Path, scaler: Scaler, config: ModelConfig, outputs: int) -> Scorer:
        return RuntimeNetwork(file, scaler, outputs, config.threads, marks=MARKS)


def with_marks(layers: Layers) -> Layers:
    """The same layers with two more inputs and two more units, which no other unit reads."""
    inputs, units = layers.input_size, layers.hidden_size
    return Layers(
        kind=layers.kind,
        layers=tuple(_marked(layer, units) for layer in layers.layers),
        input_size=inputs + 2,
        hidden_size=units + 2,
        kept=units,
    )


def _marked(layer: Layer, units: int) -> Layer:
    bias = _widened(layer.weights["B"].reshape(8, units, 1))[..., 0]  # W's four gates, then R's
    bias[INPUT_GATE, units:] = -SATURATED
    bias[OUTPUT_GATE, units:] = SATURATED
    bias[FORGET_GATE, units:] = SATURATED
    start = np.zeros((1, 1, units + 2), dtype=np.float32)
    start[0, 0, units:] = 1.0, -1.0
    gates, weights = layer.weights["W"].reshape(4, units, -1), 4 * (units + 2)
    states = layer.weights["R"].reshape(4, units, -1)
    return Layer(
        weights={
            "W": _widened(gates, 2).reshape(1, weights, -1),
            "R": _widened(states, 2).reshape(1, weights, -1),
            "B": bias.reshape(1, -1),
        },
        start=(start, SATURATED * start),
    )


def _widened(gates: Floats, more: int = 0) -> Floats:
    """Gates [G, H, I] with two more units, and so many more inputs, all zero."""
    return np.pad(gates, ((0, 0), (0, 2), (0, more)))

"""The network as an ONNX graph in float32: the same answers without torch's arithmetic."""

from pathlib import Path

from models.checkpoints import write_atomically
from models.compression.form import Form, Scorer
from models.compression.graph import graph_of
from models.compression.runtime import RuntimeNetwork
from models.config import ModelConfig
from models.network import SequenceNetwork
from models.scaling import Scaler


class OnnxForm(Form):
    """Equal to the trained network within 1e-5."""

    suffix = ".onnx"

    def write(self, network: SequenceNetwork, file: Path) -> None:
        write_atomically(file, graph_of(network).SerializeToString(deterministic=True))

    def read(self, file: Path, scaler: Scaler, config: ModelConfig, outputs: int) -> Scorer:
        return RuntimeNetwork(file, scaler, outputs, config.threads)

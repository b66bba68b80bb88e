"""A network that ONNX Runtime answers for: our inputs in, the graph's raw answers out."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch
from torch import Tensor, nn

from models.batches import Batch, Rows, plan_batches
from models.compression.packed import Packer
from models.estimator import ModelUnusable
from models.inputs import Inputs
from models.scaled_values import EXTREME_DEVIATIONS
from models.scaling import Scaler
from models.store import SequenceStore

# Where inputs are cut if they are to be integers. Scaled values end there already.
MARKS = EXTREME_DEVIATIONS
# Time steps of a batch: what is read of it stays in a core's cache.
TOKENS = 4096


class RuntimeNetwork(nn.Module):
    """Raw [B, K] of a Batch; scaling and facts are computed here, as for a trained network.

    threads: of ONNX Runtime; one gives the same bits on every run.
    marks: the graph wants two more inputs, always this number and its negative, and no input
        beyond them (see models/compression/onnx_int8.py).
    """

    def __init__(
        self, file: Path, scaler: Scaler, outputs: int, threads: int = 1, marks: float | None = None
    ) -> None:
        super().__init__()
        self.outputs, self.marks = outputs, marks
        self.inputs = Inputs(scaler)
        self.pack = Packer(self.inputs, marks)
        self.session = session_of(file, threads)
        shape = {one.name: one.shape for one in self.session.get_inputs()}
        found = (shape["steps"][2], shape["facts"][1], self.session.get_outputs()[0].shape[1])
        width = self.inputs.step_size + (0 if marks is None else 2)
        if found != (width, self.inputs.fact_size, outputs):
            raise ModelUnusable(f"{file} does not hold the network of model.json")

    @torch.inference_mode()
    def forward(self, batch: Batch) -> Tensor:
        inputs, facts = self.inputs(batch)  # [B, T, I], [B, F]
        steps, lengths = front_aligned(inputs, batch.steps, self.marks)
        return torch.from_numpy(self.run(steps, lengths, facts.cpu().numpy()))

    def predict(self, store: SequenceStore, rows: Rows, max_steps: int) -> npt.NDArray[np.float64]:
        """[R, K] raw answers for the examples `rows` [R], computed in order of length."""
        answers = np.empty((len(store), self.outputs), dtype=np.float64)
        for chosen in plan_batches(store.lengths.clip(max=max_steps), rows, tokens=TOKENS):
            packed = self.pack(store, chosen, max_steps)
            answers[chosen] = self.run(packed.steps, packed.lengths, packed.facts)
        return answers[rows]

    def run(
        self,
        steps: npt.NDArray[np.float32],
        lengths: npt.NDArray[np.int32],
        facts: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        """[B, K] raw of steps [T, B, I], lengths [B] and facts [B, F]."""
        feeds = {"steps": steps, "lengths": lengths, "facts": facts}
        raw: npt.NDArray[np.float32] = self.session.run(["raw"], feeds)[0]
        return raw


def session_of(file: Path, threads: int) -> ort.InferenceSession:
    """A session of the graph in `file` on the CPU. Raises ModelUnusable where it is none."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = 3
    try:
        # From bytes: a file may name others beside it, and nothing outside the manifest is read.
        session = ort.InferenceSession(
            file.read_bytes(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime has a class of its own for each kind of damage
        raise ModelUnusable(f"{file} does not hold the network of model.json") from error
    if {one.name for one in session.get_inputs()} != {"steps", "lengths", "facts"}:
        raise ModelUnusable(f"{file} does not hold the network of model.json")
    return session


def front_aligned(
    inputs: Tensor, steps: Tensor, marks: float | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """[T, B, I] inputs of [B, T, I], the true steps of each row first, and the lengths [B].

    marks: two more inputs, this number and its negative, beyond which nothing lies.
    """
    if bool((steps[:, 1:] & ~steps[:, :-1]).any()):  # padding lies before true steps
        order = torch.argsort((~steps).to(torch.uint8), dim=1, stable=True)
        inputs = inputs.gather(1, order.unsqueeze(2).expand(inputs.shape))
    lengths = steps.sum(dim=1).to(torch.int32)
    rows, width, size = inputs.shape
    read = torch.empty(width, rows, size + (0 if marks is None else 2))
    if marks is None:
        read.copy_(inputs.transpose(0, 1))
    else:
        torch.clamp(inputs.transpose(0, 1), -marks, marks, out=read[:, :, :size])
        read[:, :, size], read[:, :, size + 1] = marks, -marks
    return read.numpy(), lengths.cpu().numpy()

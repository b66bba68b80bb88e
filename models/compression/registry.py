"""The forms of a smaller model by name. Light: a command line knows them without torch.

A new form is one file that holds one class, and one line here.
"""

from dataclasses import dataclass

# A model as its training wrote it; every other form was made of such a one.
TRAINED = "trained"


@dataclass(frozen=True)
class Entry:
    """Where a form is made, and what it is in a report's words."""

    module: str
    name: str
    words: str


FORMS: dict[str, Entry] = {
    "onnx": Entry(
        "models.compression.onnx_form", "OnnxForm", "ONNX graph in float32, run by ONNX Runtime"
    ),
    "onnx_int8": Entry(
        "models.compression.onnx_int8",
        "OnnxInt8Form",
        "ONNX graph, LSTM in 8-bit integers, run by ONNX Runtime",
    ),
    "torchao_int8": Entry(
        "models.compression.weight_only",
        "WeightOnlyForm",
        "matrices stored in 8-bit integers, arithmetic in float32",
    ),
    "pruned_magnitude": Entry(
        "models.compression.pruned_weights",
        "PrunedWeightsForm",
        "half of the encoder's and the head's weights removed by size, trained on",
    ),
    "pruned_units": Entry(
        "models.compression.pruned_units",
        "PrunedUnitsForm",
        "half of the units removed by importance, trained on",
    ),
}

# Imported by name, so whoever asks what code decides a number must be told of them.
FORM_MODULES = tuple(sorted({entry.module for entry in FORMS.values()}))

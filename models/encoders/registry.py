"""The encoders by name. Light: a study is checked against it without torch.

A new encoder is one file that holds one class, and one line here.
"""

from dataclasses import dataclass

RECURRENT = frozenset({"bidirectional", "decay", "recurrent_dropout"})
CONVOLUTION = frozenset({"kernel_size"})


@dataclass(frozen=True)
class Entry:
    """Where an encoder is made and which options of a study's `encoder` section it knows."""

    module: str
    name: str
    options: frozenset[str] = frozenset()


ENCODERS: dict[str, Entry] = {
    "lstm": Entry("models.encoders.lstm", "LSTMEncoder", RECURRENT),
}

# Imported by name, so whoever asks what code decides a number must be told of them.
ENCODER_MODULES = tuple(sorted({entry.module for entry in ENCODERS.values()}))

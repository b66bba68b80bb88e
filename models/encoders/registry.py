"""The encoders by name. Light: a study is checked against it without torch.

A new encoder is one file that holds one class, and one line here.
"""

from dataclasses import dataclass

RECURRENT = frozenset({"bidirectional", "decay", "recurrent_dropout"})
CONVOLUTION = frozenset({"kernel_size"})
# What has been convolved is no channel any more whose last value could fade.
RECURRENT_AFTER_CONVOLUTION = CONVOLUTION | RECURRENT - {"decay"}


@dataclass(frozen=True)
class Entry:
    """Where an encoder is made and what a study may ask of it.

    Attributes:
        options: of a study's `encoder` section, those that it knows.
        is_causal: the state of a step knows no later step (unless it is read from both ends).
        can_carry: it goes on from where it stopped, so that the gradient can be truncated.
    """

    module: str
    name: str
    options: frozenset[str] = frozenset()
    is_causal: bool = True
    can_carry: bool = False


ENCODERS: dict[str, Entry] = {
    "lstm": Entry("models.encoders.lstm", "LSTMEncoder", RECURRENT, can_carry=True),
    "gru": Entry("models.encoders.gru", "GRUEncoder", RECURRENT, can_carry=True),
    "rnn": Entry("models.encoders.rnn", "RNNEncoder", RECURRENT, can_carry=True),
    "attention": Entry("models.encoders.attention", "AttentionEncoder", RECURRENT),
    "cnn_lstm": Entry("models.encoders.cnn_lstm", "CNNLSTMEncoder", RECURRENT_AFTER_CONVOLUTION),
    "tcn": Entry("models.encoders.tcn", "TCNEncoder", CONVOLUTION),
}

# Imported by name, so whoever asks what code decides a number must be told of them.
ENCODER_MODULES = tuple(sorted({entry.module for entry in ENCODERS.values()}))

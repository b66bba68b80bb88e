"""The encoders and the heads that every property is tested for: a new one adds a line here.

A kind that the registry has and this table has not fails a test.
"""

from typing import Any

from models.config import ModelConfig
from models.encoders.registry import ENCODERS

Section = dict[str, Any]

# What a study would write; sizes as small as shows everything.
ENCODER_CASES: dict[str, Section] = {
    "lstm": {},
    "lstm, two layers": {"layers": 2},
    "lstm, both ends, two layers": {"encoder": {"bidirectional": True}, "layers": 2},
    "lstm, decay, two layers": {"encoder": {"decay": True}, "layers": 2},
    "gru": {"encoder": "gru"},
    "gru, both ends": {"encoder": {"kind": "gru", "bidirectional": True}},
    "gru, decay": {"encoder": {"kind": "gru", "decay": True}},
    "gru, decay, both ends": {"encoder": {"kind": "gru", "decay": True, "bidirectional": True}},
    "rnn, two layers": {"encoder": "rnn", "layers": 2},
    "rnn, both ends": {"encoder": {"kind": "rnn", "bidirectional": True}},
    "rnn, decay": {"encoder": {"kind": "rnn", "decay": True}},
    "attention": {"encoder": "attention"},
    "attention, decay, both ends": {
        "encoder": {"kind": "attention", "decay": True, "bidirectional": True}
    },
    "cnn_lstm": {"encoder": "cnn_lstm"},
    "cnn_lstm, wide, both ends": {
        "encoder": {"kind": "cnn_lstm", "kernel_size": 5, "bidirectional": True}
    },
    "tcn": {"encoder": {"kind": "tcn", "kernel_size": 2}},
    "tcn, two levels": {"encoder": "tcn", "layers": 2},
}

# The task of the store, and what the study says of the head.
HEAD_CASES: dict[str, tuple[str, Section]] = {
    "risk": ("risk", {}),
    "volatility": ("volatility", {}),
    "quantiles": ("quantiles", {}),
    "hazard": ("risk", {"head": "hazard", "hazard_bins": 4}),
    "other outcomes beside": ("risk", {"other_labels_share": 0.4}),
}


def config_of(encoder: str, head: str = "risk", hidden_size: int = 6) -> ModelConfig:
    """The model section of an encoder's case with a head's, without dropout."""
    section = {"hidden_size": hidden_size, "dropout": 0.0, **HEAD_CASES[head][1]}
    section |= {k: v for k, v in ENCODER_CASES[encoder].items() if k != "encoder"}
    kind = ENCODER_CASES[encoder].get("encoder", "lstm")
    return ModelConfig.model_validate(section | {"encoder": kind})


def is_causal(encoder: str) -> bool:
    """Whether a state knows no later step, as an objective of every step demands."""
    options = config_of(encoder).encoder
    return ENCODERS[options.kind].is_causal and not options.bidirectional


def is_sampled(encoder: str, head: str) -> bool:
    """Whether a costly trial of the pair is in every run: each encoder once, each head once.

    The rest is of the long trials.
    """
    return head == "risk" or encoder == "gru"

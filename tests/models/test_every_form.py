"""Every encoder x head x compressed form: kept by the same properties, or refused in words.

A new encoder, head or form fails here until a line of a table decides on it. Half of the network
removed is another network: it is compared with what was left of it before it was written.
"""

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.batches import Padding, assemble
from models.compression.form import CompressionImpossible, Training, form_of
from models.compression.registry import FORMS
from models.config import ModelConfig
from models.network import SequenceNetwork
from models.parts import part_of
from models.store import SequenceStore
from tests.models.encoders.cases import ENCODER_CASES, HEAD_CASES, config_of, is_sampled
from tests.models.generated_stores import everyone, make_store
from tests.models.test_compression import answers, kept, paddings
from tests.models.test_masking import MAX_STEPS, network_for

ANY = frozenset(FORMS)
# What needs plain recurrent layers, read forwards; ONNX Runtime has only the LSTM in integers.
RECURRENT = frozenset({"onnx", "pruned_units"})
OF_LSTM = RECURRENT | {"onnx_int8"}
OF_EVERY_NETWORK = ANY - OF_LSTM

# Encoder case -> the forms it has; whatever is not there is refused in words.
FORMS_OF_ENCODERS: dict[str, frozenset[str]] = {
    "lstm": ANY,
    "lstm, two layers": ANY,
    "lstm, both ends, two layers": OF_EVERY_NETWORK,
    "lstm, decay, two layers": OF_EVERY_NETWORK,
    "gru": OF_EVERY_NETWORK | RECURRENT,
    "gru, both ends": OF_EVERY_NETWORK,
    "gru, decay": OF_EVERY_NETWORK,
    "gru, decay, both ends": OF_EVERY_NETWORK,
    "rnn, two layers": OF_EVERY_NETWORK | RECURRENT,
    "rnn, both ends": OF_EVERY_NETWORK,
    "rnn, decay": OF_EVERY_NETWORK,
    "attention": OF_EVERY_NETWORK,
    "attention, decay, both ends": OF_EVERY_NETWORK,
    "cnn_lstm": OF_EVERY_NETWORK,
    "cnn_lstm, wide, both ends": OF_EVERY_NETWORK,
    "tcn": OF_EVERY_NETWORK,
    "tcn, two levels": OF_EVERY_NETWORK,
}
# A hazard's sum over parts of the horizon is written into no graph.
FORMS_OF_HEADS = dict.fromkeys(HEAD_CASES, ANY) | {"hazard": ANY - {"onnx", "onnx_int8"}}

# Largest difference from the network that was written, by the spread of its answers if that is
# larger than 1. Of integers: weights (and states) are rounded to 1/127 of their range.
PARITY = {
    "onnx": 1e-5,
    "onnx_int8": 0.1,
    "torchao_int8": 0.1,
    "pruned_magnitude": 1e-6,
    "pruned_units": 1e-6,
}
# By padding and company, absolute and of the answer; int8 too: integers add up exactly.
TOLERANCE = 1e-6
LENGTHS = [4, 0, 6, 2, 9, 1, 7, 3, 5, 8]
EXAMPLES = 2

COMBINATIONS = [(e, h, f) for e in FORMS_OF_ENCODERS for h in FORMS_OF_HEADS for f in FORMS]
HAS_FORM = [
    (encoder, head, form)
    for encoder, head, form in COMBINATIONS
    if form in FORMS_OF_ENCODERS[encoder] & FORMS_OF_HEADS[head]
]
REFUSED = sorted(set(COMBINATIONS) - set(HAS_FORM))


def _costly(combinations: list[tuple[str, str, str]]) -> list[Any]:
    """Those that are not sampled are of the long trials."""
    return [
        pytest.param(*one, marks=() if is_sampled(one[0], one[1]) else pytest.mark.slow)
        for one in combinations
    ]


@cache
def network_of(encoder: str, head: str) -> tuple[SequenceNetwork, ModelConfig, SequenceStore]:
    """As a model directory holds it: the head of the other outcomes went with the training."""
    config, store = config_of(encoder, head), make_store(LENGTHS * 8, 3, HEAD_CASES[head][0])
    alone = config.model_copy(update={"other_labels_share": 0.0})
    return network_for(store, alone).eval(), config, store


@cache
def smaller_of(encoder: str, head: str, form: str) -> tuple[SequenceNetwork, ModelConfig]:
    """What the form makes of the network before it is written."""
    network, config, store = network_of(encoder, head)
    made, training = form_of(form), Training(store, part_of("released", store.split), 0)
    # Pruning alters the weights in place.
    return made.compressed(deepcopy(network), config, training), made.config(config)


def test_every_encoder_head_and_form_is_decided_on() -> None:
    assert set(FORMS_OF_ENCODERS) == set(ENCODER_CASES)
    assert set(FORMS_OF_HEADS) == set(HEAD_CASES)
    assert set().union(*FORMS_OF_ENCODERS.values()) == set(PARITY) == set(FORMS)


@pytest.mark.parametrize(("encoder", "head", "form"), REFUSED)
def test_a_form_that_is_not_there_is_refused_in_words(
    encoder: str, head: str, form: str, tmp_path: Path
) -> None:
    with pytest.raises(CompressionImpossible, match=r"has none|has no graph|only an LSTM"):
        kept(*smaller_of(encoder, head, form), form, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("encoder", "head", "form"), _costly(HAS_FORM))
@settings(
    deadline=None,
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    lengths=st.lists(st.integers(0, 10), min_size=1, max_size=4),
    seed=st.integers(0, 99),
    padding=paddings,
)
def test_a_form_answers_as_it_was_written_whatever_the_padding_and_the_company(
    encoder: str,
    head: str,
    form: str,
    lengths: list[int],
    seed: int,
    padding: Padding,
    tmp_path: Path,
) -> None:
    """Of a padded batch what a loop over single sequences says, and near what was written."""
    network, config = smaller_of(encoder, head, form)
    scorer, store = kept(network, config, form, tmp_path), make_store(lengths, seed)
    alone = torch.cat([answers(scorer, store, np.array([row])) for row in everyone(store)])
    batch = assemble(store, everyone(store), max_steps=MAX_STEPS, padding=padding)
    with torch.inference_mode():
        together = scorer(batch)
    torch.testing.assert_close(together, alone, rtol=TOLERANCE, atol=TOLERANCE)
    written = answers(network, store, everyone(store))
    spread = float(answers(network, *of_training(encoder, head)).std())
    torch.testing.assert_close(alone, written, rtol=0.0, atol=PARITY[form] * max(1.0, spread))


def of_training(encoder: str, head: str) -> tuple[SequenceStore, np.ndarray]:
    store = network_of(encoder, head)[2]
    return store, everyone(store)


@pytest.mark.parametrize(
    ("encoder", "head", "form"), _costly([c for c in HAS_FORM if c[2] != "onnx"])
)
def test_a_form_that_prunes_or_rounds_is_another_network(
    encoder: str, head: str, form: str, tmp_path: Path
) -> None:
    """What would pass the other tests by leaving the network as it is."""
    scorer = kept(*smaller_of(encoder, head, form), form, tmp_path)
    where = of_training(encoder, head)
    moved = answers(scorer, *where) - answers(network_of(encoder, head)[0], *where)
    assert float(moved.abs().max()) > 1e-5

"""Every encoder x head x method: explained by the same properties, or refused in words.

A new encoder, head or method fails here until a line of a table decides on it.
"""

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batches import Batch, Padding, assemble
from models.encoders.encoder import Sequences
from models.explanations.attribution import Attribution
from models.explanations.explained import Explained, ExplanationImpossible
from models.explanations.path import Path
from models.explanations.registry import METHODS
from models.tasks import task_of
from tests.models.encoders.cases import (
    ENCODER_CASES,
    HEAD_CASES,
    config_of,
    is_causal,
    is_sampled,
)
from tests.models.explanations.explained_examples import batch_of
from tests.models.generated_stores import make_store
from tests.models.test_masking import MAX_STEPS, network_for, paddings

ALL = frozenset(METHODS)
ALONG_A_PATH = frozenset({"integrated_gradients", "gradient_shap"})

# Encoder case -> the methods that explain it; whatever is not there is refused in words.
EXPLAINED: dict[str, frozenset[str]] = {
    "lstm": ALL,
    "lstm, two layers": ALL,
    "lstm, both ends, two layers": ALL,
    "lstm, decay, two layers": ALL,
    "gru": ALL,
    "gru, both ends": ALL,
    "gru, decay": ALL,
    "gru, decay, both ends": ALL - ALONG_A_PATH,
    "rnn, two layers": ALL,
    "rnn, both ends": ALL,
    "rnn, decay": ALL,
    "attention": ALL,
    "attention, decay, both ends": ALL - ALONG_A_PATH,
    "cnn_lstm": ALL,
    "cnn_lstm, wide, both ends": ALL,
    "tcn": ALL,
    "tcn, two levels": ALL,
}
# Head -> which of the raw answers is the one that is explained.
ANSWERS = {"risk": 0, "volatility": 0, "quantiles": 2, "hazard": 0}
# No stored network has the head of the other outcomes: what is left is that of a risk.
WHILE_TRAINING_ONLY = {"other outcomes beside"}

COMBINATIONS = [
    pytest.param(
        encoder,
        head,
        method,
        id=f"{encoder}-{head}-{method}",
        marks=() if is_sampled(encoder, head) else pytest.mark.slow,
    )
    for encoder, methods in EXPLAINED.items()
    for head in ANSWERS
    for method in sorted(methods)
]
TOLERANCE = 1e-6  # absolute, and of each contribution
LARGEST_ERROR = 1e-3  # of the range of the answers
SUBJECTS = 24
EXAMPLES = 2  # of each combination; there are more than three hundred
two = st.lists(st.integers(0, 4), min_size=2, max_size=2)


@cache
def explained_of(encoder: str, head: str) -> Explained:
    task = HEAD_CASES[head][0]
    store = make_store([9] * 50, task=task)
    network = network_for(store, config_of(encoder, head)).eval()
    return Explained.of([network], task_of(task, store.levels))


def told(found: Attribution, batch: Batch) -> list[torch.Tensor]:
    """Each subject's contributions at its true steps, wherever the padding was."""
    rows = zip(found.observations, found.statics, batch.steps, strict=True)
    return [torch.cat([cells[steps].flatten(), statics]) for cells, statics, steps in rows]


def test_every_encoder_head_and_method_is_decided_on() -> None:
    assert set(EXPLAINED) == set(ENCODER_CASES)
    assert set(ANSWERS) | WHILE_TRAINING_ONLY == set(HEAD_CASES)
    assert set().union(*EXPLAINED.values()) == set(METHODS)


@pytest.mark.parametrize("encoder", [case for case in EXPLAINED if EXPLAINED[case] != ALL])
def test_what_is_not_explained_is_refused_in_words(encoder: str) -> None:
    explained, batch = explained_of(encoder, "risk"), batch_of(make_store([4, 2]))
    for method in ALL - EXPLAINED[encoder]:
        with pytest.raises(ExplanationImpossible, match="decay that reads from both ends"):
            METHODS[method].explain(explained, batch)


@pytest.mark.parametrize(("head", "output"), ANSWERS.items())
def test_one_answer_of_a_head_is_explained(head: str, output: int) -> None:
    explained, batch = explained_of("lstm", head), batch_of(make_store([4, 2], 0, "risk"))
    raw = explained.networks[0](batch)[:, output]
    torch.testing.assert_close(explained(batch), raw, rtol=0.0, atol=0.0)


@pytest.mark.parametrize(("encoder", "head", "method"), COMBINATIONS)
@settings(deadline=None, max_examples=EXAMPLES)
@given(lengths=two, seed=st.integers(0, 99), padding=paddings)
def test_padding_and_company_change_no_contribution_and_have_none(
    encoder: str, head: str, method: str, lengths: list[int], seed: int, padding: Padding
) -> None:
    """Of a padded batch what a loop over single subjects says; 0 where nothing was observed."""
    store, explained = make_store(lengths, seed, HEAD_CASES[head][0]), explained_of(encoder, head)
    explain, padded = METHODS[method].explain, batch_of(store, padding)
    found = explain(explained, padded)
    assert (found.observations[~padded.steps] == 0.0).all()
    assert (found.observations[~padded.observed] == 0.0).all()
    assert found.players().isfinite().all()
    for row, ours in enumerate(told(found, padded)):
        alone = assemble(store, np.array([row]), max_steps=MAX_STEPS)
        (own,) = told(explain(explained, alone), alone)
        torch.testing.assert_close(ours, own, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("encoder", "head", "method"),
    [one for one in COMBINATIONS if METHODS[str(one.values[2])].adds_up],
)
def test_contributions_add_up(encoder: str, head: str, method: str) -> None:
    lengths = np.random.default_rng(0).integers(0, 9, SUBJECTS).tolist()
    batch = batch_of(make_store(lengths, 3, HEAD_CASES[head][0]))
    found = METHODS[method].explain(explained_of(encoder, head), batch)
    spread = float(found.answer.max() - found.answer.min())
    assert spread > 0.1
    assert float(found.missing.abs().max()) <= LARGEST_ERROR * spread


@pytest.mark.parametrize("encoder", [case for case in EXPLAINED if EXPLAINED[case] == ALL])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_what_a_step_says_depends_on_the_presence_of_no_later_observation(
    encoder: str, share: float
) -> None:
    """Anywhere on the way to the reference; of an encoder that is not causal it does depend."""
    explained, step = explained_of(encoder, "risk"), 3
    path = Path.of(explained, batch_of(make_store([6, 8], seed=2)))
    cells, statics = path.whole()
    cells = (share * cells).requires_grad_()
    sequences: Sequences = path.at(cells, statics)[0]
    states = explained.networks[0].encoder(sequences).states
    (gradient,) = torch.autograd.grad(states[:, : step + 1].sum(), cells)
    assert (gradient[:, : step + 1] != 0.0).any()
    assert bool((gradient[:, step + 1 :] == 0.0).all()) == is_causal(encoder)

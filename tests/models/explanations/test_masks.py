"""Padding and company change no contribution; what was not observed contributes exactly nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.batches import Batch, Padding, assemble
from models.explanations.attribution import Attribution
from models.explanations.registry import METHODS
from models.store import TASKS
from tests.models.explanations.explained_examples import batch_of, explained_for
from tests.models.generated_stores import everyone, make_store
from tests.models.test_masking import MAX_STEPS, paddings

TOLERANCE = 1e-6
EXPLAINED = {task: explained_for(task) for task in TASKS}
methods = st.sampled_from(sorted(METHODS))
short = st.lists(st.integers(0, 5), min_size=1, max_size=3)


def told(found: Attribution, batch: Batch) -> list[torch.Tensor]:
    """Each subject's contributions at its true steps, wherever the padding was."""
    rows = zip(found.observations, found.statics, batch.steps, strict=True)
    return [torch.cat([cells[steps].flatten(), statics]) for cells, statics, steps in rows]


@settings(deadline=None, max_examples=40)
@given(short, st.integers(0, 99), paddings, methods, st.sampled_from(TASKS))
def test_padding_changes_no_contribution(
    lengths: list[int], seed: int, padding: Padding, method: str, task: str
) -> None:
    store = make_store(lengths, seed, task)
    plain, padded = batch_of(store), batch_of(store, padding)
    found = METHODS[method].explain(EXPLAINED[task], padded)
    expected = told(METHODS[method].explain(EXPLAINED[task], plain), plain)
    for ours, theirs in zip(told(found, padded), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=TOLERANCE, atol=TOLERANCE)


@settings(deadline=None, max_examples=40)
@given(short, st.integers(0, 99), paddings, methods)
def test_padding_and_what_was_not_observed_contribute_exactly_nothing(
    lengths: list[int], seed: int, padding: Padding, method: str
) -> None:
    batch = batch_of(make_store(lengths, seed), padding)
    found = METHODS[method].explain(EXPLAINED["risk"], batch)
    assert (found.observations[~batch.steps] == 0.0).all()
    assert (found.observations[~batch.observed] == 0.0).all()
    assert found.players().isfinite().all()


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 6), min_size=2, max_size=4), st.integers(0, 99), methods)
def test_company_changes_no_contribution(lengths: list[int], seed: int, method: str) -> None:
    store = make_store(lengths, seed)
    explain, everybody = METHODS[method].explain, batch_of(store)
    among_others = told(explain(EXPLAINED["risk"], everybody), everybody)
    for row in everyone(store):
        alone = assemble(store, np.array([row]), max_steps=MAX_STEPS)
        (own,) = told(explain(EXPLAINED["risk"], alone), alone)
        torch.testing.assert_close(own, among_others[row], rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.parametrize("method", METHODS)
def test_an_observation_contributes_something(method: str) -> None:
    batch = batch_of(make_store([5, 4]))
    found = METHODS[method].explain(EXPLAINED["risk"], batch)
    assert (found.observations[batch.observed] != 0.0).float().mean() > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_a_subject_of_whom_nothing_is_known_has_no_contributions(method: str) -> None:
    store = make_store([0, 0])
    means = EXPLAINED["risk"].networks[0].inputs.scaler.static_mean
    store.static_value[:] = means
    batch = batch_of(store)
    found = METHODS[method].explain(EXPLAINED["risk"], batch)
    torch.testing.assert_close(found.players(), torch.zeros_like(found.players()))
    torch.testing.assert_close(found.answer, found.reference)

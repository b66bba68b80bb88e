"""What trainings minimise, against sums by hand and plain loops."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from models.batches import assemble
from models.config import ModelConfig
from models.estimator import new_network
from models.heads import logit_of_event
from models.inputs import fit_inputs
from models.network import SequenceNetwork
from models.objectives import (
    Beside,
    Direct,
    Hazards,
    Objective,
    Outcomes,
    objective_of,
    other_losses,
    teaching,
)
from models.parts import TrainingImpossible
from models.store import SequenceStore, SequencesUnusable
from models.tasks import Probability
from tests.models.generated_markets import make_market
from tests.models.generated_stores import HORIZON_DAYS, everyone, make_store

QUARTERS = Hazards(horizon_days=100.0, bins=4)
HAZARD = ModelConfig(head="hazard", hazard_bins=5, hidden_size=6, dropout=0.0)
NAN = math.nan


def outcomes(*told: tuple[float, float]) -> Outcomes:
    """Of (label, followed_days)."""
    label, days = (torch.tensor(column) for column in zip(*told, strict=True))
    known = torch.isnan(label).logical_not()
    none = torch.empty(len(told), 0)
    return Outcomes(label, known.float(), torch.ones(len(told)), days, none)


def network_of(store: SequenceStore, config: ModelConfig, other_labels: int = 0) -> SequenceNetwork:
    torch.manual_seed(0)
    return new_network(fit_inputs(store, everyone(store), 8), config, 1, other_labels)


def log_likelihood(hazards: list[float], label: float, days: float, width: float) -> float:
    """Of one example, part by part and day by day of the calendar."""
    found = 0.0
    for number, hazard in enumerate(hazards):
        begin, end = number * width, (number + 1) * width
        if label == 1 and begin < days <= end:
            return found + math.log(hazard)
        seen = min(max(days - begin, 0.0), width) / width
        found += seen * math.log(1.0 - hazard)
    return found


@pytest.mark.parametrize(
    ("label", "days", "event", "survived"),
    [
        (1.0, 25.0, [1, 0, 0, 0], [0, 0, 0, 0]),  # on the edge: the last day of the first part
        (1.0, 26.0, [0, 1, 0, 0], [1, 0, 0, 0]),
        (1.0, 100.0, [0, 0, 0, 1], [1, 1, 1, 0]),
        (0.0, 100.0, [0, 0, 0, 0], [1, 1, 1, 1]),
        (NAN, 60.0, [0, 0, 0, 0], [1, 1, 0.4, 0]),  # lost: followed through two parts and a bit
        (NAN, 75.0, [0, 0, 0, 0], [1, 1, 1, 0]),
        (NAN, NAN, [0, 0, 0, 0], [0, 0, 0, 0]),
    ],
)
def test_a_life_table_by_hand(
    label: float, days: float, event: list[float], survived: list[float]
) -> None:
    came, stayed = QUARTERS.life_table(outcomes((label, days)))
    assert came[0].tolist() == event
    assert stayed[0].tolist() == pytest.approx(survived)


@pytest.mark.parametrize(("horizon_days", "bins"), [(1000.0, 30), (365.0, 7), (1826.0, 22)])
def test_an_event_on_the_edge_of_a_part_belongs_to_the_part_before(
    horizon_days: float, bins: int
) -> None:
    """Part k of n ends on day k x horizon / n; here those edges that are whole days."""
    edges = [k for k in range(1, bins + 1) if k * horizon_days % bins == 0]
    days = [k * horizon_days / bins for k in edges]
    came, stayed = Hazards(horizon_days, bins).life_table(outcomes(*((1.0, day) for day in days)))
    assert came.float().argmax(dim=1).tolist() == [k - 1 for k in edges]
    assert stayed.sum(dim=1).tolist() == [k - 1 for k in edges]


def test_the_likelihood_by_hand() -> None:
    """Hazards .1 .2 .3 .4: an event on day 60, and one lost on day 60."""
    logits = torch.logit(torch.tensor([[0.1, 0.2, 0.3, 0.4]])).expand(2, 4)
    found = QUARTERS.likelihood(logits, outcomes((1.0, 60.0), (NAN, 60.0)))
    two_parts = math.log(0.9) + math.log(0.8)
    assert found.tolist() == [
        pytest.approx(-two_parts - math.log(0.3), rel=1e-5),
        pytest.approx(-two_parts - 0.4 * math.log(0.7), rel=1e-5),
    ]


@settings(deadline=None)
@given(
    arrays(np.float64, (6, 5), elements=st.floats(-6, 6)),
    st.lists(st.sampled_from([1.0, 0.0, NAN]), min_size=6, max_size=6),
    st.lists(st.integers(1, 200), min_size=6, max_size=6),
)
def test_the_likelihood_equals_a_loop_over_parts(
    logits: np.ndarray, labels: list[float], days: list[int]
) -> None:
    fifths = Hazards(horizon_days=200.0, bins=5)
    told = [(y, 200.0 if y == 0 else float(d)) for y, d in zip(labels, days, strict=True)]
    of = outcomes(*told)
    found = fifths.likelihood(torch.from_numpy(logits), of)
    for number, (label, followed) in enumerate(told):
        hazards = (1.0 / (1.0 + np.exp(-logits[number]))).tolist()
        expected = -log_likelihood(hazards, label, followed, 40.0)
        assert float(found[number]) == pytest.approx(expected, rel=1e-5, abs=1e-6)


@settings(deadline=None)
@given(arrays(np.float64, (3, 7), elements=st.floats(-15, 15)))
def test_the_answer_is_the_chance_of_not_surviving_every_part(logits: np.ndarray) -> None:
    hazards = 1.0 / (1.0 + np.exp(-logits))
    found = torch.sigmoid(logit_of_event(torch.from_numpy(logits)))
    np.testing.assert_allclose(found, 1.0 - np.prod(1.0 - hazards, axis=1), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("logit", [-300.0, -100.0, 100.0, 300.0])
def test_an_answer_far_out_and_its_gradient_are_finite(logit: float) -> None:
    logits = torch.full((1, 3), logit, requires_grad=True)
    answer = logit_of_event(logits)
    assert torch.isfinite(answer).all()
    (gradient,) = torch.autograd.grad(answer.sum(), logits)
    assert torch.isfinite(gradient).all()


def test_an_untrained_network_answers_as_the_life_table_of_all() -> None:
    """Of ten: 2 events in the first quarter, 2 lost at its end, 3 events in the last, 3 none."""
    told = [(1.0, 10.0)] * 200 + [(NAN, 25.0)] * 200 + [(1.0, 90.0)] * 300 + [(0.0, 100.0)] * 300
    store = make_store([3, 0, 2])
    network = network_of(store, HAZARD.model_copy(update={"hazard_bins": 4})).eval()
    QUARTERS.start(network, outcomes(*told))
    found = torch.sigmoid(network(assemble(store, everyone(store), max_steps=8)))
    kaplan_meier = 1.0 - (1.0 - 200 / 1000) * (1.0 - 300 / 600)
    assert found[:, 0].tolist() == pytest.approx([kaplan_meier] * 3, abs=2e-3)


def test_the_lost_teach_a_hazard_and_nobody_teaches_who_was_never_followed() -> None:
    store = make_store([2] * 40)
    store.followed_days[np.flatnonzero(np.isnan(store.label))[0]] = 0.0
    hazards = objective_of(store, HAZARD, 1.0)
    direct = objective_of(store, ModelConfig(), 1.0)
    rows = everyone(store)
    assert hazards == Hazards(HORIZON_DAYS, 5)
    lost = np.isnan(store.label)
    np.testing.assert_array_equal(teaching(direct, store, rows), rows[~lost])
    np.testing.assert_array_equal(
        teaching(hazards, store, rows), rows[~lost | (store.followed_days > 0)]
    )
    assert len(teaching(hazards, store, rows)) == len(rows) - 1


def losses_of(
    objective: Objective, network: SequenceNetwork, store: SequenceStore
) -> tuple[Tensor, Tensor]:
    """[B] weighted losses of everybody, and the raw answers [B, 1]."""
    batch = assemble(store, everyone(store), max_steps=8)
    sequences, facts = network.read(batch)
    pooled = network.encoder(sequences).pooled
    losses = objective.losses(network, pooled, facts, Outcomes.of_batch(batch))
    return losses, network.conclude(pooled, facts)


def test_what_is_unknown_of_an_example_reaches_neither_loss_nor_gradient() -> None:
    store = make_store([3] * 12)
    store.followed_days[:4], store.label[:4], store.weight[:4] = np.nan, np.nan, 0.0
    store.other_label[:4] = np.nan
    hazards, direct = Hazards(HORIZON_DAYS, 5), Direct(Probability(), 2.0)
    for objective in (hazards, Beside(direct, 0.3), Beside(hazards, 0.3)):
        network = network_of(store, HAZARD, len(store.other_labels))
        losses, _ = losses_of(objective, network, store)
        assert losses[:4].tolist() == [0.0] * 4
        assert torch.isfinite(losses).all()
        assert objective.weights(Outcomes.of_rows(store, everyone(store)))[:4].tolist() == [0.0] * 4
        torch.autograd.backward(losses.sum())
        for parameter in network.parameters():
            assert parameter.grad is None or torch.isfinite(parameter.grad).all()


def test_the_loss_of_other_labels_is_their_mean_cross_entropy_by_hand() -> None:
    raw = torch.logit(torch.tensor([[0.2, 0.9, 0.5], [0.3, 0.4, 0.5]]))
    label = torch.tensor([[0.0, 1.0, NAN], [NAN, NAN, NAN]])
    by_hand = -(math.log(0.8) + math.log(0.9)) / 2
    assert other_losses(raw, label).tolist() == [pytest.approx(by_hand, rel=1e-5), 0.0]


def test_other_labels_have_their_share_and_known_ones_alone_teach_too() -> None:
    store = make_store([2] * 30, seed=3)
    of = Outcomes.of_rows(store, everyone(store))
    own = Direct(Probability())
    both = Beside(own, 0.25)
    known = (~torch.isnan(of.other_label)).any(dim=1)
    torch.testing.assert_close(both.weights(of), 0.75 * own.weights(of) + 0.25 * known)
    assert bool((torch.isnan(of.label) & known & (both.weights(of) > 0)).any())
    network = network_of(store, ModelConfig(dropout=0.0), len(store.other_labels))
    both.start(network, of)
    found, _ = losses_of(both, network, store)
    alone, _ = losses_of(own, network, store)
    share = torch.nanmean(of.other_label, dim=0)
    others = other_losses(torch.logit(share).expand(30, 2), of.other_label)
    torch.testing.assert_close(found, 0.75 * alone + 0.25 * others, atol=0.02, rtol=0.05)


def test_a_network_answers_one_number_whatever_it_learned_from() -> None:
    store = make_store([4, 0, 2])
    for config in (HAZARD, ModelConfig(other_labels_share=0.5)):
        network = network_of(store, config, other_labels=2)
        assert network(assemble(store, everyone(store), max_steps=8)).shape == (3, 1)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (ModelConfig(head="hazard"), "no event"),
        (ModelConfig(other_labels_share=0.2), "no outcomes"),
    ],
)
def test_an_objective_that_does_not_suit_the_task_is_refused(
    config: ModelConfig, words: str
) -> None:
    with pytest.raises(TrainingImpossible, match=words):
        objective_of(make_market("direction"), config, 1.0)


@pytest.mark.parametrize("horizon", ["5 sessions", "a few days", "1826"])
def test_a_horizon_that_is_no_number_of_days_has_none(horizon: str) -> None:
    with pytest.raises(SequencesUnusable, match="number of days"):
        _ = replace(make_store([1]), horizon=horizon).horizon_days

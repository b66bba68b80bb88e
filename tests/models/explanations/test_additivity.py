"""Contributions add up to answer - reference, and are what a hand or an enumeration finds."""

import numpy as np
import pytest
import torch
from captum.attr import KernelShap

from models.explanations.explained import Explained, observed_players
from models.explanations.gradient_shap import gradient_shap
from models.explanations.integrated_gradients import integrated_gradients
from models.explanations.kernel_shap import kernel_shap, shapley_values
from models.explanations.occlusion import occlusion
from models.explanations.path import Path, gradients
from models.explanations.players import Players, one_by_one
from models.explanations.registry import METHODS
from models.store import TASKS
from tests.models.explanations.explained_examples import (
    batch_of,
    explained_for,
    linear,
    shapley_by_enumeration,
    without_observation,
)
from tests.models.generated_stores import make_store

SUBJECTS = 200
LARGEST_ERROR = 1e-3  # of the range of the answers


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("method", [name for name, one in METHODS.items() if one.adds_up])
def test_contributions_add_up_on_two_hundred_random_subjects(method: str, task: str) -> None:
    lengths = np.random.default_rng(0).integers(0, 9, SUBJECTS).tolist()
    explained, batch = explained_for(task), batch_of(make_store(lengths, 3, task))
    found = METHODS[method].explain(explained, batch)
    spread = float(found.answer.max() - found.answer.min())
    assert spread > 0.1
    assert float(found.missing.abs().max()) <= LARGEST_ERROR * spread


@pytest.mark.parametrize("task", TASKS)
def test_the_answer_is_the_networks_mean_and_the_reference_that_of_nothing_observed(
    task: str,
) -> None:
    explained = explained_for(task)
    batch = batch_of(make_store([4, 0, 6], task=task))
    found = integrated_gradients(explained, batch)
    output = 2 if task == "quantiles" else 0  # the median of five levels
    raw = torch.stack([network(batch)[:, output] for network in explained.networks]).mean(dim=0)
    torch.testing.assert_close(found.answer, raw.detach())
    torch.testing.assert_close(found.reference, explained(explained.reference(batch)).detach())


def by_hand(explained: Explained, row: int) -> dict[str, float]:
    """What a line on the facts gives hdl and sbp, seen at two steps, and a static feature."""
    batch = batch_of(TWO_STEPS)
    reference = explained.reference(batch)
    facts, nothing = explained.read(batch)[1][row], explained.read(reference)[1][row]
    weight = torch.stack([n.head.line.weight[0] for n in explained.networks]).mean(dim=0)
    moved = (weight * (facts - nothing)).tolist()  # 4C + 2F + 1 with C = 3, F = 2
    seen = batch.observed[row].sum(dim=0).tolist()
    total = sum(seen)
    told = {}
    for channel in range(3):
        for step in (0, 1):
            if not batch.observed[row, step, channel]:
                continue
            share = moved[9 + channel] / seen[channel] + moved[16] / total
            if step == 1 or not batch.observed[row, 1, channel]:
                share += moved[channel] + moved[3 + channel] + moved[6 + channel]
            told[f"{step},{channel}"] = share
    told |= {f"static {number}": moved[12 + number] + moved[14 + number] for number in (0, 1)}
    return told


TWO_STEPS = make_store([2, 2, 2, 2], seed=5)


@pytest.mark.parametrize("method", [integrated_gradients, gradient_shap])
def test_gradients_of_a_line_are_what_a_hand_computes(method: object) -> None:
    explained, batch = linear(explained_for()), batch_of(TWO_STEPS)
    assert callable(method)
    found = method(explained, batch)
    for row in range(4):
        for who, expected in by_hand(explained, row).items():
            if who.startswith("static"):
                value = found.statics[row, int(who[-1])]
            else:
                step, channel = who.split(",")
                value = found.observations[row, int(step), int(channel)]
            assert float(value) == pytest.approx(expected, abs=1e-5), who


def test_integrated_gradients_of_a_line_need_one_point_and_of_a_curve_more() -> None:
    batch = batch_of(make_store([6, 5, 7]))
    straight = integrated_gradients(linear(explained_for()), batch, points=1)
    assert float(straight.missing.abs().max()) < 1e-5
    errors = [
        float(integrated_gradients(explained_for(), batch, points=points).missing.abs().max())
        for points in (1, 4, 12)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[0] > 0.01
    assert errors[2] < 1e-3


@pytest.mark.parametrize(("row", "step"), [(0, 0), (0, 3), (1, 2), (1, 5)])
def test_occlusion_is_the_answer_without_the_observation(row: int, step: int) -> None:
    store, explained = make_store([4, 6], seed=8), explained_for()
    batch = batch_of(store)
    found = occlusion(explained, batch)
    for channel in torch.nonzero(batch.observed[row, step]).flatten().tolist():
        other = explained(batch_of(without_observation(store, row, step, channel)))
        expected = float((found.answer - other)[row].detach())
        assert float(found.observations[row, step, channel]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("row", [0, 1, 2])
def test_kernel_shap_with_every_coalition_gives_shapley_values(row: int) -> None:
    one = one_by_one(batch_of(make_store([2, 3, 1], seed=4)))[row]
    players = Players.of_channels(explained_for(), one, segments=2)
    assert 2 < len(players) < 9
    expected = shapley_by_enumeration(players)
    np.testing.assert_allclose(shapley_values(players, coalitions=512), expected, atol=1e-6)


def test_kernel_shap_that_draws_comes_near_shapley_values_and_adds_up_exactly() -> None:
    one = one_by_one(batch_of(make_store([8], seed=4)))[0]
    players = Players.of_channels(explained_for(), one, segments=3)
    exact, drawn = shapley_values(players, 2 ** len(players)), shapley_values(players, 400)
    assert len(players) > 9
    assert drawn.sum() == pytest.approx(exact.sum(), abs=1e-9)
    assert not np.array_equal(exact, drawn)
    np.testing.assert_allclose(drawn, exact, atol=0.1 * np.abs(exact).max())


def test_kernel_shap_agrees_with_captums() -> None:
    one = one_by_one(batch_of(make_store([3], seed=4)))[0]
    players = Players.of_channels(explained_for(), one, segments=2)
    torch.manual_seed(0)
    theirs = KernelShap(players.value).attribute(
        torch.ones(1, len(players)), baselines=0.0, n_samples=4000, perturbations_per_eval=500
    )
    ours = shapley_values(players, coalitions=512)
    np.testing.assert_allclose(ours, theirs[0].numpy(), atol=0.05 * np.abs(ours).max())


def test_what_players_are_given_is_shared_out_and_nothing_is_lost() -> None:
    batch = batch_of(make_store([6, 4], seed=2))
    found = kernel_shap(explained_for(), batch)
    there = observed_players(batch)
    assert (found.players()[~there] == 0.0).all()
    torch.testing.assert_close(found.total, found.answer - found.reference, rtol=0, atol=1e-5)


def test_every_observation_belongs_to_exactly_one_player() -> None:
    for one in one_by_one(batch_of(make_store([0, 1, 5, 8], seed=2))):
        for players in (
            Players.of_observations(explained_for(), one),
            Players.of_channels(explained_for(), one),
            Players.of_segments(explained_for(), one),
        ):
            members = players.member.sum(dim=0)
            assert torch.equal(members, observed_players(one)[0].long())
            assert (players.member.sum(dim=1) > 0).all()


def test_at_presence_one_and_zero_the_path_reads_what_the_networks_read() -> None:
    explained = explained_for()
    batch = batch_of(make_store([6, 0, 3], seed=2))
    path = Path.of(explained, batch)
    cells, statics = path.whole()
    for share, end in ((1.0, batch), (0.0, explained.reference(batch))):
        (sequences, facts) = path.at(share * cells, share * statics)
        expected, expected_facts = explained.read(end)
        torch.testing.assert_close(sequences.inputs, expected.inputs)
        torch.testing.assert_close(sequences.elapsed, expected.elapsed)
        torch.testing.assert_close(facts, expected_facts)


def test_cudnn_is_off_while_gradients_are_taken_and_on_again_afterwards() -> None:
    seen = []

    def forward(x: torch.Tensor) -> torch.Tensor:
        seen.append(torch.backends.cudnn.enabled)
        return x.square()

    before = torch.backends.cudnn.enabled
    (found,) = gradients(forward, (torch.tensor([3.0], requires_grad=True),))
    assert before
    assert seen == [False]
    assert torch.backends.cudnn.enabled
    assert found.tolist() == [6.0]


def test_the_way_of_integrated_gradients_has_cudnn_off(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    whole = Path.answer

    def watched(path: Path, cells: torch.Tensor, statics: torch.Tensor) -> torch.Tensor:
        seen.append(torch.backends.cudnn.enabled)
        return whole(path, cells, statics)

    monkeypatch.setattr(Path, "answer", watched)
    integrated_gradients(explained_for(), batch_of(make_store([3])))
    gradient_shap(explained_for(), batch_of(make_store([3])))
    assert seen == [False, False]

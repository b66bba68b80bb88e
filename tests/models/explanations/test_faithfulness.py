"""Faithfulness, measured: of an explanation that knows, of one that guesses, of one that lies."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.batches import Batch
from models.explanations.attribution import Attribution
from models.explanations.explained import Explained, ExplanationImpossible, observed_players
from models.explanations.faithfulness import Faithfulness, measure_faithfulness, redraw
from models.explanations.integrated_gradients import integrated_gradients
from models.explanations.occlusion import occlusion
from models.explanations.reasons import Reason, reasons_of, require_finite
from tests.models.explanations.explained_examples import batch_of, explained_for, linear
from tests.models.generated_stores import make_store

LENGTHS = np.random.default_rng(1).integers(2, 9, 60).tolist()


def measured(explain: object, explained: Explained | None = None) -> Faithfulness:
    assert callable(explain)
    batches = [batch_of(make_store(LENGTHS[:30], 1)), batch_of(make_store(LENGTHS[30:], 2))]
    return measure_faithfulness("it", explain, explained or explained_for(), batches)


def upside_down(explained: Explained, batch: Batch) -> Attribution:
    found = integrated_gradients(explained, batch)
    return replace(found, observations=-found.observations, statics=-found.statics)


def guessed(explained: Explained, batch: Batch) -> Attribution:
    """The same numbers whatever the networks' weights are."""
    found = integrated_gradients(explained, batch)
    drawing = torch.Generator().manual_seed(len(batch.value))
    cells = torch.randn(found.observations.shape, generator=drawing)
    statics = torch.randn(found.statics.shape, generator=drawing)
    cells = torch.where(batch.observed & batch.steps.unsqueeze(2), cells, 0.0)
    return replace(found, observations=cells, statics=statics)


def test_an_explanation_that_knows_beats_random_orders_and_changes_with_the_weights() -> None:
    found = measured(integrated_gradients, explained_for(size=0.1))
    assert found.subjects == 60
    assert found.comprehensiveness > found.random_comprehensiveness
    assert found.comprehensiveness_gain_low > 0
    assert found.sufficiency < found.random_sufficiency
    assert found.sufficiency_gain_low > 0
    assert abs(found.redrawn_correlation) < 0.3
    assert found.additivity_error < 1e-3


def test_what_occlusion_puts_first_is_missed_most_though_it_does_not_add_up() -> None:
    batch = batch_of(make_store(LENGTHS[:20], 1))
    found = measure_faithfulness("it", occlusion, explained_for(), [batch])
    assert found.comprehensiveness_gain_low > 0
    assert found.additivity_error > 0.1


def test_an_explanation_upside_down_is_worse_than_random() -> None:
    found = measured(upside_down)
    assert found.comprehensiveness < found.random_comprehensiveness
    assert found.sufficiency_gain_low < 0
    assert found.additivity_error > 0.1


def test_a_guess_gains_nothing_and_does_not_change_with_the_weights() -> None:
    found = measured(guessed)
    assert found.comprehensiveness_gain_low < 0 or found.sufficiency_gain_low < 0
    assert found.redrawn_correlation > 0.9


def test_the_falls_by_hand_on_a_line() -> None:
    """One subject's statics and one observation, on a line: the largest is taken first."""
    explained = linear(explained_for(networks=1))
    batch = batch_of(make_store([1, 1], seed=3))
    found = integrated_gradients(explained, batch)
    expected = []
    for row in range(2):
        there = observed_players(batch)[row]
        sizes = found.players()[row][there].tolist()
        towards = 1.0 if found.answer[row] >= found.reference[row] else -1.0
        ordered = sorted((towards * size for size in sizes), reverse=True)
        counts = [max(1, int(np.ceil(share * len(ordered)))) for share in (0.1, 0.2, 0.5)]
        expected.append(np.mean([sum(ordered[:count]) for count in counts]))
    measured_one = measure_faithfulness("it", integrated_gradients, explained, [batch])
    # Of one step's observations none counts the others but through the counts: near enough.
    assert measured_one.comprehensiveness == pytest.approx(float(np.mean(expected)), rel=0.15)


def test_too_few_subjects_to_measure_are_said_and_no_number_is_made_up() -> None:
    batch = batch_of(make_store([0, 0, 4], seed=3))
    found = measure_faithfulness("it", integrated_gradients, explained_for(), [batch])
    assert found.subjects == 1
    told = found.to_json()
    assert told["comprehensiveness"] is None
    assert told["redrawn_correlation"] is None


def test_redrawn_networks_are_others_and_the_same_each_time() -> None:
    explained = explained_for()
    once, again, other = redraw(explained, 1), redraw(explained, 1), redraw(explained, 2)
    batch = batch_of(make_store([4, 6]))
    assert torch.equal(once(batch), again(batch))
    assert not torch.equal(once(batch), other(batch))
    assert not torch.equal(once(batch), explained(batch))


CHANNELS, STATICS = ("hdl", "sbp", "stroke"), ("age_years", "sex_male")


def attribution(cells: torch.Tensor, statics: list[list[float]]) -> Attribution:
    nobody = torch.zeros(len(cells))
    return Attribution(cells, torch.tensor(statics), nobody, nobody)


def test_reasons_are_the_three_largest_either_way_with_their_days() -> None:
    batch = batch_of(make_store([2, 1]))
    cells = torch.zeros(2, 2, 3)
    cells[0, 0, 1], cells[0, 1, 2], cells[0, 1, 0] = 0.5, -2.0, 0.1
    found = reasons_of(attribution(cells, [[0.0, 1.0], [0.0, 0.0]]), batch, CHANNELS, STATICS)
    days = (-batch.step_days[0]).tolist()
    assert found[0] == [
        Reason(1, "stroke", days[1], -2.0),
        Reason(2, "sex_male", None, 1.0),
        Reason(3, "sbp", days[0], 0.5),
    ]
    assert found[1] == []


def test_of_equal_reasons_the_earlier_comes_first() -> None:
    batch = batch_of(make_store([2]))
    found = reasons_of(
        attribution(torch.full((1, 2, 3), 0.25), [[0.25, 0.25]]), batch, CHANNELS, STATICS
    )
    assert [reason.channel for reason in found[0]] == ["hdl", "sbp", "stroke"]
    assert {reason.days_before for reason in found[0]} == {-float(batch.step_days[0, 0])}


def test_a_contribution_that_is_no_number_is_refused() -> None:
    with pytest.raises(ExplanationImpossible, match="not finite"):
        require_finite(attribution(torch.full((1, 2, 3), torch.nan), [[0.0, 0.0]]))

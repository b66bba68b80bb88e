"""An order that the data alone make is told from the network's by its sizes, not by its signs."""

from dataclasses import replace

import numpy as np
import torch

from models.batches import Batch
from models.explanations.attribution import Attribution
from models.explanations.explained import Explained
from models.explanations.faithfulness import measure_faithfulness
from models.explanations.integrated_gradients import integrated_gradients
from models.explanations.path import Path
from tests.models.explanations.explained_examples import batch_of, explained_for
from tests.models.generated_stores import make_store
from validation.faithfulness import judge_faithfulness

LENGTHS = np.random.default_rng(1).integers(2, 9, 60).tolist()


def data_size_with_the_networks_sign(explained: Explained, batch: Batch) -> Attribution:
    """How far from the training mean, raised or lowered as the networks say; what is missing is
    hidden, so that it adds up.
    """
    found, way = integrated_gradients(explained, batch), Path.of(explained, batch)
    moved = (way.subject.inputs - way.reference.inputs)[:, :, : batch.value.shape[2]].abs()
    where = way.subject.position.unsqueeze(2).expand(moved.shape)
    cells = torch.zeros_like(moved).scatter(1, where, torch.where(way.observed, moved, 0.0))
    # A static feature that nobody told is no number.
    statics = (batch.statics - explained.reference_statics(batch)).nan_to_num().abs()
    lying = replace(
        found,
        observations=cells * found.observations.sign(),
        statics=statics * found.statics.sign(),
    )
    return replace(lying, reference=lying.answer - lying.total)


def test_the_order_of_the_data_with_the_networks_signs_fails_by_its_sizes() -> None:
    batches = [batch_of(make_store(LENGTHS[:30], 1)), batch_of(make_store(LENGTHS[30:], 2))]
    measured = measure_faithfulness(
        "it", data_size_with_the_networks_sign, explained_for(size=0.1), batches
    )
    assert abs(measured.redrawn_correlation) < 0.3
    assert measured.redrawn_size_correlation > 0.99
    words = measured.to_json() | {"adds_up": True, "not_adding_up_share": 0.0}
    found = {line.line: line.verdict for line in judge_faithfulness(words).lines}
    assert found["Rank correlation with what redrawn weights get"] == "pass"
    assert found["Rank correlation of sizes with what redrawn weights get"] == "fail"
    assert found[next(line for line in found if "falls further" in line)] == "pass"


def test_integrated_gradients_owe_less_than_half_of_their_sizes_to_the_data() -> None:
    batches = [batch_of(make_store(LENGTHS, 1))]
    measured = measure_faithfulness("it", integrated_gradients, explained_for(size=0.1), batches)
    assert measured.redrawn_size_correlation <= 0.5

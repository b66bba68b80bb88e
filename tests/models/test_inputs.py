"""What the network reads stays within a few deviations, however the times of a study lie."""

import numpy as np

from models.batches import assemble
from models.compression.packed import Packer
from models.inputs import Inputs, fit_inputs
from tests.models.generated_stores import everyone, make_store


def test_hourly_steps_after_a_wait_of_days_give_no_extreme_input() -> None:
    store = make_store([200] * 4)
    hours = np.arange(-199.0, 1.0)
    hours[0] -= 240
    store.step_days[:] = np.tile(hours / 24, 4)
    rows = everyone(store)
    inputs = Inputs(fit_inputs(store, rows, 200))
    batch = assemble(store, rows, max_steps=200)

    waited = batch.elapsed_days.amax()
    gap = (np.log1p(float(waited)) - inputs.scaler.gap_mean) / inputs.scaler.gap_std
    assert gap > 10  # else this would show nothing
    steps, facts = inputs(batch)
    assert steps.abs().amax() <= 5.0
    assert facts.abs().amax() <= 5.0

    packed = Packer(inputs)(store, rows, 200)
    np.testing.assert_allclose(packed.steps, steps.transpose(0, 1).numpy(), atol=1e-5)
    np.testing.assert_allclose(packed.facts, facts.numpy(), atol=1e-5)

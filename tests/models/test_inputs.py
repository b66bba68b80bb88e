"""What the network reads stays within a few deviations, however the times of a study lie."""

import numpy as np

from models.batches import assemble
from models.inputs import Inputs, fit_inputs
from tests.models.generated_stores import everyone, make_store


def test_hourly_steps_with_a_channel_seen_days_ago_give_no_extreme_input() -> None:
    store = make_store([48] * 8)
    # By the hour, and one of the channels is hardly ever seen: its gaps are of days.
    store.step_days[:] = np.tile(np.arange(-47, 1) / 24, 8)
    rows = everyone(store)
    rare = store.observation_channel == 1
    store.observation_channel[rare & (np.arange(rare.size) % 12 != 0)] = 0
    inputs = Inputs(fit_inputs(store, rows, 99))
    batch = assemble(store, rows, max_steps=99)

    waited = batch.elapsed_days[:, :, 1].amax()
    gap = (np.log1p(float(waited)) - inputs.scaler.gap_mean) / inputs.scaler.gap_std
    assert gap > 20  # else this would show nothing
    steps, facts = inputs(batch)
    assert steps.abs().amax() <= 5.0
    assert facts.abs().amax() <= 5.0

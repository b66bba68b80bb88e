import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.batches import assemble
from models.inputs import Inputs, fit_inputs
from models.scaling import Scaler, fit_scaler
from models.store import Channel, SequenceStore
from tests.models.generated_stores import everyone, make_store


def two_examples() -> SequenceStore:
    """Example 0: hdl 40 on day -30 and hdl 60 with a stroke on day -10; example 1: hdl 999."""
    return SequenceStore(
        step_offsets=np.array([0, 2, 3]),
        observation_offsets=np.array([0, 1, 3, 4]),
        step_days=np.array([-30, -10, -7], dtype=np.float32),
        observation_channel=np.array([0, 0, 2, 0], dtype=np.int32),
        observation_value=np.array([40, 60, 1, 999], dtype=np.float32),
        static_value=np.array([[50, np.nan], [90, 1]], dtype=np.float32),
        label=np.zeros(2, np.float32),
        weight=np.ones(2, np.float32),
        split=np.array([0, 2], dtype=np.int8),
        cluster=np.array([0, 1]),
        scale=np.ones(2, np.float32),
        subject=np.array([0, 1]),
        index_day=np.zeros(2),
        label_end_day=np.full(2, 1826.0),
        followed_days=np.full(2, 1826.0, np.float32),
        other_label=np.empty((2, 0), np.float32),
        windows=np.empty((0, 2), np.int8),
        channels=(Channel("hdl", "numeric"), Channel("sbp", "numeric"), Channel("stroke", "event")),
        statics=("age_years", "sex_male"),
        task="risk",
        levels=(),
        horizon="1826 days",
        resampling="none",
        other_labels=(),
    )


def test_a_scaler_by_hand() -> None:
    scaler = fit_scaler(two_examples(), np.array([0]))
    assert scaler.channel_mean == (50.0, 0.0, 0.0)
    assert scaler.channel_std == (10.0, 1.0, 1.0)  # nothing seen, and an event: left alone
    assert scaler.static_mean == (50.0, 0.0)
    assert scaler.static_std == (1.0, 1.0)
    assert scaler.gap_mean == pytest.approx(math.log(21.0))
    assert scaler.gap_std == 1.0
    ages = math.log(31.0), math.log(11.0)
    assert scaler.age_mean == pytest.approx(sum(ages) / 2)
    assert scaler.age_std == pytest.approx((ages[0] - ages[1]) / 2)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=9), st.integers(0, 99))
def test_rows_outside_the_training_split_decide_nothing(lengths: list[int], seed: int) -> None:
    store = make_store(lengths, seed)
    rows = everyone(store)[::2]
    owner = np.repeat(everyone(store), store.lengths)
    outside = ~np.isin(owner, rows)
    values = store.observation_value.copy()
    values[np.repeat(outside, np.diff(store.observation_offsets))] = 1e6
    statics = store.static_value.copy()
    statics[1::2] = -1e6
    altered = replace(
        store,
        observation_value=values,
        static_value=statics,
        step_days=np.where(outside, store.step_days * 3, store.step_days),
    )
    assert fit_inputs(altered, rows, 99) == fit_inputs(store, rows, 99)


def test_a_training_row_decides_something() -> None:
    store = make_store([5, 5])
    values = store.observation_value + 1
    altered = replace(store, observation_value=values)
    assert fit_scaler(altered, np.array([0])) != fit_scaler(store, np.array([0]))


def test_a_scaler_survives_json_bit_by_bit() -> None:
    scaler = fit_inputs(make_store([7, 3, 5]), np.array([0, 1, 2]), 99)
    read = Scaler.from_json(json.loads(json.dumps(asdict(scaler))))
    assert read == scaler
    assert read.fingerprint() == scaler.fingerprint()
    assert replace(scaler, gap_mean=0.1).fingerprint() != scaler.fingerprint()


def test_facts_of_the_training_rows_have_mean_0_and_deviation_1() -> None:
    store = make_store([7, 3, 5, 0, 2, 9, 9, 1])
    rows = everyone(store)[:6]
    inputs = Inputs(fit_inputs(store, rows, 99))
    _, facts = inputs(assemble(store, rows, max_steps=99))
    inner = facts.abs().amax(dim=0) < 4.9  # a clipped fact has another mean
    torch.testing.assert_close(
        facts.mean(dim=0)[inner], torch.zeros(int(inner.sum())), atol=1e-5, rtol=0
    )
    varies = inner & (facts.std(dim=0) > 0.5)
    assert int(varies.sum()) > 8
    torch.testing.assert_close(
        facts.std(dim=0, correction=0)[varies], torch.ones(int(varies.sum())), atol=1e-4, rtol=0
    )

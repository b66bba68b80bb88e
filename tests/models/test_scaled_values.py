"""Each kind of scaling against its definition, and what must hold of all of them."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.preprocessing import RobustScaler, StandardScaler

from models.batches import assemble
from models.config import ModelConfig, Scaling
from models.estimator import ModelUnusable
from models.inputs import Inputs, fit_inputs
from models.scaled_values import ScaledValues
from models.scaling import Scaler, fit_scaler
from models.scoring import refitted_scalers, score
from models.training import train
from models.value_scales import KNOTS, ValueScales, fit_value_scales, mean_and_deviation
from tests.models.generated_stores import (
    everyone,
    make_learnable_store,
    make_store,
    write_store,
)
from tests.models.test_scaling import two_examples

Floats = npt.NDArray[np.float64]

KINDS: tuple[Scaling, ...] = get_args(Scaling)
numbers = st.floats(-1e6, 1e6, width=32)
columns = st.lists(numbers, min_size=1, max_size=40)


def fitted(kind: Scaling, *values: Floats) -> ValueScales:
    moments = [mean_and_deviation(column) for column in values]
    mean, std = tuple(m for m, _ in moments), tuple(s for _, s in moments)
    return fit_value_scales(kind, list(values), [True] * len(values), mean, std)


def scaled(scales: ValueScales, raw: list[float] | Floats) -> Floats:
    """What becomes of `raw` in the only column."""
    column = torch.tensor(np.asarray(raw), dtype=torch.float32).unsqueeze(1)
    found: Floats = ScaledValues(scales)(column)[:, 0].double().numpy()
    return found


def values_by_chance(seed: int = 0) -> Floats:
    """As a laboratory gives them: skewed, rounded, so with ties."""
    drawn: Floats = np.round(np.random.default_rng(seed).lognormal(3.0, 0.8, 400))
    return drawn


def test_robust_scaling_equals_that_of_scikit_learn() -> None:
    values = values_by_chance()
    expected = RobustScaler().fit_transform(values.reshape(-1, 1))[:, 0].clip(-5, 5)
    np.testing.assert_allclose(scaled(fitted("robust", values), values), expected, atol=1e-5)


def test_standard_scaling_equals_that_of_scikit_learn() -> None:
    values = values_by_chance()
    expected = StandardScaler().fit_transform(values.reshape(-1, 1))[:, 0].clip(-5, 5)
    np.testing.assert_allclose(scaled(fitted("standard", values), values), expected, atol=1e-5)


def test_log_scaling_equals_a_loop() -> None:
    values = values_by_chance() - 20.0
    logs = [math.copysign(math.log1p(abs(x)), x) for x in values]
    mean, deviation = np.mean(logs), np.std(logs)
    expected = [(x - mean) / deviation for x in logs]
    np.testing.assert_allclose(scaled(fitted("log", values), values), expected, atol=1e-5)


def test_quantile_scaling_equals_numpy_s_interpolation() -> None:
    """Without ties: the share below is linear between the knots, then the normal quantile."""
    values = np.random.default_rng(1).normal(50.0, 12.0, 400)
    shares = (np.arange(KNOTS) + 0.5) / KNOTS
    wanted = np.linspace(values.min() - 5, values.max() + 5, 333)
    expected = norm.ppf(np.interp(wanted, np.quantile(values, shares), shares))
    found = scaled(fitted("quantile", values), wanted)
    np.testing.assert_allclose(found, expected, atol=2e-4)
    assert found.min() == pytest.approx(norm.ppf(0.5 / KNOTS), abs=1e-4)


def test_equal_values_have_the_score_of_the_middle_of_their_share() -> None:
    """Half the values are 0, a quarter 1, a quarter 2: below 1 lie half, up to 1 three quarters."""
    values = np.repeat([0.0, 1.0, 2.0], [200, 100, 100])
    found = scaled(fitted("quantile", values), [0.0, 1.0, 2.0])
    np.testing.assert_allclose(found, norm.ppf([0.25, 0.625, 0.875]), atol=0.02)


def test_no_scaling_changes_nothing() -> None:
    values = values_by_chance()
    assert scaled(fitted("none", values), [3.0, -1e6, 0.0]).tolist() == [3.0, -1e6, 0.0]


def test_a_robust_scaler_by_hand() -> None:
    """Of 1, 2, 3, 4, 100 the median is 3 and the middle half is from 2 to 4."""
    scales = fitted("robust", np.array([1.0, 2.0, 3.0, 4.0, 100.0]))
    assert (scales.centre, scales.spread) == ((3.0,), (2.0,))
    assert scaled(scales, [4.0, 100.0]).tolist() == [0.5, 5.0]


def test_where_most_values_are_equal_the_robust_scale_is_the_deviation() -> None:
    """Of nine sevens and a 17 the middle half has no width, and the deviation is 3."""
    scales = fitted("robust", np.array([7.0] * 9 + [17.0]))
    assert scales.centre == (7.0,)
    assert list(scales.spread) == pytest.approx([3.0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("values", [[], [7.0], [7.0] * 9, [7.0, 7.0, 7.0, 9.0], [0.0, 1e-45]])
def test_few_or_equal_values_are_scaled_to_something_finite(
    kind: Scaling, values: list[float]
) -> None:
    found = scaled(fitted(kind, np.array(values)), [-1e6, 0.0, 7.0, 9.0, 1e6])
    assert np.isfinite(found).all()


@settings(deadline=None)
@given(st.sampled_from(KINDS), columns, st.lists(numbers, min_size=2, max_size=20))
def test_scaling_is_monotone_finite_and_has_a_finite_gradient(
    kind: Scaling, values: list[float], raw: list[float]
) -> None:
    scaling = ScaledValues(fitted(kind, np.array(values)))
    column = torch.tensor([*sorted(raw), *values, -1e6, 1e6]).sort().values.unsqueeze(1)
    column = column.requires_grad_()
    found = scaling(column)
    (gradient,) = torch.autograd.grad(found.sum(), column)
    assert found.isfinite().all()
    assert gradient.isfinite().all()
    assert (gradient >= 0.0).all()
    assert (found.diff(dim=0) >= -1e-5).all()


@settings(deadline=None)
@given(st.sampled_from(KINDS), columns)
def test_columns_know_nothing_of_each_other(kind: Scaling, values: list[float]) -> None:
    both = fitted(kind, np.array(values), values_by_chance())
    raw = torch.tensor([[x, y] for x, y in zip(values, range(40), strict=False)])
    together = ScaledValues(both)(raw)
    assert together[:, 0].tolist() == scaled(fitted(kind, np.array(values)), values).tolist()


@settings(deadline=None)
@given(
    st.sampled_from(KINDS), st.lists(st.integers(0, 9), min_size=4, max_size=9), st.integers(0, 99)
)
def test_rows_decide_in_any_order_and_no_other_row_does(
    kind: Scaling, lengths: list[int], seed: int
) -> None:
    store = make_store(lengths, seed)
    rows = everyone(store)[::2]
    fitted_once = fit_inputs(store, rows, 99, kind)
    assert fit_inputs(store, rows[::-1].copy(), 99, kind) == fitted_once
    owner = np.repeat(everyone(store), store.lengths)
    outside = np.repeat(~np.isin(owner, rows), np.diff(store.observation_offsets))
    values = np.where(outside, np.float32(1e6), store.observation_value)
    statics = store.static_value.copy()
    statics[1::2] = -1e6
    altered = replace(store, observation_value=values, static_value=statics)
    assert fit_inputs(altered, rows, 99, kind) == fitted_once


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_stays_what_it_is_and_a_number_is_scaled_by_its_channel(kind: Scaling) -> None:
    scaler = fit_scaler(two_examples(), np.array([0]), kind)
    assert scaler.channel_scales.scaled == (True, True, False)  # hdl, sbp, stroke
    found = ScaledValues(scaler.channel_scales)(torch.tensor([[60.0, 0.0, 1.0]]))[0].tolist()
    hdl = {
        "standard": 1.0,
        "robust": 1.0,  # of 40 and 60: median 50, the middle half from 45 to 55
        "log": 1.0,
        "quantile": norm.ppf(1 - 0.5 / KNOTS),
        "none": 60.0,
    }
    assert found[0] == pytest.approx(hdl[kind], abs=1e-4)
    assert found[2] == 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_scaler_survives_json_and_its_kind_is_in_its_fingerprint(kind: Scaling) -> None:
    store = make_store([7, 3, 5])
    scaler = fit_inputs(store, everyone(store), 99, kind)
    read = Scaler.from_json(json.loads(json.dumps(asdict(scaler))))
    assert read == scaler
    prints = {fit_inputs(store, everyone(store), 99, other).fingerprint() for other in KINDS}
    assert len(prints) == len(KINDS)
    assert read.fingerprint() in prints


@pytest.mark.parametrize("kind", KINDS)
def test_padding_that_is_no_number_reaches_neither_inputs_nor_gradients(kind: Scaling) -> None:
    store = make_store([4, 0, 6, 2])
    inputs = Inputs(fit_inputs(store, everyone(store), 99, kind))
    batch = assemble(store, everyone(store), max_steps=99)
    steps, facts = inputs(batch)
    unseen = ~(batch.observed & batch.steps.unsqueeze(2))
    value = torch.where(unseen, math.nan, batch.value).requires_grad_()
    found, other = inputs(replace(batch, value=value))
    assert torch.equal(found, steps)
    assert torch.equal(other, facts)
    (gradient,) = torch.autograd.grad(found.sum() + other.sum(), value)
    assert gradient.isfinite().all()
    assert (gradient[unseen] == 0.0).all()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "standard"])
def test_a_model_scores_by_its_own_scaling_which_its_training_rows_give_again(
    kind: Scaling, tmp_path: Path
) -> None:
    write_store(make_learnable_store(200), tmp_path / "sequences")
    config = ModelConfig(hidden_size=4, max_epochs=1, min_epochs=1, seeds=(0,), scaling=kind)
    folders = (tmp_path / "sequences", tmp_path / "model")
    train(folders[0], config, folders[1], tmp_path / "checkpoints")
    assert refitted_scalers(*folders) == {"released": True}
    assert np.isfinite(score(*folders)["score"]).all()
    file = folders[1] / "model.json"
    words = json.loads(file.read_text())
    assert words["released"]["scaler"]["channel_scales"]["kind"] == kind
    words["released"]["scaler"]["channel_scales"]["kind"] = "standard"
    file.write_text(json.dumps(words))
    with pytest.raises(ModelUnusable, match="scaler of released"):
        score(*folders)

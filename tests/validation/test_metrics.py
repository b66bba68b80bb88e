"""Metrics against hand-computed tables, loops over pairs, scikit-learn and Fairlearn."""

from collections.abc import Callable

import fairlearn.metrics as fair
import numpy as np
import pytest
import sklearn.metrics as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from validation.metrics import metric, prepare
from validation.ranking import FloatArray, auprc, auroc
from validation.tasks import METRIC_NAMES, MetricName

THRESHOLD = 0.5

# Six subjects; scores .2 and .6 are tied between an event and a non-event.
Y = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0])
SCORE = np.array([0.1, 0.2, 0.2, 0.6, 0.6, 0.9])
ONES = np.ones((1, 6))

BY_HAND: dict[MetricName, float] = {
    # pairs won: event .2 beats .1 and ties .2; .6 beats two and ties one; .9 beats three
    "auroc": (1.5 + 2.5 + 3.0) / 9,
    # thresholds .9: 1/1, .6: 2/3, .2: 3/5; each gains a third of recall
    "auprc": (1.0 + 2 / 3 + 3 / 5) / 3,
    "brier": (0.01 + 0.64 + 0.04 + 0.16 + 0.36 + 0.01) / 6,
    "observed_expected": 3 / 2.6,
    "tpr": 2 / 3,
    "fpr": 1 / 3,
    "ppv": 2 / 3,
    "selection_rate": 3 / 6,
    "net_benefit": 2 / 6 - 1 / 6,
}


def sample(seed: int, rows: int, *, ties: bool = True) -> tuple[FloatArray, FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    score = rng.random(rows)
    if ties:
        score = np.round(score, 1)
    y = (rng.random(rows) < 0.2 + 0.5 * score).astype(np.float64)
    y[:2] = [0.0, 1.0]
    weight = np.where(rng.random(rows) < 0.2, 0.0, rng.uniform(0.5, 2.0, rows))
    weight[:2] = 1.0
    return y, score, weight


def measured(y: FloatArray, score: FloatArray, weights: FloatArray) -> FloatArray:
    measure = prepare(y, score, THRESHOLD)
    return measure(weights[:, measure.ranking.order])


def pairs_won(y: FloatArray, score: FloatArray, weight: FloatArray) -> float:
    won = total = 0.0
    for i in np.flatnonzero(y == 1):
        for j in np.flatnonzero(y == 0):
            pair = weight[i] * weight[j]
            won += pair * (1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0)
            total += pair
    return won / total


@pytest.mark.parametrize(("name", "value"), BY_HAND.items())
def test_a_metric_equals_its_hand_computed_value(name: MetricName, value: float) -> None:
    assert metric(name, Y, SCORE, ONES, THRESHOLD)[0] == pytest.approx(value, abs=1e-14)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("ties", [True, False])
def test_auroc_equals_a_loop_over_all_pairs(seed: int, ties: bool) -> None:
    y, score, weight = sample(seed, 40, ties=ties)
    assert auroc(y, score, weight[None])[0] == pytest.approx(pairs_won(y, score, weight), abs=1e-13)


@pytest.mark.parametrize("seed", range(10))
def test_shared_metrics_equal_scikit_learn(seed: int) -> None:
    y, score, weight = sample(seed, 300)
    chosen = score >= THRESHOLD
    table = reference.confusion_matrix(y, chosen, sample_weight=weight)
    expected: dict[MetricName, float] = {
        "auroc": reference.roc_auc_score(y, score, sample_weight=weight),
        "auprc": reference.average_precision_score(y, score, sample_weight=weight),
        "brier": reference.brier_score_loss(y, score, sample_weight=weight),
        "tpr": reference.recall_score(y, chosen, sample_weight=weight),
        "ppv": reference.precision_score(y, chosen, sample_weight=weight),
        "fpr": table[0, 1] / table[0].sum(),
    }
    found = dict(zip(METRIC_NAMES, measured(y, score, weight[None])[0], strict=True))
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("seed", range(5))
def test_group_values_equal_fairlearn(seed: int) -> None:
    y, score, weight = sample(seed, 500)
    group = np.random.default_rng(seed).choice(["a", "b", "c"], 500)
    shared: dict[MetricName, Callable[..., float]] = {
        "tpr": fair.true_positive_rate,
        "fpr": fair.false_positive_rate,
        "selection_rate": fair.selection_rate,
    }
    frame = fair.MetricFrame(
        metrics=shared,
        y_true=y,
        y_pred=(score >= THRESHOLD).astype(float),
        sensitive_features=group,
        sample_params={name: {"sample_weight": weight} for name in shared},
    )
    for level, row in frame.by_group.iterrows():
        inside = group == level
        for name in shared:
            ours = metric(name, y[inside], score[inside], weight[None, inside], THRESHOLD)[0]
            assert ours == pytest.approx(row[name], abs=1e-12)


def test_without_events_fairlearn_says_zero_and_we_say_nothing() -> None:
    score, nobody = np.array([0.1, 0.7, 0.9]), np.zeros(3)
    assert fair.true_positive_rate(nobody, score >= THRESHOLD) == 0.0
    assert np.isnan(metric("tpr", nobody, score, np.ones((1, 3)), THRESHOLD)[0])


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_sided_labels_have_no_discrimination_and_no_calibration(label: float) -> None:
    score = np.array([0.1, 0.4, 0.9])
    values = dict(
        zip(METRIC_NAMES, measured(np.full(3, label), score, np.ones((1, 3)))[0], strict=True)
    )
    undefined: tuple[MetricName, ...] = ("auroc", "calibration_slope", "calibration_intercept")
    for name in undefined:
        assert np.isnan(values[name]), name


def test_a_draw_without_any_weight_has_no_metric() -> None:
    assert np.isnan(measured(Y, SCORE, np.zeros((1, 6)))).all()


def test_constant_scores_rank_nobody() -> None:
    assert auroc(Y, np.full(6, 0.3), ONES)[0] == 0.5
    assert auprc(Y, np.full(6, 0.3), ONES)[0] == 0.5


@given(st.integers(0, 10_000), st.integers(6, 60), st.booleans())
@settings(max_examples=40, deadline=None)
def test_all_metrics_at_once_equal_each_metric_alone(seed: int, rows: int, ties: bool) -> None:
    y, score, weight = sample(seed, rows, ties=ties)
    weights = np.stack([weight, np.ones(rows), np.roll(weight, 1)])
    together = measured(y, score, weights)
    for i, name in enumerate(METRIC_NAMES):
        alone = metric(name, y, score, weights, THRESHOLD)
        np.testing.assert_allclose(together[:, i], alone, rtol=1e-9, atol=1e-9, equal_nan=True)


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_the_order_of_subjects_changes_nothing(seed: int) -> None:
    y, score, weight = sample(seed, 50)
    order = np.random.default_rng(seed).permutation(50)
    straight = measured(y, score, weight[None])
    shuffled = measured(y[order], score[order], weight[None, order])
    np.testing.assert_allclose(straight, shuffled, rtol=1e-9, atol=1e-9)


@given(st.integers(0, 10_000), st.floats(1e-3, 1e3))
@settings(max_examples=40, deadline=None)
def test_the_scale_of_weights_changes_nothing(seed: int, scale: float) -> None:
    y, score, weight = sample(seed, 50)
    np.testing.assert_allclose(
        measured(y, score, weight[None]),
        measured(y, score, scale * weight[None]),
        rtol=1e-8,
        atol=1e-8,
    )


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_a_row_written_twice_is_a_row_of_weight_two(seed: int) -> None:
    y, score, weight = sample(seed, 50)
    twice = np.concatenate([np.arange(50), np.arange(0, 50, 3)])
    doubled = np.where(np.arange(50) % 3 == 0, 2.0, 1.0) * weight
    np.testing.assert_allclose(
        measured(y, score, doubled[None]),
        measured(y[twice], score[twice], weight[None, twice]),
        rtol=1e-9,
        atol=1e-9,
    )


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_a_row_of_weight_zero_is_as_if_it_were_absent(seed: int) -> None:
    y, score, weight = sample(seed, 50)
    kept = weight > 0
    np.testing.assert_allclose(
        measured(y, score, weight[None]),
        measured(y[kept], score[kept], weight[None, kept]),
        rtol=1e-7,
        atol=1e-7,
    )
